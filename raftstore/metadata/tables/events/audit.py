"""What admins have asked, from where, and what became of it: the audit log.

The entry that does what was asked writes its record (`Command.audit`), in the same transaction: nothing is done without
it. What was refused, or left no command, has a record by `RecordAudit`. A call has at most one record that it is done.
Numbers have no gaps: who has read up to one goes on behind it, and sees when what follows is not kept any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from raftstore.errors import OutcomeUnknown
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.rights.reserved import LEVEL
from raftstore.wire import commands_pb2 as commands

MAX_KEPT = 1_000_000
"""Records that are kept at most; the leader removes them before that (`raftstore/cluster/auditing`)."""

MAX_TRIMMED = 1_000
"""Records that one command removes at most."""

CALL_BYTES = 32
NAME = 255
"""Characters of a name, an address, a method or a code."""
ARGUMENTS = 8_192
DETAIL = 1_000

_COLUMNS = "number, entry, time_ns, call, caller, role, address, node, method, arguments, code, detail, omitted"


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A record as its row has it.

    `entry`: log index; `time_ns`: cluster time; the rest as in `AuditEntry` on the wire.
    """

    number: int
    entry: int
    time_ns: int
    call: bytes
    caller: str
    role: str
    address: str
    node: str
    method: str
    arguments: str
    code: str
    detail: str
    omitted: int


class AuditLog(Table):
    """The table `audit`."""

    schemas = (
        Schema(
            "audit",
            "number",
            """
CREATE TABLE audit (
  number INTEGER PRIMARY KEY,
  entry INTEGER NOT NULL,
  time_ns INTEGER NOT NULL,
  call BLOB NOT NULL,
  caller TEXT NOT NULL,
  role TEXT NOT NULL,
  address TEXT NOT NULL,
  node TEXT NOT NULL,
  method TEXT NOT NULL,
  arguments TEXT NOT NULL,
  code TEXT NOT NULL,
  detail TEXT NOT NULL,
  omitted INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_of_call ON audit (call);
""",
            level=LEVEL,
        ),
    )

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._clock = tables[Clock]
        self.last = 0
        """Number of the newest one, which always stays; 0: there never was any."""
        if tables.at.level >= LEVEL:
            (self.last,) = self._execute("SELECT coalesce(max(number), 0) FROM audit").fetchone()
        self.on_change: Callable[[], object] = lambda: None
        """Called when there is one more, while the entry is still applied; must not raise."""

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with cluster time."""
        return cls(tables)

    # What is written.

    def note_done(self, audit: commands.Audit, at: Context) -> None:
        """Note that the command at hand, which carries this, is done: once for a call."""
        if not self._noted(audit.call[:CALL_BYTES], ""):
            self._note(audit, at)

    @handles("record_audit", level=LEVEL)
    def record(self, command: commands.RecordAudit, at: Context) -> None:
        """Note what became of a call."""
        call, code = command.audit.call[:CALL_BYTES], command.code[:NAME]
        if not self._noted(call, None if code == OutcomeUnknown.code else code):
            self._note(command.audit, at, code, command.detail, command.omitted)

    def _noted(self, call: bytes, code: str | None) -> bool:
        """Whether the call has a record with that code, or (None) any."""
        found = self._execute(
            "SELECT 1 FROM audit WHERE call = ?1 AND (?2 IS NULL OR code = ?2) LIMIT 1", (call, code)
        ).fetchone()
        return found is not None

    def _note(
        self, audit: commands.Audit, at: Context, code: str = "", detail: str = "", omitted: int = 0
    ) -> None:
        number = self.last + 1
        names = (audit.caller, audit.role, audit.address, audit.node, audit.method)
        self._execute(
            "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(number, at.index, self._clock.stamp(at), audit.call[:CALL_BYTES]),
                *(name[:NAME] for name in names),
                *(audit.arguments[:ARGUMENTS], code, detail[:DETAIL], omitted),
            ),
        )
        self.last = number
        self._execute("DELETE FROM audit WHERE number <= ?", (number - MAX_KEPT,))
        self.on_change()

    @handles("trim_audit", level=LEVEL)
    def trim(self, command: commands.TrimAudit, at: Context) -> commands.Result:
        """Forget the oldest."""
        up_to = min(command.up_to, self.last - 1, self.first() + MAX_TRIMMED - 1)
        removed = self._execute("DELETE FROM audit WHERE number <= ?", (up_to,)).rowcount
        return commands.Result(removed=removed)

    # What is read.

    def first(self) -> int:
        """Return the number of the oldest that is kept, or that the next one will have."""
        (found,) = self._execute("SELECT min(number) FROM audit").fetchone()
        return int(found) if found is not None else self.last + 1

    def after(self, number: int, limit: int) -> list[AuditRecord]:
        """Return what is kept behind a number, the oldest first."""
        rows = self._execute(
            f"SELECT {_COLUMNS} FROM audit WHERE number > ? ORDER BY number LIMIT ?", (number, limit)
        ).fetchall()
        return [AuditRecord(*row) for row in rows]

    def surplus(self, keep: int, before_ns: int) -> int:
        """Return up to which number to forget, so that `keep` stay and none from before that cluster time.

        The newest stays in any case; it looks at the MAX_TRIMMED oldest only. 0: nothing is to go.
        """
        first = self.first()
        old = 0
        for number, time_ns in self._execute(
            "SELECT number, time_ns FROM audit ORDER BY number LIMIT ?", (MAX_TRIMMED,)
        ):
            if self._clock.counted_from(time_ns) >= before_ns:
                break
            old = number
        up_to = min(max(old, self.last - keep), self.last - 1, first + MAX_TRIMMED - 1)
        return up_to if up_to >= first else 0
