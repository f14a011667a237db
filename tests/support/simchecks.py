"""What must hold all the time, whatever the faults. The first thing that does not ends the simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raftstore.wire import commands_pb2, raft_pb2

Entry = tuple[bytes, int, int]


class Checks:
    """Knows everything that was ever seen to be so. `violate` is told what contradicts it."""

    def __init__(self, violate: Callable[[str], None]) -> None:
        self._violate = violate
        self.leaders: dict[int, tuple[str, int]] = {}
        self.votes: dict[tuple[str, int], str] = {}
        self.entries: dict[tuple[int, int], bytes] = {}
        self.committed: dict[int, Entry] = {}
        self.last_committed = 1
        self._committed_in: dict[int, int] = {}
        """In which term which entry was seen to be committed at the latest."""
        self.applied: dict[int, tuple[bytes, tuple[bytes, ...]]] = {}
        self.results: dict[tuple[str, int, int], bytes] = {}
        self.states: dict[int, str] = {}
        self.tokens: set[int] = set()
        """Tokens of all writes in entries that some node applied."""

    # Leaders and votes.

    def leads(self, node: str, boot: int, term: int, journal: Any) -> None:
        """A node takes itself for the leader of `term`: nobody else may, and its log has what was committed before.

        A leader of an old term may not know of what was committed in later ones.
        """
        known = self.leaders.setdefault(term, (node, boot))
        if known != (node, boot):
            self._violate(f"two leaders in term {term}: {known} and {(node, boot)}")
        last = max((index for known, index in self._committed_in.items() if known < term), default=0)
        entry = self.committed.get(last)
        if entry is None:
            return
        first = journal[0][1]
        if journal[-1][1] < last:
            self._violate(f"{node} leads in term {term} with a log up to {journal[-1][1]}; {last} is committed")
        elif first <= last and journal[last - first][2] != entry[2]:
            self._violate(f"{node} leads in term {term} with another entry {last} than the committed one")

    def message(self, source: str, target: str, envelope: raft_pb2.Envelope) -> None:
        """A message is delivered: no node votes twice in a term."""
        if envelope.HasField("vote"):
            known = self.votes.setdefault((source, envelope.term), target)
            if known != target:
                self._violate(f"{source} votes twice in term {envelope.term}: for {known} and {target}")

    # The log.

    def opened(self, node: str, journal: Any) -> None:
        """A node has read its log: what it has of an index and term is what everybody has."""
        for command, index, term in journal[:]:
            self._same(node, (command, index, term))

    def _same(self, node: str, entry: Entry) -> None:
        command, index, term = entry
        known = self.entries.setdefault((index, term), command)
        if known != command:
            self._violate(f"entry {index} of term {term} at {node} differs from what it was elsewhere")

    def commits(self, node: str, term: int, journal: Any, above: int, upto: int) -> None:
        """A node, in `term`, takes the entries after `above`, up to `upto`, for committed."""
        first = journal[0][1]
        if upto > journal[-1][1]:
            self._violate(f"{node} takes {upto} for committed with a log up to {journal[-1][1]}")
            return
        for index in range(max(above + 1, first), upto + 1):
            entry = journal[index - first]
            self._same(node, entry)
            known = self.committed.setdefault(index, entry)
            if known[1:] != entry[1:] or known[0] != entry[0]:
                self._violate(
                    f"two entries {index} are committed: of term {known[2]} before, of term {entry[2]} at {node}"
                )
        self.last_committed = max(self.last_committed, upto)
        self._committed_in[term] = max(self._committed_in.get(term, 0), upto)

    # The state machine.

    def apply(self, node: str, index: int, batch: bytes, results: list[bytes]) -> None:
        """A node has applied an entry (for the first time in this state)."""
        outcome = (batch, tuple(results))
        known = self.applied.setdefault(index, outcome)
        if known is not outcome:
            if known[0] != batch:
                self._violate(f"{node} applies another entry {index} than others did")
            elif known != outcome:
                self._violate(f"entry {index} has other results at {node} than elsewhere")
            return
        for operation, result in zip(commands_pb2.Batch.FromString(batch).operations, results, strict=True):
            self._once(operation, result)

    def _once(self, operation: commands_pb2.Operation, result: bytes) -> None:
        identity = (operation.id.node, operation.id.boot, operation.id.sequence)
        status = commands_pb2.Result.FromString(result).status
        if status == commands_pb2.STALE:
            return
        known = self.results.setdefault(identity, result)
        if known != result:
            self._violate(f"operation {identity} was applied twice, with different results")
        command = commands_pb2.Command.FromString(operation.command)
        if status == commands_pb2.OK and command.HasField("put_file"):
            self.tokens.add(command.put_file.mtime_ns)

    def state(self, node: str, index: int, digest: str) -> None:
        """The state of a node after entry `index` has this digest."""
        known = self.states.setdefault(index, digest)
        if known != digest:
            self._violate(f"the state of {node} at entry {index} differs from that of others")
