"""The log of a node whose standard error is a file on a full disk."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import structlog

from ftpgateway.cli import logs
from ftpgateway.node.config.log import LogSettings


class Full:
    """A file on a full disk."""

    tried = 0

    def write(self, _text: str, /) -> None:
        self.tried += 1
        raise OSError(errno.ENOSPC, "no space left on device")

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    def isatty(self) -> bool:
        return False


@pytest.fixture(autouse=True)
def log_as_it_is() -> None:
    """Here it is set up; see conftest.py."""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_that_cannot_be_written_ends_nothing(form: str) -> None:
    stream = Full()
    try:
        logs.configure(LogSettings(level="info", format=form, file=None, transfers=None), stream)
        structlog.get_logger().error("disk is full", path=str(Path("/var/lib/pixraft")))
        assert stream.tried == 1
    finally:
        structlog.reset_defaults()
