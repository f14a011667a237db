"""What all nodes must know and nobody else may: by name, agreed on by all."""

from __future__ import annotations

import hashlib

from raftstore.metadata.refusal import Refusal, check_label
from raftstore.metadata.registry import Context, Schema, Table, handles
from raftstore.wire import commands_pb2 as commands

MAX_SECRETS = 64
MAX_SIZE = 64 * 1024


class Secrets(Table):
    """The table `secrets`."""

    schemas = (
        Schema(
            "secrets",
            "name",
            """
CREATE TABLE secrets (
  name TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
""",
        ),
    )

    def find(self, name: str) -> bytes | None:
        """Return a secret, None when there is none."""
        row = self._execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def untouched(self) -> bool:
        """Whether there is none."""
        return self._execute("SELECT 1 FROM secrets LIMIT 1").fetchone() is None

    @handles("agree_on_secret", level=1)
    def agree(self, command: commands.AgreeOnSecret, at: Context) -> None:
        """Keep a secret, unless there is one of that name: the first stays. One whose SHA-256 is `replaces` goes.

        Refuses with INVALID; with CHANGED when `replaces` is not the present one's.
        """
        name, value, replaces = command.name, command.value, command.replaces
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
