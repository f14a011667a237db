"""What all nodes must know and nobody else may: by name, agreed on by all."""

from __future__ import annotations

import hashlib
import sqlite3

from raftstore.metadata.refusal import Refusal, check_label
from raftstore.wire import commands_pb2 as commands

MAX_SECRETS = 64
MAX_SIZE = 64 * 1024


class Secrets:
    """The table `secrets`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._execute = database.cursor().execute

    def find(self, name: str) -> bytes | None:
        """Return a secret, None when there is none."""
        row = self._execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def agree(self, name: str, value: bytes, replaces: bytes) -> None:
        """Keep a secret, unless there is one of that name: the first stays. One whose SHA-256 is `replaces` goes.

        Refuses with INVALID; with CHANGED when `replaces` is not the present one's.
        """
        check_label(name, "a secret's name")
        if not name or not value or len(value) > MAX_SIZE:
            raise Refusal(commands.INVALID, f"a secret has a name and up to {MAX_SIZE} bytes")
        present = self.find(name)
        if replaces:
            if present is None or hashlib.sha256(present).digest() != replaces:
                raise Refusal(commands.CHANGED, "another secret took its place meanwhile")
            self._execute("UPDATE secrets SET value = ? WHERE name = ?", (value, name))
            return
        if present is not None:
            return
        if self._execute("SELECT COUNT(*) FROM secrets").fetchone()[0] >= MAX_SECRETS:
            raise Refusal(commands.INVALID, f"at most {MAX_SECRETS} secrets")
        self._execute("INSERT INTO secrets VALUES (?, ?)", (name, value))
