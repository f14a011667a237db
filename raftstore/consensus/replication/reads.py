"""Read index: know how far to apply before a read is linearizable, without writing to the log.

A reader asks the leader. The leader notes its commit index, then makes sure that a majority is still in its
term: so nobody had been elected after it when the index was noted, and whatever was acknowledged before the
question is at or below that index (Raft dissertation, 6.4). One round serves all who waited when it began.

Among three voters a follower's question needs no round: it was sent after its reads began, by a node that was in no
later term, and with the leader that is a majority, so that nobody had been elected in a later term before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from raftstore.consensus.pysyncobj.raft import Raft
from raftstore.consensus.replication.envelopes import EnvelopeSender
from raftstore.consensus.runtime import Runtime, Timer
from raftstore.errors import NoQuorum
from raftstore.wire import raft_pb2

Answer = Callable[[int | None], None]
"""Gets the read index, or None when this node cannot tell (it does not lead)."""


class Confirmation:
    """The leader's part. Invariant: an index is given out only after a majority acknowledged a later probe."""

    def __init__(self, raft: Raft, envelope_sender: EnvelopeSender, runtime: Runtime, attempt: float) -> None:
        self._raft = raft
        self._envelope_sender = envelope_sender
        self._runtime = runtime
        self._attempt = attempt
        self._waiting: dict[str, Answer] = {}
        self._served: dict[str, Answer] = {}
        self._index = 0
        self._sequence = 0
        self._acknowledged: set[str] = set()
        self._probed_at = float("-inf")

    def ask(self, who: str, answer: Answer) -> None:
        """Answer `who`, once; a later question of the same node replaces one that waits."""
        if self._raft.role == "leader" and self._proves(who) and self._own_entry_committed():
            self._waiting.pop(who, None)
            answer(self._raft.commit_index)
            return
        self._waiting[who] = answer
        self.check()

    def _proves(self, who: str) -> bool:
        """Whether a question of `who` is an answer, too: its term, which was observed, is not above this one."""
        return self._is_majority({self._raft.node, who})

    def _is_majority(self, members: set[str]) -> bool:
        return len(members & self._raft.voters) >= self._raft.majority

    def check(self) -> None:
        """Go on, if something stands in the way no longer. To be called after every tick."""
        if not self._waiting and not self._served:
            return
        if self._raft.role != "leader":
            self._finish({**self._served, **self._waiting}, None)
            self._waiting, self._served = {}, {}
        elif self._served:
            if self._runtime.now() - self._probed_at >= self._attempt:
                self._probe()
        elif self._waiting and self._own_entry_committed():
            self._served, self._waiting = self._waiting, {}
            self._index = self._raft.commit_index
            self._probe()

    def acknowledge(self, peer: str, sequence: int) -> None:
        """A member is in the present term, as of probe `sequence`."""
        if not self._served or sequence != self._sequence or self._raft.role != "leader":
            return
        self._acknowledged.add(peer)
        self._conclude()

    def _probe(self) -> None:
        self._sequence += 1
        self._acknowledged = {self._raft.node}
        self._probed_at = self._runtime.now()
        self._envelope_sender.broadcast(
            self._raft.voters, raft_pb2.Envelope(probe={"sequence": self._sequence})
        )
        self._conclude()

    def _conclude(self) -> None:
        if self._is_majority(self._acknowledged):
            served, self._served = self._served, {}
            self._finish(served, self._index)
            self.check()

    @staticmethod
    def _finish(answers: dict[str, Answer], index: int | None) -> None:
        for answer in answers.values():
            answer(index)

    def _own_entry_committed(self) -> bool:
        # Before that, the commit index may lag behind what an earlier leader has acknowledged.
        view = self._raft.view()
        return view.term_of(view.committed) == self._raft.term


@dataclass(slots=True, eq=False)
class _Reader:
    future: asyncio.Future[None]
    index: int = 0


class Reads:
    """The reader's part, on every node."""

    def __init__(
        self,
        *,
        raft: Raft,
        envelope_sender: EnvelopeSender,
        runtime: Runtime,
        confirmation: Confirmation,
        leader: Callable[[], str | None],
        applied_index: Callable[[], int],
        boot: int,
        attempt: float,
        guard: Callable[[Callable[[], None]], Callable[[], None]],
    ) -> None:
        self._raft = raft
        self._envelope_sender = envelope_sender
        self._runtime = runtime
        self._confirmation = confirmation
        self._leader = leader
        self._applied_index = applied_index
        self._boot = boot
        self._attempt = attempt
        self._retry_guarded = guard(self._retry)
        self._start_guarded = guard(self._start)
        self._new: list[_Reader] = []
        self._asking: list[_Reader] = []
        self._behind: list[_Reader] = []
        self._request = 0
        self._timer: Timer | None = None
        self._starting = False
        self._stopped = False

    async def barrier(self, timeout: float) -> None:
        """Return when everything acknowledged before the call, anywhere, is applied here. NoQuorum."""
        if self._stopped:
            raise NoQuorum("the node is stopping")
        reader = _Reader(asyncio.get_running_loop().create_future())
        self._new.append(reader)
        if not self._starting:
            self._starting = True
            self._runtime.call_soon(self._start_guarded)
        deadline = self._runtime.call_later(timeout, lambda: _give_up(reader, timeout))
        try:
            await reader.future
            while reader.index > self._applied_index():
                # For want of disk space it was undone before the reader's turn came.
                reader.future = asyncio.get_running_loop().create_future()
                self._behind.append(reader)
                await reader.future
        finally:
            deadline.cancel()

    def check(self) -> None:
        """Release readers whose index is applied. To be called after every tick and every entry applied."""
        if self._behind:
            applied = self._applied_index()
            for reader in self._behind:
                if reader.index <= applied and not reader.future.done():
                    reader.future.set_result(None)
            self._behind = [reader for reader in self._behind if not reader.future.done()]

    def leader_changed(self) -> None:
        """Ask the new leader, if there is one."""
        self._retry()

    def answered(self, boot: int, request: int, index: int | None) -> None:
        """Take the answer to a question of this node; None: the node asked does not lead."""
        if boot != self._boot or request != self._request or not self._asking:
            return
        if index is None:
            # Most likely an election is under way: the timer, or the new leader, starts the next attempt.
            return
        self._stop_timer()
        for reader in self._asking:
            reader.index = index
        self._behind += self._asking
        self._asking = []
        self.check()
        self._start()

    def stop(self) -> None:
        """Refuse all who wait, and all who come."""
        self._stopped = True
        self._stop_timer()
        for reader in (*self._new, *self._asking, *self._behind):
            if not reader.future.done():
                reader.future.set_exception(NoQuorum("the node is stopping"))
        self._new, self._asking, self._behind = [], [], []

    def _start(self) -> None:
        self._starting = False
        if self._asking or self._stopped:
            return
        self._asking = [reader for reader in self._new if not reader.future.done()]
        self._new = []
        if not self._asking:
            return
        self._request += 1
        self._timer = self._runtime.call_later(self._attempt, self._retry_guarded)
        leader, boot, request = self._leader(), self._boot, self._request
        if leader == self._raft.node:
            self._confirmation.ask(leader, lambda index: self.answered(boot, request, index))
        elif leader is not None:
            question = {"boot": boot, "request": request}
            self._envelope_sender.send(leader, raft_pb2.Envelope(read_request=question))

    def _retry(self) -> None:
        self._stop_timer()
        self._new = self._asking + self._new
        self._asking = []
        self._start()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _give_up(reader: _Reader, timeout: float) -> None:
    if not reader.future.done():
        reader.future.set_exception(NoQuorum(f"no majority confirmed the leader within {timeout:g} s"))
