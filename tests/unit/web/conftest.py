"""One server for the tests of a module, its store empty before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import webserver
from webserver import WebServer


@pytest.fixture(scope="module")
def shared() -> Iterator[WebServer]:
    with webserver.running() as server:
        yield server


@pytest.fixture
def server(shared: WebServer) -> WebServer:
    shared.reset()
    shared.transfers.clear()
    return shared
