"""A server that the tests of a module share, and a client of it: for a conftest.py. A module with needs of its own
replaces `shared`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ftpserver import Client, Server, serving


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def server(shared: Server) -> Server:
    shared.reset()
    return shared


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with server.client() as connected:
        yield connected
