"""When to stand for election, and whom to let stand: timeouts, polls (pre-vote), stickiness to a live leader.

A node stands only after a majority has told it in a poll that it would vote for it, so one that is cut off, or
whose log is behind, neither raises its term nor disturbs a leader when it returns.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from raftstore.consensus.pysyncobj.raft import Raft
from raftstore.consensus.replication.envelopes import EnvelopeSender
from raftstore.consensus.runtime import Runtime
from raftstore.consensus.settings import ConsensusSettings
from raftstore.wire import raft_pb2

log = structlog.get_logger()

NEVER = float("-inf")


class Elections:
    """Decides for one node. `stand` (transfer or not) makes it a candidate in the raft."""

    def __init__(
        self,
        raft: Raft,
        envelope_sender: EnvelopeSender,
        runtime: Runtime,
        settings: ConsensusSettings,
        stand: Callable[[bool], None],
        *,
        observer: bool = False,
        held: bool = False,
    ) -> None:
        self._raft = raft
        self._envelope_sender = envelope_sender
        self._runtime = runtime
        self._settings = settings
        self._stand = stand
        self.observer = observer
        """This node has lost its log, and no leader has brought it up to date yet."""
        self.held = held
        """It is not certain yet that what this node has on disk is the latest that it ever had."""
        self.paused = False
        """The disk is full to the last byte: who leads must write. Votes are given."""
        self.reluctant = False
        """Others should rather lead: what is written here is taken from what was kept for a full disk."""
        self._heard = NEVER
        self._handed_over = NEVER
        self._round = 0
        self._granted: set[str] = set()
        self._polling = False
        self._voters: tuple[int, set[str]] = (0, set())
        self._deadline = runtime.now() + self._brief()

    @property
    def _abstains(self) -> bool:
        return self.observer or self.held

    @property
    def _stays(self) -> bool:
        """Whether this node does not stand, whatever others want."""
        return self._abstains or self.paused

    def _enough(self) -> bool:
        """Whether this node has a vote of its own, and so many voters can be reached that they could elect it."""
        voters = self._raft.voters
        return (
            self._raft.node in voters and len(self._envelope_sender.linked & voters) + 1 >= self._raft.majority
        )

    def leader_lives(self) -> bool:
        """Whether this node leads, or has heard a leader so recently that nobody should stand."""
        if self._raft.role == "leader":
            return True
        return self._runtime.now() - self._heard < self._settings.election_min

    def leader(self) -> str | None:
        """The leader, unless it was not heard of for so long that there may well be another one, or none."""
        leader = self._raft.leader
        if leader == self._raft.node or self._runtime.now() - self._heard < self._settings.election_max:
            return leader
        return None

    def may_vote(self, *, transfer: bool = False) -> bool:
        """Whether to consider a vote at all. `transfer`: it is the leader who wants to be replaced."""
        return not self._abstains and (transfer or not self.leader_lives())

    # Handing over.

    def hand_over(self) -> None:
        """This node leads, and has asked another to take over, which has the whole log."""
        self._handed_over = self._runtime.now()

    @property
    def handing_over(self) -> bool:
        """Whether that one may still stand: what is put into the log meanwhile makes the others refuse their votes.

        So a leader takes no proposals for that time (Ongaro's thesis, section 3.10). They are tried again soon.
        """
        if self._raft.role != "leader":
            return False
        return self._runtime.now() - self._handed_over < self._settings.election_min

    # What moves the deadline.

    def heard_leader(self) -> None:
        """An append of the current leader came in."""
        self._heard = self._runtime.now()
        self._postpone()

    def lost_leader(self) -> None:
        """The connection to the leader broke: most likely it is dead, so do not wait for the timeout."""
        self._heard = NEVER
        self._deadline = min(self._deadline, self._runtime.now() + self._brief())

    def voted(self) -> None:
        """This node has given its vote to another: leave it time to win."""
        self._postpone()

    def stepped_down(self) -> None:
        """This node led until now."""
        self._heard = self._handed_over = NEVER
        self._postpone()

    def _postpone(self) -> None:
        settings, self._polling = self._settings, False
        spread = settings.election_max - settings.election_min
        self._deadline = (
            self._runtime.now() + settings.election_min + spread * self._runtime.random() + self._later()
        )

    def _brief(self) -> float:
        # Long enough for a round of messages, and random enough that two nodes seldom meet.
        return (0.1 + 0.9 * self._runtime.random()) * self._settings.election_min / 2 + self._later()

    def _later(self) -> float:
        return self._settings.election_max if self.reluctant else 0.0

    # Standing.

    def check(self) -> None:
        """Poll the others if it is time. To be called a few times a heartbeat."""
        raft = self._raft
        if raft.role == "leader" or self._stays or self._runtime.now() < self._deadline:
            return
        if raft.alone:
            self._deadline = self._runtime.now() + self._settings.election_min
            self._stand(False)
            return
        self._deadline = self._runtime.now() + self._brief()
        if not self._enough():
            return
        self._round += 1
        self._granted, self._polling = {raft.node}, True
        view = raft.view()
        poll = raft_pb2.PollRequest(round=self._round, last_index=view.last, last_term=view.term_of(view.last))
        self._envelope_sender.broadcast(raft.voters, raft_pb2.Envelope(poll_request=poll))

    def polled(self, peer: str, term: int, request: raft_pb2.PollRequest) -> None:
        """Answer a poll; `term` is the sender's present term."""
        view = self._raft.view()
        mine = (view.term_of(view.last), view.last)
        granted = (
            term + 1 > self._raft.term and (request.last_term, request.last_index) >= mine and self.may_vote()
        )
        reply = raft_pb2.PollReply(round=request.round, granted=granted)
        self._envelope_sender.send(peer, raft_pb2.Envelope(poll_reply=reply))

    def poll_answered(self, peer: str, reply: raft_pb2.PollReply) -> None:
        """Take an answer to a poll; with a majority, stand."""
        if not self._polling or reply.round != self._round or not reply.granted:
            return
        self._granted.add(peer)
        if len(self._granted & self._raft.voters) >= self._raft.majority and not self.leader_lives():
            self.stand(transfer=False)

    def stand(self, *, transfer: bool) -> None:
        """Become a candidate; the next poll is after a random while, in case the vote is split."""
        if self._stays or not self._enough():
            return
        self._polling = False
        self._deadline = self._runtime.now() + self._settings.election_min / 2 + self._brief()
        log.info("standing for election", term=self._raft.term + 1, transfer=transfer)
        self._stand(transfer)

    def first_vote(self, peer: str) -> bool:
        """Whether this is the first vote of `peer`, a voter, in the current term: only that one counts."""
        if peer not in self._raft.voters:
            return False
        term, voters = self._voters
        if term != self._raft.term:
            voters = set()
            self._voters = (self._raft.term, voters)
        if peer in voters:
            return False
        voters.add(peer)
        return True
