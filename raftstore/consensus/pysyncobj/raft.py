"""One pysyncobj on our journal, as seen by the rest of the package: typed, synchronous, without surprises.

What is kept of the library: term, vote and role changes, counting votes, matching and counting replies, the commit
index, forwarding of proposals. What surrounds it (`replicator`, `acceptor`, `elections`) decides what it gets to see,
through these seams:

- The transport's connected/disconnected callbacks. A node that is not a leader is told of no connection, so it never
  stands for election of its own accord; `campaign` tells it of them and makes it due. A leader is told only of
  followers to which an append may go, so it makes just one and stops.
- Who the others are: its own changes of membership are switched off (MEMBERSHIP.md says why), and this sets its sets
  of nodes when the newest configuration in the log has become another. Learners are its "read-only" nodes.
- The messages it understands. `timeout_now` makes an election due; `request_vote` with a log that nobody can vote for
  makes it take a higher term; `append_entries` with neither entries nor a previous entry just names the leader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from pysyncobj.node import Node

from raftstore.consensus.log.raftlog import RaftLog
from raftstore.consensus.log.records import Entry
from raftstore.consensus.membership.configuration import Configuration
from raftstore.consensus.membership.watchedlog import PREFIX, Versioned, WatchedLog
from raftstore.consensus.pysyncobj import codec
from raftstore.consensus.pysyncobj.library import SUCCESS, Library, Member, Message, Wire, conf, enter
from raftstore.consensus.replication.normalise import Accept, LogView
from raftstore.consensus.runtime import Runtime
from raftstore.consensus.settings import ConsensusSettings
from raftstore.errors import Damaged

Role = Literal["follower", "candidate", "leader"]
Done = Callable[[int | None, int], None]
"""Called with (index, SUCCESS) when the proposal is committed as that entry, or (None, FAIL_REASON)."""

ROLES: tuple[Role, Role, Role] = ("follower", "candidate", "leader")
CALL_PREFIX = b"\x00" + codec.CALL
"""How every proposed command starts: pysyncobj's command type REGULAR, then our codec's tag."""


class Raft:
    """One pysyncobj on our journal. Everything is synchronous and on the loop.

    `base` gives the configuration from which the log's own go on: the last one applied, or what a new cluster
    starts with. `send` gets what goes to other nodes, except answers to appends. `committed` gets every committed
    batch once a start, in order, with its index, and `configured` every committed configuration. `role_changed` and
    `members_changed` are called while the engine works: they may call `connect` and `disconnect`, nothing else.
    `marker` is a file of no content that the library wants to see.

    Exceptions of journal and callbacks pass through every method: after one, the node must stop.
    """

    def __init__(
        self,
        *,
        node: str,
        base: Callable[[], Versioned],
        journal: RaftLog,
        runtime: Runtime,
        settings: ConsensusSettings,
        marker: Path,
        send: Callable[[str, Message], None],
        committed: Callable[[int, bytes], None],
        configured: Callable[[int, bytes], None],
        role_changed: Callable[[Role], None],
        members_changed: Callable[[], None],
    ) -> None:
        self.node = node
        self._journal = journal
        self._log = WatchedLog(journal, base, self._members_changed)
        self._tell_members = members_changed
        self._runtime = runtime
        self._send = send
        self._committed = committed
        self._configured = configured
        self._role_changed = role_changed
        self._nodes: dict[str, Member] = {}
        self.voters: frozenset[str] = frozenset()
        """Those who count for majorities, in the configuration in force here."""
        self.peers: frozenset[str] = frozenset()
        """All other members in it, learners too."""
        self._take_names()
        self._answer: Message | None = None
        self._pair: tuple[Entry, Entry] | None = None
        self._loaded = self._ticked = False
        self.role: Role = "follower"
        self._wire = Wire(self._outgoing)
        self._prepare_marker(marker)
        enter(self._runtime)
        self._library = Library(
            self._on_committed,
            self._on_configured,
            self._node(node),
            [self._node(name) for name in sorted(self.voters - {node})],
            conf=conf(settings, self._log, marker, self._deserialise, self._state_changed),
            nodeClass=Node,
            transport=self._wire,
        )
        self._set_others()

    def _prepare_marker(self, marker: Path) -> None:
        # The library starts to apply at entry 2, or at what the dump file says if there is one. Our journal
        # knows where it starts; the file is there exactly if that is not entry 1.
        if len(self._journal) and self._journal[0][1] > 1:
            if len(self._journal) < 2:
                raise Damaged("the log is compacted to a single entry")
            marker.touch()
        else:
            marker.unlink(missing_ok=True)

    def _state_changed(self, old: int, new: int) -> None:
        self.role = ROLES[new]
        self._role_changed(self.role)

    # Who belongs to the cluster.

    def _node(self, name: str) -> Member:
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = Member(len(self._nodes) + 1, name)
        return node

    def _take_names(self) -> None:
        configuration = self._log.latest[1]
        self.voters = configuration.voters
        self.peers = configuration.names - {self.node}

    def _set_others(self) -> None:
        others = self.voters - {self.node}
        voters, learners = (set(map(self._node, sorted(names))) for names in (others, self.peers - others))
        self._library.set_others(voters, learners, self._journal[-1][1] + 1)

    def _members_changed(self) -> None:
        self._take_names()
        self._set_others()
        self._tell_members()

    @property
    def configuration(self) -> Versioned:
        """The configuration in force here, the last one in the log, with its index."""
        return self._log.latest

    @property
    def committed_configuration(self) -> Versioned:
        """The last configuration that is known to be committed, with its index."""
        return self._log.committed(self.commit_index)

    def append_configuration(self, configuration: Configuration) -> tuple[int, int]:
        """On a leader: put a configuration into the log, in force from now on; return its index and term.

        The caller has checked that it may follow on the one in force.
        """
        index, term = self._journal[-1][1] + 1, self.term
        enter(self._runtime)
        self._log.add(PREFIX + configuration.encode(), index, term)
        return index, term

    # What the engine is.

    @property
    def alone(self) -> bool:
        """Whether this node is a majority by itself."""
        return self.voters == {self.node}

    @property
    def majority(self) -> int:
        """How many voters decide."""
        return len(self.voters) // 2 + 1

    @property
    def leader(self) -> str | None:
        """The leader this node follows, or is."""
        node = self._library.leader_node
        return None if node is None else node.name

    @property
    def term(self) -> int:
        """Current term."""
        return self._library.term

    @property
    def handed_over(self) -> int:
        """Index up to which committed entries were given to `committed` (or need not be)."""
        return int(self._library.raftLastApplied)

    @property
    def commit_index(self) -> int:
        """Highest entry known to be committed."""
        return self._library.commit_index

    def view(self) -> LogView:
        """The log, as `normalise` wants it."""
        journal = self._journal
        first = journal[0][1]
        return LogView(
            first=first,
            last=journal[-1][1],
            committed=max(first, self.commit_index),
            term_of=lambda index: journal[index - first][2],
        )

    # What drives it.

    def tick(self) -> None:
        """Let it do what is due: step down, commit, hand over, take proposals, send. Needs no timing."""
        enter(self._runtime)
        first_time, self._ticked = not self._ticked, True
        self._library.doTick(0)
        if first_time and self._journal[0][1] > 1 and not self._loaded:
            raise Damaged("the consensus engine did not accept the start of the log")

    def propose(self, batch: bytes, done: Done) -> None:
        """Queue a batch for the next tick. `done` may never be called: a leader may die."""
        enter(self._runtime)
        self._library.batch(batch, callback=done)

    def campaign(self, linked: Iterable[str]) -> None:
        """Stand for election in the next term, now: term and vote are durable when the requests leave."""
        enter(self._runtime)
        for peer in self.voters.intersection(linked):
            self.connect(peer)
        leader = self._library.leader_node
        self._wire.deliver(leader, {"type": "timeout_now", "term": self.term})
        self._library.doTick(0)
        if self.role != "leader":
            for peer in self.peers:
                self.disconnect(peer)

    def connect(self, peer: str) -> None:
        """Allow a leader to make the next append for this follower."""
        self._wire.connected(self._node(peer))

    def disconnect(self, peer: str) -> None:
        """Keep a leader from making appends for this follower."""
        self._wire.disconnected(self._node(peer))

    def send_appends(self) -> None:
        """Have a leader make an append for every connected follower, now."""
        enter(self._runtime)
        self._library.send_appends()

    # What it hears.

    def observe_term(self, peer: str, term: int) -> None:
        """Take a higher term, in which some node is; whoever leads or stands in an older one steps down."""
        if term > self.term:
            self._deliver(
                peer, {"type": "request_vote", "term": term, "last_log_index": 0, "last_log_term": -1}
            )

    def vote_request(self, peer: str, term: int, last_index: int, last_term: int) -> None:
        """A node stands for election."""
        self._deliver(
            peer,
            {"type": "request_vote", "term": term, "last_log_index": last_index, "last_log_term": last_term},
        )

    def vote(self, peer: str, term: int) -> None:
        """A node votes for this one. Each may be counted once a term: the library does not look."""
        self._deliver(peer, {"type": "response_vote", "term": term})

    def follows(self, peer: str, term: int) -> bool:
        """Whether this node is a follower of `peer`, in that term."""
        return self.role == "follower" and self.term == term and self.leader == peer

    def follow(self, peer: str, term: int) -> None:
        """A node leads in `term`; says nothing of the log."""
        self._deliver(
            peer,
            {
                "type": "append_entries",
                "term": term,
                "commit_index": self._library.raftCommitIndex,
                "entries": [],
            },
        )

    def append(self, peer: str, term: int, append: Accept) -> None:
        """Take the entries of the leader of `term`, normalised."""
        self._answer = None
        self._deliver(
            peer,
            {
                "type": "append_entries",
                "term": term,
                "commit_index": append.commit_index,
                "entries": append.entries,
                "prevLogIdx": append.previous_index,
                "prevLogTerm": append.previous_term,
            },
        )
        answer = self._take_answer()
        if answer is None or not answer["success"] or answer["next_node_idx"] <= append.matched:
            raise Damaged(f"the consensus engine did not take entries up to {append.matched}")

    def install(self, peer: str, term: int, before: Entry, last: Entry) -> None:
        """Replace the log by the last two entries of a snapshot, which the state machine has installed.

        What the log has behind an equal `last` stays. Raises Damaged if the library does not do it.
        """
        self._answer, self._loaded, self._pair = None, False, (before, last)
        self._deliver(
            peer,
            {
                "type": "append_entries",
                "term": term,
                "commit_index": last[1],
                "serialized": (b"", True, True),
            },
        )
        self._pair = None
        if not self._was_loaded() or self._take_answer() is None or self.handed_over != last[1]:
            raise Damaged(f"the consensus engine did not take the snapshot at entry {last[1]}")

    def matched(self, peer: str, next_index: int) -> None:
        """A follower has everything before `next_index`, durably, and so has this node."""
        self._replied(peer, next_index, reset=False, success=True)

    def rewind(self, peer: str, next_index: int) -> None:
        """A follower needs the entries from `next_index` on."""
        self._replied(peer, next_index, reset=True, success=False)

    def alive(self, peer: str) -> None:
        """A follower follows."""
        self._replied(peer, 0, reset=False, success=False)

    def proposed(self, request: int, index: int, term: int) -> None:
        """The leader has put proposal `request` of this node into the log."""
        self._deliver(
            None,
            {"type": "apply_command_response", "request_id": request, "log_idx": index, "log_term": term},
        )

    def refused(self, request: int, error: int) -> None:
        """The leader has not taken proposal `request` of this node."""
        self._deliver(None, {"type": "apply_command_response", "request_id": request, "error": error})

    def proposal(self, peer: str, request: object, command: bytes) -> None:
        """A follower wants `command` in the log; `request` comes back with the answer."""
        self._deliver(peer, {"type": "apply_command", "request_id": request, "command": command})

    def transfer(self, peer: str) -> bool:
        """Ask a follower that has the whole log to take over; False if it has not, or this is no leader."""
        enter(self._runtime)
        results: list[int] = []
        self._library.transferLeadership(self._node(peer), lambda result, error: results.append(error))
        return results == [SUCCESS]

    # The library's side.

    def _take_answer(self) -> Message | None:
        return self._answer

    def _was_loaded(self) -> bool:
        return self._loaded

    def _replied(self, peer: str, next_index: int, *, reset: bool, success: bool) -> None:
        self._deliver(
            peer, {"type": "next_node_idx", "next_node_idx": next_index, "reset": reset, "success": success}
        )

    def _deliver(self, peer: str | None, message: Message) -> None:
        enter(self._runtime)
        self._wire.deliver(None if peer is None else self._node(peer), message)

    def _outgoing(self, peer: str, message: Message) -> None:
        if message["type"] == "next_node_idx":
            self._answer = message
        else:
            self._send(peer, message)

    def _on_committed(self, index: int, batch: bytes) -> int:
        self._committed(index, batch)
        return index

    def _on_configured(self, index: int, data: bytes) -> int:
        self._configured(index, data)
        return index

    def _deserialise(self, _path: str) -> tuple[Entry, Entry, list[Node]]:
        # The library wants (last, the one before, members), and keeps the log if it starts with these two.
        before, last = self._pair or (self._journal[0], self._journal[1])
        self._loaded = True
        return last, before, list(self._nodes.values())
