"""Notes by name: a table, a query, and the command that puts one."""

from __future__ import annotations

from raftstore.metadata.refusal import Refusal
from raftstore.metadata.registry import Context, Schema, Table, handles
from raftstore.wire import commands_pb2 as commands

LEVEL = 2
"""From which on the table is there: who reads it asks first whether that level is in force."""


class Notes(Table):
    """The table `notes`."""

    schemas = (
        Schema(
            "notes",
            "name",
            "CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT NOT NULL, entry INTEGER NOT NULL) STRICT",
            level=LEVEL,
        ),
    )

    def find(self, name: str) -> tuple[str, int] | None:
        """Return the text of a note, and the log entry that put it."""
        return self._execute("SELECT text, entry FROM notes WHERE name = ?", (name,)).fetchone()

    def count(self) -> int:
        """Return how many there are."""
        return int(self._execute("SELECT count(*) FROM notes").fetchone()[0])

    @handles("put_note", level=LEVEL)
    def put(self, command: commands.PutNote, at: Context) -> None:
        """Put a note. Refuses one without a name."""
        if not command.name:
            raise Refusal(commands.INVALID, "a note has a name")
        self._execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (command.name, command.text, at.index))
