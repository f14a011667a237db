"""The follower's side of replication: take appends, and acknowledge only what is durable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from raftstore.consensus.log.records import Entry
from raftstore.consensus.pysyncobj.raft import Raft
from raftstore.consensus.replication.envelopes import EnvelopeSender
from raftstore.consensus.replication.normalise import (
    Accept,
    Reject,
    check_append,
    normalise,
    nothing_new,
)
from raftstore.wire import raft_pb2

log = structlog.get_logger()

ALIVE = raft_pb2.AppendReply.ALIVE
MATCHED = raft_pb2.AppendReply.MATCHED
REJECTED = raft_pb2.AppendReply.REJECTED
LEFT_BYTES = 64 * 1024
"""Bytes that entries of earlier terms may have to be taken on a full disk."""
REGULAR = b"\x00"
"""How everything begins that is not pysyncobj's own: its command type of that name."""


@dataclass(slots=True)
class _Promise:
    """An acknowledgement that waits for the journal."""

    leader: str
    term: int
    sequence: int
    next_index: int


def small_part(decision: Accept, term: int) -> Accept:
    """Return what of an append of the leader of `term` is taken on a full disk.

    That is what it begins with: its first entry, and a little of what earlier leaders left to it; no entry where it
    goes on with others. What is known here already, and what is committed of that, is taken in any case.
    """
    size = taken = 0
    for command, _, of in decision.entries:
        size += len(command)
        if size > LEFT_BYTES or (of == term and command.startswith(REGULAR)):
            break
        taken += 1
    if taken == len(decision.entries):
        return decision
    matched = decision.previous_index + taken
    return Accept(
        decision.previous_index,
        decision.previous_term,
        decision.entries[:taken],
        min(decision.commit_index, matched),
        matched,
    )


class FollowerReplication:
    """Takes the appends of the current leader.

    Invariant: MATCHED leaves only when the journal has synced every entry before its next_index, and only in
    the term in which the entries were matched. One acknowledgement waits at a time: a later one covers it.

    While `paused`, since the disk is full, the leader's commands are not taken. It gets signs of life, so that it stays
    the leader and reads go on. What a new leader begins with is taken: reads wait for it, and it has a few bytes.
    """

    paused = False

    def __init__(
        self,
        raft: Raft,
        envelope_sender: EnvelopeSender,
        durable: Callable[[], int],
        need_snapshot: Callable[[str], None],
        up_to_date: Callable[[], None],
    ) -> None:
        self._raft = raft
        self._envelope_sender = envelope_sender
        self._durable = durable
        self._need_snapshot = need_snapshot
        self._up_to_date = up_to_date
        self._commit_index = 0
        self._promise: _Promise | None = None
        self._declined = (0, 0)
        self._sequence = 0

    def take(self, leader: str, term: int, append: raft_pb2.Append) -> None:
        """Take an append of `leader`, which leads in `term` (at least ours). Raises Invalid for nonsense."""
        previous = append.previous_index
        entries: list[Entry] = [
            (entry.command, index, entry.term) for index, entry in enumerate(append.entries, previous + 1)
        ]
        check_append(term, previous, append.previous_term, entries)
        self._sequence, self._commit_index = append.sequence, append.commit_index
        # Names the leader first: its term must be known before the log is judged in it.
        if not self._raft.follows(leader, term):
            self._raft.follow(leader, term)
        decision = normalise(self._raft.view(), previous, append.previous_term, entries, append.commit_index)
        if isinstance(decision, Reject):
            self._reject(leader, append, decision)
            return
        taken = small_part(decision, term) if self.paused else decision
        self._raft.append(leader, term, taken)
        if decision.entries and not taken.entries:
            self._declined = (term, taken.matched)
            self._reply(leader, append.sequence, ALIVE, 0)
            return
        self.promise(leader, taken.matched + 1)
        if self._promise is not None and not append.entries:
            # A heartbeat is answered at once, whatever the disk does, or a slow disk would cost the leader.
            self._reply(leader, append.sequence, ALIVE, 0)

    def _reject(self, leader: str, append: raft_pb2.Append, reject: Reject) -> None:
        """Ask for what is missing before an append; on a full disk not for what was declined already."""
        term, view = self._raft.term, self._raft.view()
        declined = self.paused and self._declined == (term, view.last)
        if declined:
            # The logs are equal up to there, so that what is committed of that can be read here.
            self._raft.append(leader, term, nothing_new(view, view.last, append.commit_index))
        if append.oldest and not self.paused:
            self._need_snapshot(leader)
        if append.oldest or declined:
            self._reply(leader, append.sequence, ALIVE, 0)
        else:
            self._reply(leader, append.sequence, REJECTED, reject.next_index)

    def promise(self, leader: str, next_index: int) -> None:
        """Acknowledge everything before `next_index` as soon as it is durable."""
        term = self._raft.term
        waiting = self._promise
        if waiting is not None and waiting.term == term and waiting.leader == leader:
            next_index = max(next_index, waiting.next_index)
        self._promise = _Promise(leader, term, self._sequence, next_index)
        self.release()

    def release(self) -> None:
        """Send the acknowledgement that waits, if the journal allows it now."""
        promise = self._promise
        if promise is None or promise.next_index - 1 > self._durable():
            return
        self._promise = None
        if promise.term == self._raft.term and promise.leader == self._raft.leader:
            self._reply(promise.leader, promise.sequence, MATCHED, promise.next_index)
            self._compare(promise.next_index - 1)

    def _compare(self, durable: int) -> None:
        """Tell when this log has, durably, all that the leader knows to be committed.

        With an entry of its own: before that it may not know of all that earlier leaders have committed.
        """
        view, commit_index = self._raft.view(), self._commit_index
        if view.first <= commit_index <= durable and view.term_of(commit_index) == self._raft.term:
            self._up_to_date()

    def _reply(
        self, leader: str, sequence: int, outcome: raft_pb2.AppendReply.Outcome, next_index: int
    ) -> None:
        reply = {"sequence": sequence, "outcome": outcome, "next_index": next_index}
        self._envelope_sender.send(leader, raft_pb2.Envelope(append_reply=reply), urgent=True)
