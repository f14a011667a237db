"""Messages between the engine and the wire: what is dropped, what is answered here, what the engine sees."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from raftstore.consensus.elections import Elections
from raftstore.consensus.pysyncobj.library import DENIED, NOT_LEADER, UNKNOWN, Message
from raftstore.consensus.pysyncobj.raft import CALL_PREFIX, Raft
from raftstore.consensus.replication.envelopes import EnvelopeSender
from raftstore.consensus.replication.follower import FollowerReplication
from raftstore.consensus.replication.leader import LeaderReplication
from raftstore.consensus.replication.reads import Confirmation, Reads
from raftstore.errors import Invalid
from raftstore.util.limits.ratelimitedlog import RateLimitedLog
from raftstore.wire import raft_pb2

log, denied = structlog.get_logger(), RateLimitedLog.per_peer()

OF_THIS_TERM = frozenset({"append_reply", "vote", "timeout_now", "probe", "probe_ack"})
"""Mean something only in the term in which they were sent."""
ANSWERED_IF_STALE = frozenset({"append", "vote_request", "probe"})
"""Whoever sends these in an old term must learn of the new one, or it would go on for ever."""
NOT_OBSERVED = frozenset({"poll_request", "vote_request"})
"""Do not by themselves make this node take their term: that is what polls are for."""


class Mailbox:
    """Routes messages for one raft.

    Invariants: only members are heard. What belongs to a term is not delivered in another. A node in a higher
    term makes all it talks to take that term, so two terms never talk past each other for long.
    """

    def __init__(
        self,
        *,
        raft: Raft,
        envelope_sender: EnvelopeSender,
        leader_side: LeaderReplication,
        follower_side: FollowerReplication,
        elections: Elections,
        confirmation: Confirmation,
        reads: Reads,
        boot: int,
        largest: int,
        refusal: Callable[[bytes], str | None],
        soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self._raft = raft
        self._envelope_sender = envelope_sender
        self._leader_side = leader_side
        self._follower_side = follower_side
        self._elections = elections
        self._confirmation = confirmation
        self._reads = reads
        self._boot = boot
        self._largest = largest
        self._refusal = refusal
        self._soon = soon
        self.transferring = False
        self.paused = False
        """The disk is full: as the leader this node takes no proposals."""

    # From the raft.

    def outgoing(self, peer: str, message: Message) -> None:
        """Send what the engine wants to tell `peer`."""
        kind = message["type"]
        if kind == "append_entries":
            self._leader_side.append(peer, message)
        elif kind == "apply_command":
            self._forward(peer, message["request_id"], message["command"])
        elif kind == "apply_command_response":
            boot, request = message["request_id"]
            reply = {
                "boot": boot,
                "request": request,
                "index": message.get("log_idx", 0),
                "entry_term": message.get("log_term", 0),
                "error": message.get("error", 0),
            }
            self._envelope_sender.send(peer, raft_pb2.Envelope(proposed=reply))
        elif kind == "request_vote":
            request_vote = raft_pb2.VoteRequest(
                last_index=message["last_log_index"],
                last_term=message["last_log_term"],
                transfer=self.transferring,
            )
            self._envelope_sender.send(peer, raft_pb2.Envelope(vote_request=request_vote))
        elif kind == "response_vote":
            self._elections.voted()
            self._envelope_sender.send(peer, raft_pb2.Envelope(vote=raft_pb2.Vote()))
        elif kind == "timeout_now":
            self._envelope_sender.send(peer, raft_pb2.Envelope(timeout_now=raft_pb2.TimeoutNow()))
        else:
            raise ValueError(f"pysyncobj sends an unknown message: {kind}")

    def _forward(self, leader: str, request: int, command: bytes) -> None:
        propose = {"boot": self._boot, "request": request, "command": command}
        if not self._envelope_sender.send(leader, raft_pb2.Envelope(propose=propose)):
            self._soon(lambda: self._raft.refused(request, NOT_LEADER))

    # From other members.

    def incoming(self, peer: str, envelope: raft_pb2.Envelope) -> bool:
        """Take a message of `peer`, a member; return whether the engine should work. Raises Invalid for nonsense."""
        kind, term = envelope.WhichOneof("kind"), envelope.term
        if kind is None:
            raise Invalid("an envelope with nothing in it")
        if kind not in NOT_OBSERVED and kind != "append":
            self._raft.observe_term(peer, term)
        if term < self._raft.term:
            if kind in ANSWERED_IF_STALE:
                self._envelope_sender.send(peer, raft_pb2.Envelope(stale_term=raft_pb2.StaleTerm()))
            if kind in ANSWERED_IF_STALE or kind in OF_THIS_TERM:
                return True
        if kind == "append_reply":
            return self._leader_side.reply(peer, envelope.append_reply)
        self._deliver(peer, term, kind, envelope)
        return True

    def _deliver(self, peer: str, term: int, kind: str, envelope: raft_pb2.Envelope) -> None:
        raft = self._raft
        match kind:
            case "append":
                self._append(peer, term, envelope.append)
            case "vote_request":
                request = envelope.vote_request
                if self._elections.may_vote(transfer=request.transfer):
                    raft.vote_request(peer, term, request.last_index, request.last_term)
            case "vote":
                if raft.role == "candidate" and self._elections.first_vote(peer):
                    raft.vote(peer, term)
            case "poll_request":
                self._elections.polled(peer, term, envelope.poll_request)
            case "poll_reply":
                self._elections.poll_answered(peer, envelope.poll_reply)
            case "propose":
                self._proposed_by(peer, envelope.propose)
            case "proposed":
                self._answered(envelope.proposed)
            case "timeout_now":
                if peer == raft.leader:
                    self._elections.stand(transfer=True)
            case "probe":
                ack = {"sequence": envelope.probe.sequence}
                self._envelope_sender.send(peer, raft_pb2.Envelope(probe_ack=ack))
            case "probe_ack":
                self._confirmation.acknowledge(peer, envelope.probe_ack.sequence)
            case "read_request":
                self._asked(peer, envelope.read_request)
            case "read_reply":
                reply = envelope.read_reply
                self._reads.answered(reply.boot, reply.request, None if reply.refused else reply.index)

    def _append(self, peer: str, term: int, append: raft_pb2.Append) -> None:
        if self._raft.role == "leader" and term == self._raft.term:
            log.error("another node claims to lead in this node's term", peer=peer, term=term)
            return
        self._follower_side.take(peer, term, append)
        self._elections.heard_leader()

    def _proposed_by(self, peer: str, propose: raft_pb2.Propose) -> None:
        if not propose.command.startswith(CALL_PREFIX) or len(propose.command) > self._largest:
            raise Invalid("a proposal that is not one, or too large")
        # Against the level in force here. It only rises, so what passes now may be appended at any later time; a node
        # that has applied more than this one is told no until this one has caught up, and tries again.
        reason = self._refusal(propose.command[len(CALL_PREFIX) :])
        if reason is not None:
            denied.warning("proposal refused", peer=peer, reason=reason)
        waits = self.paused or self._elections.handing_over
        if reason is not None or (waits and self._raft.role == "leader"):
            error = NOT_LEADER if reason is None else DENIED
            reply = {"boot": propose.boot, "request": propose.request, "error": error}
            self._envelope_sender.send(peer, raft_pb2.Envelope(proposed=reply))
            return
        self._raft.proposal(peer, (propose.boot, propose.request), propose.command)

    def _answered(self, reply: raft_pb2.Proposed) -> None:
        if reply.boot != self._boot:
            return  # for this node before its restart; the number means another request now
        if reply.error:
            # Not taken as surely not done: if the network has doubled the proposal, one copy may have got through.
            self._raft.refused(reply.request, UNKNOWN)
        else:
            # (index, term) names an entry for ever, so it does not matter when this arrives.
            self._raft.proposed(reply.request, reply.index, reply.entry_term)

    def _asked(self, peer: str, request: raft_pb2.ReadRequest) -> None:
        boot, number = request.boot, request.request

        def answer(index: int | None) -> None:
            reply = {"boot": boot, "request": number, "refused": index is None, "index": index or 0}
            self._envelope_sender.send(peer, raft_pb2.Envelope(read_reply=reply))

        self._confirmation.ask(peer, answer)
