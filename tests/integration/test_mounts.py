"""A node mounted with sshfs, and programs that know nothing of it: they rewrite, cut, extend and lock their files."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Cluster
from openssh import OpenSsh

PROGRAMS = ("sshfs", "fusermount", "git", "sqlite3", "zip", "rsync")

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root directory of a node."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    work = tmp_path_factory.mktemp("mounted")
    with Cluster(tmp_path_factory.mktemp("cluster"), sftp=True) as cluster:
        address = cluster.local.nodes[cluster.names[0]].sftp
        assert address is not None
        ssh = OpenSsh(work / "openssh", address.port, "demo", "demo")
        place = work / "here"
        place.mkdir()
        options = [option for option in ssh.options() if option not in ("-F", "/dev/null")]
        command = ["sshfs", "demo@127.0.0.1:/", str(place), "-p", str(address.port), *options]
        done = subprocess.run(
            [*command, "-opassword_stdin", "-ocache=no"],
            input="demo\n",
            capture_output=True,
            text=True,
            timeout=60,
            env=ssh.environment,
            check=False,
        )
        if done.returncode:
            if "fuse" in done.stderr:
                pytest.skip(f"this machine mounts nothing: {done.stderr.strip()}")
            raise AssertionError(done.stderr)
        try:
            yield place
        finally:
            run("fusermount", "-u", "-z", str(place))


def run(*command: str, at: Path | None = None) -> str:
    """Run a program; it must succeed."""
    environment = {**os.environ, "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        command, cwd=at, capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_git_clones_and_commits(mounted: Path, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    run("git", "init", "-q", "-b", "main", at=origin)
    for number in range(20):
        (origin / f"{number}.txt").write_text(f"{number}\n" * 100)
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    run("git", "add", ".", at=origin)
    run("git", *who, "commit", "-q", "-m", "first", at=origin)
    clone = mounted / "clone"
    run("git", "clone", "-q", "--no-hardlinks", str(origin), str(clone))
    run("git", "fsck", "--strict", at=clone)
    (clone / "0.txt").write_text("changed\n")
    run("git", *who, "commit", "-q", "-a", "-m", "second", at=clone)
    assert run("git", "log", "--format=%s", at=clone).split() == ["second", "first"]
    assert run("git", "status", "--porcelain", at=clone) == ""


def test_sqlite_with_a_rollback_journal(mounted: Path) -> None:
    path = mounted / "pictures.db"
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = DELETE")
    database.execute("CREATE TABLE pictures (number INTEGER PRIMARY KEY, title TEXT)")
    for start in range(0, 300, 100):
        with database:
            database.executemany(
                "INSERT INTO pictures VALUES (?, ?)", [(n, f"{n}" * 50) for n in range(start, start + 100)]
            )
    with database:
        database.execute("UPDATE pictures SET title = 'x' WHERE number % 2")
    database.execute("BEGIN")
    database.execute("DELETE FROM pictures")
    database.rollback()
    database.close()
    assert run(
        "sqlite3", str(path), "PRAGMA integrity_check; SELECT count(*), sum(title = 'x') FROM pictures"
    ) == ("ok\n300|150\n")


def test_zip_rewrites_what_it_has_written(mounted: Path, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(os.urandom(3_000_000))
    (tmp_path / "two").write_bytes(b"two" * 1000)
    archive = mounted / "pictures.zip"
    run("zip", "-q", str(archive), "one", at=tmp_path)
    run("zip", "-q", str(archive), "two", at=tmp_path)
    with zipfile.ZipFile(archive) as found:
        assert found.testzip() is None
        assert found.read("one") == (tmp_path / "one").read_bytes()
    with zipfile.ZipFile(archive, "a") as found:
        found.writestr("three", b"three")
    with zipfile.ZipFile(archive) as found:
        assert found.testzip() is None and found.namelist() == ["one", "two", "three"]


def test_rsync_in_place(mounted: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "image", mounted / "image"
    content = bytearray(os.urandom(3_500_000))
    source.write_bytes(content)
    run("rsync", "--inplace", str(source), str(target))
    content[5:10], content[2_000_000:2_000_100] = b"small", bytes(100)
    source.write_bytes(content[:3_300_000])
    run("rsync", "--inplace", "--no-whole-file", "--checksum", str(source), str(target))
    assert target.read_bytes() == bytes(content[:3_300_000])


def test_a_header_is_written_last(mounted: Path) -> None:
    with (mounted / "film").open("w+b") as film:
        film.write(bytes(1000))
        film.write(os.urandom(40 * 1024 * 1024))
        film.seek(0)
        film.write(b"header")
        film.flush()
        film.seek(0)
        assert film.read(10) == b"header" + bytes(4)
        film.truncate(30 * 1024 * 1024)
    found = (mounted / "film").read_bytes()
    assert len(found) == 30 * 1024 * 1024 and found[:10] == b"header" + bytes(4)
