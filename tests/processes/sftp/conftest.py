"""One SFTP server for all tests of a module that ask for `server`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sftpserver import SftpServer, serve


@pytest.fixture(scope="module")
def running() -> Iterator[SftpServer]:
    """Run the server until the module's tests are done."""
    server = serve()
    yield server
    server.stop()


@pytest.fixture
def server(running: SftpServer) -> Iterator[SftpServer]:
    """Return the server; at the end it is as it was, and holds nothing of what the test has sent."""
    yield running
    running.heal()
    running.reset()
    assert running.spools.ledger.total == running.spools.memory_used == running.spools.files_used == 0
