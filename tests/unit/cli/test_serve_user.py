"""Root, and the user that runs the node: neither makes files that the other cannot use, and both are told so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from commandline import pixraft

from ftpgateway.node import startup
from ftpgateway.node.config.reading import load_node_config
from raftstore.errors import Denied, DiskFailed

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@needs_root
def test_root_does_not_open_the_data_of_another_user(node: Path) -> None:
    data = load_node_config(node).data
    assert pixraft("serve", "--check", "--config", str(node)).exit_code == 0
    data.mkdir()
    os.chown(data, 54321, 54321)
    result = pixraft("serve", "--check", "--config", str(node))
    assert result.exit_code == Denied.exit_code
    assert (
        f"to open {data} as root: it belongs to #54321; sudo -u #54321 pixraft serve --check" in result.stderr
    )
    assert list(data.iterdir()) == []
    (warning,) = startup.local_warnings(load_node_config(node))
    assert (warning.key, warning.remedy) == ("node.data", "run the node as #54321")


@pytest.mark.parametrize("words", [("serve", "--check"), ("serve",)])
def test_a_file_that_may_not_be_opened_is_no_address(
    node: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """It ended with exit code 9, as if a port were taken, after which systemd starts it again and again."""
    data = load_node_config(node).data
    (data / "journal").mkdir(parents=True)
    (data / "journal" / "hardstate").touch()

    def refused(*_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied", str(data / "journal" / "hardstate"))

    # Root may open everything.
    monkeypatch.setattr("raftstore.store.opendisk.Journal", refused)
    result = pixraft(*words, "--config", str(node))
    assert result.exit_code == DiskFailed.exit_code, result.output
    assert "hardstate: Permission denied; give the data directory to the user" in result.stderr
