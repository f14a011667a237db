"""Exactly once: the results of operations, kept until their proposer has them. Part of the replicated state."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from raftstore.metadata.refusal import MAX_INTEGER, Refusal, check_label
from raftstore.metadata.registry import Schema, Table
from raftstore.wire import commands_pb2 as commands

MAX_RESULTS = 65_536
"""Results kept a proposer that acknowledges none; then the older half is forgotten."""


@dataclass(slots=True)
class _Proposer:
    """`before`: the boot that this one ended, 0 where that was not seen since the catalog was opened."""

    boot: int
    acknowledged: int = 0
    results: dict[int, bytes] = field(default_factory=dict)
    before: int = 0


class Remembered(Table):
    """The tables `proposers` and `results`, whole in memory, written back before each commit."""

    schemas = (
        Schema(
            "proposers",
            "node",
            """
CREATE TABLE proposers (
  node TEXT PRIMARY KEY,
  boot INTEGER NOT NULL,
  acknowledged INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
""",
        ),
        Schema(
            "results",
            "node, sequence",
            """
CREATE TABLE results (
  node TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  result BLOB NOT NULL,
  PRIMARY KEY (node, sequence)
) STRICT, WITHOUT ROWID;
""",
        ),
    )

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__(database)
        self._executemany = database.cursor().executemany
        rows = database.execute("SELECT node, boot, acknowledged FROM proposers").fetchall()
        self._proposers = {node: _Proposer(boot, acknowledged) for node, boot, acknowledged in rows}
        for node, sequence, result in database.execute("SELECT node, sequence, result FROM results"):
            self._proposers[node].results[sequence] = result
        self._new: dict[tuple[str, int], bytes] = {}
        self._changed: set[str] = set()
        self._entered: set[str] = set()

    def recall(self, operation: commands.OperationId) -> bytes | None:
        """Return the result of an operation that was applied before, None for a new one.

        Refuses with STALE what is of an earlier boot or no longer remembered, with INVALID a malformed id.
        """
        node, sequence, acknowledged = operation.node, operation.sequence, operation.acknowledged
        proposer = self._proposers.get(node)
        if proposer is None or proposer.boot != operation.boot or not 0 < sequence <= MAX_INTEGER:
            proposer = self._enter(node, operation.boot, sequence, proposer)
        if acknowledged > proposer.acknowledged and acknowledged < sequence:
            self._forget(node, proposer, acknowledged)
        result = proposer.results.get(sequence)
        if result is None and (sequence <= proposer.acknowledged or sequence <= acknowledged):
            raise Refusal(commands.STALE, "the proposer has acknowledged the result of this operation")
        return result

    def _enter(self, node: str, boot: int, sequence: int, proposer: _Proposer | None) -> _Proposer:
        check_label(node, "a proposer's name")
        if not node or boot > MAX_INTEGER or not 0 < sequence <= MAX_INTEGER:
            raise Refusal(commands.INVALID, "an operation names its node, boot and sequence")
        if proposer is not None and boot < proposer.boot:
            raise Refusal(
                commands.STALE, f"the operation is of boot {boot} of node {node}, it is at {proposer.boot}"
            )
        self._entered.add(node)
        self._changed.add(node)
        before = proposer.boot if proposer is not None else 0
        entered = self._proposers[node] = _Proposer(boot, before=before)
        return entered

    def _forget(self, node: str, proposer: _Proposer, acknowledged: int) -> None:
        results = proposer.results
        if acknowledged - proposer.acknowledged <= len(results):
            for sequence in range(proposer.acknowledged + 1, acknowledged + 1):
                results.pop(sequence, None)
        else:
            proposer.results = {s: result for s, result in results.items() if s > acknowledged}
        proposer.acknowledged = acknowledged
        self._changed.add(node)

    def remember(self, node: str, sequence: int, result: bytes) -> None:
        """Keep the result of an operation that `recall` called new."""
        proposer = self._proposers[node]
        proposer.results[sequence] = result
        self._new[node, sequence] = result
        if len(proposer.results) > MAX_RESULTS:
            self._forget(node, proposer, sorted(proposer.results)[MAX_RESULTS // 2])

    def find(self, operation: commands.OperationId) -> bytes:
        """Return the remembered result of an operation, empty when it is forgotten. Changes nothing."""
        proposer = self._proposers.get(operation.node)
        if proposer is None or proposer.boot != operation.boot:
            return b""
        return proposer.results.get(operation.sequence, b"")

    def boot(self, node: str) -> int:
        """Return the newest boot of a proposer that is known, 0 for an unknown one."""
        proposer = self._proposers.get(node)
        return proposer.boot if proposer is not None else 0

    def boot_before(self, node: str, boot: int) -> int:
        """Return the newest boot of a proposer but for `boot`, as far as that is known; else 0."""
        proposer = self._proposers.get(node)
        if proposer is None:
            return 0
        return proposer.before if proposer.boot == boot else proposer.boot

    def flush(self) -> None:
        """Write what changed into the current transaction."""
        for node in sorted(self._entered):
            self._execute("DELETE FROM results WHERE node = ?", (node,))
        for node in sorted(self._changed):
            proposer = self._proposers[node]
            boot, acknowledged = proposer.boot, proposer.acknowledged
            self._execute("DELETE FROM results WHERE node = ? AND sequence <= ?", (node, acknowledged))
            self._execute("INSERT OR REPLACE INTO proposers VALUES (?, ?, ?)", (node, boot, acknowledged))
        rows = [
            (node, sequence, result)
            for (node, sequence), result in self._new.items()
            if sequence in self._proposers[node].results
        ]
        self._executemany("INSERT INTO results VALUES (?, ?, ?)", rows)
        self._entered.clear()
        self._changed.clear()
        self._new.clear()
