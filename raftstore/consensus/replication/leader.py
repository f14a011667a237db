"""The leader's side of replication: what goes to which follower when, and when a reply may be counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from raftstore.consensus.log.raftlog import RaftLog
from raftstore.consensus.pysyncobj.library import Message
from raftstore.consensus.pysyncobj.raft import Raft
from raftstore.consensus.replication.envelopes import EnvelopeSender
from raftstore.consensus.replication.follower import ALIVE, MATCHED
from raftstore.consensus.runtime import Runtime
from raftstore.consensus.settings import ConsensusSettings
from raftstore.wire import raft_pb2

log = structlog.get_logger()


@dataclass(slots=True)
class Follower:
    """How far a follower is, as its leader knows.

    `next_index` follows pysyncobj's own figure. `open`: the engine may make its next append. `flight` is the
    append with entries that is under way: sequence, last index, last term. While there is one, or while the
    follower needs a snapshot, only heartbeats of ours go to it.
    """

    next_index: int
    match_index: int = 0
    sequence: int = 0
    flight: tuple[int, int, int] | None = None
    snapshot: bool = False
    open: bool = False
    sent_at: float = float("-inf")
    sent_commit: int = 0
    held: raft_pb2.AppendReply | None = None
    heard_at: float = float("-inf")


class LeaderReplication:
    """Keeps a Follower for every other member while this node leads.

    Invariants: at most one append with entries is under way to a follower. The engine hears that a follower has
    an entry only when this node's own journal has synced it.
    """

    def __init__(
        self,
        raft: Raft,
        journal: RaftLog,
        envelope_sender: EnvelopeSender,
        runtime: Runtime,
        settings: ConsensusSettings,
        need_sync: Callable[[], None],
        soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self._raft = raft
        self._journal = journal
        self._envelope_sender = envelope_sender
        self._runtime = runtime
        self._heartbeat = settings.heartbeat
        self._most = settings.append_entries
        self._need_sync = need_sync
        self._soon = soon
        self._telling = self._reported = False
        self.followers: dict[str, Follower] = {}

    # Life of a leadership and of links.

    def lead(self) -> None:
        """This node has become the leader."""
        next_index = self._journal[-1][1] + 1
        self.followers = {peer: Follower(next_index) for peer in self._raft.peers}
        for peer in self._envelope_sender.linked & self.followers.keys():
            self._open(peer, self.followers[peer])

    def retire(self) -> None:
        """This node leads no more."""
        self.followers = {}
        for peer in self._raft.peers:
            self._raft.disconnect(peer)

    def reconfigured(self) -> None:
        """The members have changed: whoever is new gets the log, whoever is gone gets nothing more."""
        if self._raft.role != "leader":
            return
        for gone in self.followers.keys() - self._raft.peers:
            del self.followers[gone]
        for peer in sorted(self._raft.peers - self.followers.keys()):
            # Where the engine begins with it, too.
            self.followers[peer] = Follower(self._journal[-1][1] + 1)
            self._open(peer, self.followers[peer])

    def link_up(self, peer: str) -> None:
        """Messages can be sent to `peer` (again): what was under way is lost."""
        follower = self.followers.get(peer)
        if follower is not None:
            # Nothing that an earlier start of it has said counts any more: it may have lost its disk since.
            follower.flight = follower.held = None
            follower.sent_at = float("-inf")
            self._open(peer, follower)

    def link_down(self, peer: str) -> None:
        """No messages can be sent to `peer`."""
        follower = self.followers.get(peer)
        if follower is not None:
            follower.held = None
            self._close(peer, follower)

    def compacted(self) -> None:
        """The log starts later: who needs what is gone, needs a snapshot."""
        for peer, follower in self.followers.items():
            if follower.open and self._behind(follower):
                self._close(peer, follower)
                follower.snapshot = True

    # Appends out.

    def append(self, peer: str, message: Message) -> None:
        """Send an append that the engine has made for an open follower."""
        follower = self.followers.get(peer)
        if follower is None or message.get("prevLogIdx") is None or "entries" not in message:
            # The library's own ways for snapshots and huge entries: neither is used.
            if follower is not None:
                self._close(peer, follower)
                follower.snapshot = True
            return
        # A part will do: the reply sets the engine back to where that ends.
        entries, commit_index = message["entries"][: self._most], self._raft.commit_index
        if not entries and not self._due(follower):
            return  # `tell` says what is committed
        envelope = raft_pb2.Envelope()
        append = envelope.append
        append.previous_index = message["prevLogIdx"]
        append.previous_term = message["prevLogTerm"]
        append.commit_index = commit_index
        for command, _, term in entries:
            append.entries.add(term=term, command=command)
        if entries:
            # Closed before it is sent: the engine then makes no second append for this follower.
            _, last_index, last_term = entries[-1]
            follower.flight = (follower.sequence + 1, last_index, last_term)
            follower.next_index = last_index + 1
            self._close(peer, follower)
        self._send(peer, follower, envelope)

    def heartbeats(self) -> None:
        """Remind the followers to which the engine may make no append."""
        now = self._runtime.now()
        for peer, follower in self.followers.items():
            if (
                follower.open
                or peer not in self._envelope_sender.linked
                or now - follower.sent_at < self._heartbeat
            ):
                continue
            if follower.flight is not None:
                _, index, term = follower.flight
            else:
                _, index, term = self._journal[1]
            append = raft_pb2.Append(
                previous_index=index,
                previous_term=term,
                commit_index=self._raft.commit_index,
                oldest=follower.flight is None,
            )
            self._send(peer, follower, raft_pb2.Envelope(append=append))

    def flush(self) -> None:
        """Have the engine send the entries that an open follower has not been sent."""
        if not self.followers:
            return
        last = self._journal[-1][1]
        for follower in self.followers.values():
            if follower.open and follower.next_index <= last:
                self._raft.send_appends()
                return

    def tell(self) -> None:
        """Have the engine tell open followers, soon, what is committed. To be called when that is applied.

        Not at once: those whose commands are done may propose more, and one append carries both. The next round
        of the loop lets them, the one after it lets the proposer make a batch of it.
        """
        if not self._telling and self._unreported():
            self._telling = True
            self._soon(lambda: self._soon(self._tell))

    def _unreported(self) -> bool:
        if not self.followers:
            return False
        commit = self._raft.commit_index
        return any(f.open and f.sent_commit < commit for f in self.followers.values())

    def _tell(self) -> None:
        self._telling = False
        if self._unreported():
            self._reported = True
            self._raft.send_appends()
            self._reported = False

    # Replies in.

    def reply(self, peer: str, reply: raft_pb2.AppendReply) -> bool:
        """Take a follower's reply of this term; return whether the engine may have something to commit."""
        follower = self.followers.get(peer)
        if follower is None:
            return False
        follower.heard_at = self._runtime.now()
        if reply.outcome == MATCHED and reply.next_index - 1 > self._journal.durable_index:
            held = follower.held
            if held is None or (held.sequence, held.next_index) <= (reply.sequence, reply.next_index):
                follower.held = reply
            self._raft.alive(peer)
            self._need_sync()
            return False
        self._count(peer, follower, reply)
        if follower.match_index > self._raft.commit_index:
            return True
        # Nothing to commit, so nothing to work on but what this follower lacks.
        self.flush()
        self.tell()
        return False

    def release(self) -> bool:
        """Count the replies that waited for this node's own journal, as far as it allows now; whether there are any."""
        counted = False
        for peer, follower in list(self.followers.items()):
            held = follower.held
            if held is not None and held.next_index - 1 <= self._journal.durable_index:
                follower.held = None
                self._count(peer, follower, held)
                counted = True
        return counted

    def _count(self, peer: str, follower: Follower, reply: raft_pb2.AppendReply) -> None:
        answer = _answers_flight(follower, reply)
        if reply.outcome == MATCHED:
            if reply.next_index > self._journal[-1][1] + 1:
                log.error("follower acknowledges entries that do not exist", peer=peer, next=reply.next_index)
                return
            self._raft.matched(peer, reply.next_index)
            if reply.next_index - 1 > follower.match_index:
                follower.match_index = reply.next_index - 1
                follower.next_index = reply.next_index
            elif follower.next_index < reply.next_index:
                # A late rejection had set it back further than is needed.
                follower.next_index = reply.next_index
                self._raft.rewind(peer, reply.next_index)
        elif reply.outcome == ALIVE or not answer:
            self._raft.alive(peer)
            return
        else:
            follower.next_index = max(2, min(reply.next_index, self._journal[-1][1] + 1))
            self._raft.rewind(peer, follower.next_index)
        if answer:
            follower.flight = None
            self._open(peer, follower)

    # Helpers.

    def _open(self, peer: str, follower: Follower) -> None:
        if peer not in self._envelope_sender.linked:
            return
        follower.snapshot = self._behind(follower)
        follower.open = not follower.snapshot
        if follower.open:
            self._raft.connect(peer)

    def _close(self, peer: str, follower: Follower) -> None:
        follower.open = False
        self._raft.disconnect(peer)

    def _behind(self, follower: Follower) -> bool:
        return follower.next_index <= self._journal[0][1]

    def _due(self, follower: Follower) -> bool:
        if self._reported and follower.sent_commit < self._raft.commit_index:
            return True
        return self._runtime.now() - follower.sent_at >= self._heartbeat / 2

    def _send(self, peer: str, follower: Follower, envelope: raft_pb2.Envelope) -> None:
        append = envelope.append
        follower.sequence += 1
        append.sequence = follower.sequence
        follower.sent_at = self._runtime.now()
        follower.sent_commit = append.commit_index
        self._envelope_sender.send(peer, envelope, urgent=bool(append.entries))


def _answers_flight(follower: Follower, reply: raft_pb2.AppendReply) -> bool:
    """Whether a reply tells the fate of the append with entries that is under way: heartbeats' mostly do not."""
    if follower.flight is None:
        return True
    sequence, last_index, _ = follower.flight
    return reply.sequence >= sequence or (reply.outcome == MATCHED and reply.next_index > last_index)
