"""A node that was just made, and that does not run; the log stays as it is: for a conftest.py."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from commandline import pixraft

from ftpgateway.cli import logs


@pytest.fixture(autouse=True)
def log_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve` sets the log up for its process, which here is that of all tests."""
    monkeypatch.setattr(logs, "configure", lambda *_, **__: None)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Its configuration file."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        peers, ftp = one.getsockname()[1], two.getsockname()[1]
    made = pixraft("init", str(tmp_path / "c"), "--node", f"n1=127.0.0.1:{peers},ftp=127.0.0.1:{ftp},sftp=")
    assert made.exit_code == 0, made.output
    return tmp_path / "c" / "n1" / "pixraft.toml"
