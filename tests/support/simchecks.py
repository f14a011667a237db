"""What must hold all the time, whatever the faults. The first thing that does not ends the simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simrights import number_of

from raftstore.metadata import levels
from raftstore.wire import commands_pb2, raft_pb2

Entry = tuple[bytes, int, int]
MATCHED = raft_pb2.AppendReply.MATCHED


class Checks:
    """Knows everything that was ever seen to be so. `violate` is told what contradicts it."""

    def __init__(self, violate: Callable[[str, str], None]) -> None:
        self._violate = violate
        self.leaders: dict[int, tuple[str, int]] = {}
        self.votes: dict[tuple[str, int], str] = {}
        self._votes_heard: dict[tuple[str, int], set[str]] = {}
        self.entries: dict[tuple[int, int], bytes] = {}
        self.committed: dict[int, Entry] = {}
        self.last_committed = 1
        self._committed_in: dict[int, int] = {}
        """In which term which entry was seen to be committed at the latest."""
        self.applied: dict[int, tuple[bytes, tuple[bytes, ...]]] = {}
        self.results: dict[tuple[str, int, int], bytes] = {}
        self.numbered: dict[int, tuple[float, commands_pb2.Result]] = {}
        """Place and result of each command that has a number of its own, see simrights."""
        self.states: dict[int, str] = {}
        self.asked: dict[int, float] = {}
        """Tokens of all writes in the log, with the place of each: entry, and behind the point the place in it."""
        self.done: dict[int, float] = {}
        """The same of those that were not refused."""
        self.removals: dict[str, list[tuple[float, bool]]] = {}
        """All removals in the log by path: place, and whether there was something."""
        self._promises: dict[str, dict[int, int]] = {}
        """Of a node: up to which entry of which term it has ever told a leader that it has the log, durably."""
        self._kept: dict[str, dict[int, int]] = {}
        """The same, since it got its disk."""
        self._last_of_term: dict[int, int] = {}
        """The last committed entry of a term."""

    # Leaders and votes.

    def leads(self, node: str, boot: int, term: int, journal: Any, voters: frozenset[str]) -> None:
        """A node takes itself for the leader of `term`: nobody else may, and its log has what was committed before.

        A leader of an old term may not know of what was committed in later ones.
        """
        known = self.leaders.setdefault(term, (node, boot))
        if known != (node, boot):
            self._violate("two leaders", f"two leaders in term {term}: {known} and {(node, boot)}")
        votes = voters & (self._votes_heard.get((node, term), set()) | {node})
        if len(votes) <= len(voters) // 2:
            self._violate(
                "votes too few",
                f"{node} leads in term {term} with the votes of {', '.join(sorted(votes))} only",
            )
        last = max((index for known, index in self._committed_in.items() if known < term), default=0)
        entry = self.committed.get(last)
        if entry is None:
            return
        first = journal[0][1]
        if journal[-1][1] < last:
            self._violate(
                "leader lacks committed",
                f"{node} leads in term {term} with a log up to {journal[-1][1]}; {last} is committed",
            )
        elif first <= last and journal[last - first][2] != entry[2]:
            self._violate(
                "leader lacks committed",
                f"{node} leads in term {term} with another entry {last} than the committed one",
            )

    def sent(self, source: str, target: str, envelope: raft_pb2.Envelope, journal: Any) -> None:
        """A node sends a message: it does not vote twice in a term, and remembers what it promises."""
        if envelope.HasField("vote"):
            known = self.votes.setdefault((source, envelope.term), target)
            if known != target:
                self._violate(
                    "two votes", f"{source} votes twice in term {envelope.term}: for {known} and {target}"
                )
        elif envelope.HasField("append_reply") and envelope.append_reply.outcome == MATCHED:
            self._promise(source, target, envelope, journal)

    def received(self, source: str, target: str, envelope: raft_pb2.Envelope) -> None:
        """A message is handed over: only now does a vote count."""
        if envelope.HasField("vote"):
            self._votes_heard.setdefault((target, envelope.term), set()).add(source)

    def _promise(self, source: str, target: str, envelope: raft_pb2.Envelope, journal: Any) -> None:
        later = max((term for node, term in self.votes if node == source), default=0)
        if later > envelope.term and self.leaders.get(later, ("", 0))[0] == self.votes[source, later]:
            self._violate(
                "acknowledges old leader",
                f"{source} acknowledges entries of {target} in term {envelope.term}, after its vote has made "
                f"{self.votes[source, later]} the leader of term {later}",
            )
        index, first = envelope.append_reply.next_index - 1, journal[0][1]
        if index > journal[-1][1]:
            self._violate(
                "acknowledges what it lacks",
                f"{source} acknowledges entry {index} with a log up to {journal[-1][1]}",
            )
        elif index >= first:
            term = journal[index - first][2]
            for known in (self._promises.setdefault(source, {}), self._kept.setdefault(source, {})):
                known[term] = max(known.get(term, 0), index)

    def wiped(self, node: str) -> None:
        """A node has a new disk: it cannot keep what it has promised."""
        self._kept.pop(node, None)

    # The log.

    def opened(self, node: str, journal: Any) -> None:
        """A node has read its log: what it has of an index and term is what everybody has."""
        for command, index, term in journal[:]:
            self._same(node, (command, index, term))
        kept = self._kept.get(node, {})
        promised = max((min(i, self._last_of_term.get(term, 0)) for term, i in kept.items()), default=0)
        if not promised:
            return
        first, last = (journal[0][1], journal[-1][1]) if len(journal) else (0, 0)
        if last < promised or (
            first <= promised and journal[promised - first][2] != self.committed[promised][2]
        ):
            self._violate(
                "lost after a start",
                f"{node} has acknowledged the committed entry {promised} and does not have it after a start",
            )

    def _same(self, node: str, entry: Entry) -> None:
        command, index, term = entry
        known = self.entries.setdefault((index, term), command)
        if known != command:
            self._violate(
                "entry differs", f"entry {index} of term {term} at {node} differs from what it was elsewhere"
            )

    def commits(self, node: str, term: int, journal: Any, above: int, upto: int) -> None:
        """A node, in `term`, takes the entries after `above`, up to `upto`, for committed."""
        first = journal[0][1]
        if upto > journal[-1][1]:
            self._violate(
                "commits what it lacks", f"{node} takes {upto} for committed with a log up to {journal[-1][1]}"
            )
            return
        for index in range(max(above + 1, first), upto + 1):
            entry = journal[index - first]
            self._same(node, entry)
            known = self.committed.setdefault(index, entry)
            self._last_of_term[entry[2]] = max(self._last_of_term.get(entry[2], 0), index)
            if known[1:] != entry[1:] or known[0] != entry[0]:
                self._violate(
                    "lost committed",
                    f"two entries {index} are committed: of term {known[2]} before, of term {entry[2]} at {node}",
                )
        self.last_committed = max(self.last_committed, upto)
        self._committed_in[term] = max(self._committed_in.get(term, 0), upto)

    def counts(self, node: str, journal: Any, commit: int, voters: frozenset[str]) -> None:
        """A leader has counted: a majority must have acknowledged the entry."""
        first = journal[0][1]
        if first > commit:
            return
        term = journal[commit - first][2]
        having = {other for other in voters if self._promises.get(other, {}).get(term, 0) >= commit}
        having |= voters & {node}
        if len(having) <= len(voters) // 2:
            self._violate(
                "committed by too few",
                f"{node} takes entry {commit} of term {term} for committed; only {', '.join(sorted(having))} have it",
            )

    # The state machine.

    def fits(self, index: int, batch: bytes, level: int) -> None:
        """An entry is about to be applied while `level` is in force: no leader appends what is above that."""
        if index not in self.applied and (reason := levels.batch_refusal(batch, level)) is not None:
            self._violate("above the level", f"entry {index} is above level {level}: {reason}")

    def apply(self, node: str, index: int, batch: bytes, results: list[bytes]) -> None:
        """A node has applied an entry (for the first time in this state)."""
        outcome = (batch, tuple(results))
        known = self.applied.setdefault(index, outcome)
        if known is not outcome:
            if known[0] != batch:
                self._violate("entry differs", f"{node} applies another entry {index} than others did")
            elif known != outcome:
                self._violate("results differ", f"entry {index} has other results at {node} than elsewhere")
            return
        if not results:
            return  # a configuration
        operations = commands_pb2.Batch.FromString(batch).operations
        for position, (operation, result) in enumerate(zip(operations, results, strict=True)):
            self._once(index + position / 10_000, operation, result)

    def _once(self, place: float, operation: commands_pb2.Operation, result: bytes) -> None:
        identity = (operation.id.node, operation.id.boot, operation.id.sequence)
        done = commands_pb2.Result.FromString(result)
        if done.status == commands_pb2.STALE:
            return
        known = self.results.get(identity)
        if known is not None:
            if known != result:
                self._violate(
                    "applied twice", f"operation {identity} was applied twice, with different results"
                )
            return
        self.results[identity] = result
        command, ok = commands_pb2.Command.FromString(operation.command), done.status == commands_pb2.OK
        if (number := number_of(command)) and done.status != commands_pb2.INVALID:
            self.numbered[number] = place, done
            return
        if command.HasField("put_file"):
            self.asked[command.put_file.mtime_ns] = place
            if ok:
                self.done[command.put_file.mtime_ns] = place
        elif command.HasField("remove_file"):
            self.removals.setdefault(command.remove_file.path, []).append((place, ok))

    def state(self, node: str, index: int, digest: str) -> None:
        """The state of a node after entry `index` has this digest."""
        known = self.states.setdefault(index, digest)
        if known != digest:
            self._violate("states differ", f"the state of {node} at entry {index} differs from that of others")
