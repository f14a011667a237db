"""`pixraft backup` as far as it needs no cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commandline import pixraft

from ftpgateway.backup.keys import read_key_file
from ftpgateway.backup.repository import open_repository
from ftpgateway.backup.target import DirectoryTarget


@pytest.fixture
def key(tmp_path: Path) -> str:
    made = pixraft("backup", "key", str(tmp_path / "key"), "-o", "json")
    assert json.loads(made.stdout)["key"] == read_key_file(tmp_path / "key").identity
    return str(tmp_path / "key")


def test_a_key_is_never_overwritten(key: str) -> None:
    again = pixraft("backup", "key", key)
    assert again.exit_code == 11 and "worthless" in again.stderr


def test_an_empty_target(key: str, tmp_path: Path) -> None:
    target = str(tmp_path / "target")
    missing = pixraft("backup", "list", target, "--key", key)
    assert missing.exit_code == 10 and "no backups" in missing.stderr
    open_repository(DirectoryTarget(Path(target)), read_key_file(Path(key)), make=True)
    listed = pixraft("backup", "list", target, "-o", "json", env={"PIXRAFT_BACKUP_KEY": key})
    assert json.loads(listed.stdout) == {"target": target, "backups": []}
    node = ("--node", "n1=127.0.0.1:7420")
    new = tmp_path / "new"
    none = pixraft("backup", "restore", target, str(new), "--key", key, *node)
    assert none.exit_code == 10 and "no backup yet" in none.stderr and not new.exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("list", "s3://bucket/x", "--key", "KEY"), 51, "not there yet"),
        (("list", "TARGET", "--key", "nothing"), 10, "pixraft backup key FILE"),
        (("prune", "TARGET", "--key", "KEY"), 2, "say what is kept"),
        (("prune", "TARGET", "--key", "KEY", "--keep-last", "-1"), 2, "-1"),
        (("create", "TARGET", "--key", "KEY", "--rate", "fast"), 2, "such as 500K"),
        (("create", "TARGET", "--key", "KEY"), 2, "say which cluster"),
        (("restore", "TARGET", "a", "b", "c", "--key", "KEY", "--node", "n1=h:1"), 2, "a directory"),
    ],
)
def test_mistakes(words: tuple[str, ...], code: int, said: str, key: str, tmp_path: Path) -> None:
    places = {"KEY": key, "TARGET": str(tmp_path / "target")}
    result = pixraft("backup", *(places.get(word, word) for word in words))
    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr


def test_what_a_file_of_others_can_read_is_told(key: str, tmp_path: Path) -> None:
    Path(key).chmod(0o644)
    assert "chmod 600" in pixraft("backup", "list", str(tmp_path / "target"), "--key", key).stderr
