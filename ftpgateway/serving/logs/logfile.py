"""A file that lines are appended to and that others may rotate: moved away, removed or truncated, at any time."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

CHECK_EVERY = 1.0
"""Seconds between two looks at whether the name still leads to the file."""


class AppendedFile:
    """Appends to whatever file has the name now. A write that fails is dropped and told once on standard error:
    a full disk must not end a node.

    Not for several threads at once.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file (mode 0640). Raises OSError."""
        self.path = path
        self.dropped = 0
        self._fd = -1
        self._next_look = 0.0
        self._failing = False
        self._open()

    def write(self, text: str) -> None:
        """Append `text`, with what is not UTF-8 escaped."""
        data = text.encode("utf-8", "backslashreplace")
        try:
            if (now := time.monotonic()) >= self._next_look:
                self._next_look = now + CHECK_EVERY
                if not self._same():
                    self._open()
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            self._dropped(error)
        else:
            self._failing = False

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        """Not a terminal."""
        return False

    def reopen(self) -> None:
        """Look at the name again with the next line."""
        self._next_look = 0.0

    def close(self) -> None:
        """Close; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Appending, always at the end: who copies the file and truncates it leaves no hole.
        fresh = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self.close()
        self._fd = fresh

    def _same(self) -> bool:
        try:
            return self._fd >= 0 and os.path.samestat(os.stat(self.path), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def _dropped(self, error: OSError) -> None:
        self.dropped += 1
        if not self._failing:
            self._failing = True
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(f"pixraft: cannot write to {self.path}: {error.strerror}; lines are dropped\n")
                sys.stderr.flush()
