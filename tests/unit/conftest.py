"""Unit tests start no processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from noprocesses import no_processes


@pytest.fixture(autouse=True, scope="module")
def alone() -> Iterator[None]:
    with no_processes():
        yield
