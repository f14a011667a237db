"""Points aioftp's tests, whose code stays as it is, at a live server: it stands in for the aioftp.Server of each test.

A test that configures its server, or looks at it, cannot be run against a live one and is skipped.
"""

from __future__ import annotations

from pathlib import Path

import aioftp
import async_timeout
import live
import pytest

_timeout = async_timeout.timeout
async_timeout.timeout = lambda delay: _timeout(None if delay is None else max(delay, 60))


ELSEWHERE = ("test_client_side_socks.py", "test_pathio.py")
"""Tests of what is not between client and server: a proxy, local files."""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what has nothing to do with a server."""
    return collection_path.name in ELSEWHERE or None


class LiveServer:
    """Stands in for aioftp.Server."""

    def __init__(self, *arguments: object, **options: object) -> None:
        if arguments or set(options) - {"path_io_factory"}:
            pytest.skip("configures the server")

    async def start(self, host: str, port: int = 0, **_: object) -> None:
        """Begin with no files."""
        self.server_host, self.server_port = live.ADDRESSES["plain6" if ":" in host else "plain4"]
        with live.session("demo", "demo") as own:
            live.empty(own)

    async def close(self) -> None:
        """The live server goes on."""

    def __getattr__(self, name: str) -> object:
        pytest.skip(f"reaches into the server's process ({name})")


aioftp.Server = LiveServer
# The suite's own server lets everybody write; a live one does not let anonymous users.
aioftp.Client.login.__defaults__ = ("demo", "demo", "")
