"""Who the members are, for the rest of the store, and changes of that on the leader (MEMBERSHIP.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from raftstore.consensus.membership.configuration import Configuration, check_step
from raftstore.consensus.membership.watchedlog import Versioned
from raftstore.consensus.pysyncobj.raft import Raft
from raftstore.consensus.replication.leader import LeaderReplication
from raftstore.consensus.runtime import Runtime
from raftstore.errors import Changed, NoQuorum, OutcomeUnknown

log = structlog.get_logger()

Step = Callable[[Configuration, int], Configuration]
"""Makes the next configuration out of the one in force and the index of the entry that it will be."""


class Membership:
    """What a member knows of the members; the leader can change them.

    Invariant: a configuration is appended only on one that is committed, by a leader that has committed an entry of
    its own term, and differs from it in one voter at most. So there is one change at a time.
    """

    def __init__(
        self, raft: Raft, leader_side: LeaderReplication, runtime: Runtime, tick: Callable[[], None]
    ) -> None:
        self._raft = raft
        self._leader_side = leader_side
        self._runtime = runtime
        self._tick = tick
        self.introduced: frozenset[str] = frozenset()
        """Members that this log may not have yet."""
        self._waiting: tuple[int, int, asyncio.Future[int]] | None = None
        self._reported: tuple[Versioned, int] | None = None
        self._watchers: list[Callable[[], None]] = []
        self._stopped = ""

    # What is known.

    @property
    def configuration(self) -> Versioned:
        """The configuration in force here, the last one in the log, with its index (0: none is in the log)."""
        return self._raft.configuration

    @property
    def committed(self) -> Versioned:
        """The last configuration known to be committed, with its index (0: the one from the start)."""
        return self._raft.committed_configuration

    def watch(self, callback: Callable[[], None]) -> None:
        """Call when `configuration` or `committed` has become another one."""
        self._watchers.append(callback)

    def introduce(self, names: Iterable[str]) -> None:
        """Hear these nodes too: others know them for members, in a configuration that this log may not have yet."""
        self.introduced = frozenset(names)

    def knows(self, peer: str) -> bool:
        """Whether `peer` is a member, as far as this node knows or was told."""
        return peer in self._raft.peers or peer in self.introduced

    def heard_lately(self, within: float) -> frozenset[str]:
        """On a leader: the members that have answered it in the last `within` seconds, and itself."""
        since = self._runtime.now() - within
        heard = {peer for peer, one in self._leader_side.followers.items() if one.heard_at >= since}
        return frozenset(heard | {self._raft.node})

    # Changes.

    async def change(self, step: Step, *, after: int, timeout: float) -> int:
        """On the leader: let `step` follow on the configuration of entry `after`; return its entry, committed.

        Raises, with nothing done: Changed (another configuration is in force), NoQuorum (this node does not lead,
        or it cannot tell yet whether the last change is done), Invalid (not a step that may be). OutcomeUnknown:
        it was begun, and not committed in time, or the leadership was lost.
        """
        raft = self._raft
        index, configuration = raft.configuration
        if self._stopped or raft.role != "leader":
            raise NoQuorum(self._stopped or "only the leader changes the membership")
        if index != after:
            raise Changed(f"the membership is of entry {index}, not {after}")
        if raft.committed_configuration[0] != index or not self._own_entry_committed():
            raise NoQuorum("the last change of the membership, or this leadership, is not committed yet")
        new = step(configuration, raft.view().last + 1)
        check_step(configuration, new, raft.node)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        entry, term = raft.append_configuration(new)
        self._waiting = (entry, term, future)
        log.info("membership changes", index=entry, voters=sorted(new.voters), members=sorted(new.names))
        timer = self._runtime.call_later(timeout, lambda: _lost(future, f"not committed within {timeout:g} s"))
        try:
            self._tick()
            return await future
        finally:
            timer.cancel()

    def check(self) -> None:
        """See what has become of the change under way, and tell of what is new. To be called after every tick."""
        self._conclude()
        now = (self._raft.configuration, self._raft.committed_configuration[0])
        if now != self._reported:
            self._reported = now
            for watcher in self._watchers:
                watcher()

    def stop(self, reason: str) -> None:
        """Let nobody wait."""
        self._stopped = reason
        if self._waiting is not None:
            _lost(self._waiting[2], reason)
            self._waiting = None

    def _conclude(self) -> None:
        if self._waiting is None:
            return
        index, term, future = self._waiting
        raft = self._raft
        if raft.term == term and raft.role == "leader" and raft.commit_index < index:
            return
        self._waiting = None
        # In the term in which it led, what it has appended stays in its log.
        if raft.term == term and raft.commit_index >= index:
            if not future.done():
                future.set_result(index)
        else:
            _lost(future, "this node no longer leads")

    def _own_entry_committed(self) -> bool:
        view = self._raft.view()
        return view.term_of(view.committed) == self._raft.term


def _lost(future: asyncio.Future[int], reason: str) -> None:
    if not future.done():
        future.set_exception(OutcomeUnknown(reason))
