"""Keeps tests from starting processes: they belong into `tests/processes`, or with nodes into `tests/integration`."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import NoReturn

import pytest


def refuse(*_: object, **__: object) -> NoReturn:
    """What is called in place of what starts a process."""
    pytest.fail("a test here starts no processes: it belongs into tests/processes or tests/integration")


@contextlib.contextmanager
def no_processes() -> Iterator[None]:
    """Let nothing start a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", refuse)
        for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system"):
            patch.setattr(os, name, refuse)
        yield
