"""Known bugs of log, votes and disk. See `bugs`."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import ExitStack
from typing import Any
from unittest import mock

import simnode
from pysyncobj import SyncObj
from simbugs import bug, replace

from raftstore.consensus import applier, elections
from raftstore.consensus.log import ahead, hardstate, journal, records, recovery
from raftstore.consensus.pysyncobj import library, raft
from raftstore.consensus.replication import follower as follower_side
from raftstore.consensus.replication import leader as replicator
from raftstore.consensus.replication import mailbox
from raftstore.consensus.replication.normalise import Accept, Reject
from raftstore.consensus.snapshots import compaction
from raftstore.metadata import catalog
from raftstore.metadata.database import snapshots


class _Synced:
    """A journal that calls everything synced."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __getitem__(self, item: Any) -> Any:
        return self._real[item]

    def __len__(self) -> int:
        return len(self._real)

    @property
    def durable_index(self) -> int:
        return 1 << 60


# Durability.


@bug("a follower acknowledges before its journal is synced")
def reply_before_sync(stack: ExitStack) -> None:
    def init(self: Any, raft: Any, envelope_sender: Any, durable: Any, *rest: Any) -> None:
        real(self, raft, envelope_sender, lambda: 1 << 60, *rest)

    real = replace(stack, follower_side.FollowerReplication, "__init__", init)


@bug("the leader counts its own entries before they are synced")
def leader_counts_unsynced(stack: ExitStack) -> None:
    def init(self: Any, raft: Any, log: Any, *rest: Any) -> None:
        real(self, raft, _Synced(log), *rest)

    real = replace(stack, replicator.LeaderReplication, "__init__", init)


@bug("the journal's sync does not sync")
def sync_without_sync(stack: ExitStack) -> None:
    def datasync(self: Any) -> None:
        if not self._path.name.endswith(".log"):
            real(self)

    from simdisk import SimFile

    real = replace(stack, SimFile, "datasync", datasync)


@bug("term and vote are renamed into place without a sync of the directory")
def vote_not_synced(stack: ExitStack) -> None:
    def put(disk: Any, directory: Any, data: Any) -> None:
        path = directory / hardstate.HARD_STATE
        temporary = directory / hardstate.SPARE
        if temporary.name in disk.names(directory):
            disk.unlink(temporary)
        file = disk.open(temporary, create=True)
        file.write_at(0, data)
        file.datasync()
        file.close()
        disk.rename(temporary, path)

    replace(stack, hardstate, "_replace", put)


@bug("the vote is forgotten at a restart")
def forget_vote(stack: ExitStack) -> None:
    def read(disk: Any, directory: Any) -> Any:
        from dataclasses import replace as changed

        return changed(real(disk, directory), vote=None)

    real = replace(stack, hardstate, "read_hard_state", read)


@bug("digests of the journal's frames are not compared")
def no_checksum(stack: ExitStack) -> None:
    replace(stack, records, "_digest", lambda key, *parts: b"0123456789abcdef")


@bug("an unsynced tail is not cut off but damage is: any fault in the last segment is taken for a torn write")
def any_fault_is_torn(stack: ExitStack) -> None:
    def judge(self: Any, path: Any, data: bytes, offset: int, sequence: int, fault: Any, *, last: bool) -> None:
        if not last:
            real(self, path, data, offset, sequence, fault, last=last)

    real = replace(stack, recovery._Reader, "_judge", judge)
    run = recovery._Reader.run

    def forgiving(self: Any, firsts: Any) -> Any:
        self._synced = hardstate.Mark()
        return run(self, firsts)

    replace(stack, recovery._Reader, "run", forgiving)


@bug("the log is taken to end at a frame that cannot be read, and the mark is not asked")
def end_at_damage(stack: ExitStack) -> None:
    replace(stack, recovery, "ends", lambda data, offset: True)
    run = recovery._Reader.run

    def forgiving(self: Any, firsts: Any) -> Any:
        self._synced = hardstate.Mark()
        return run(self, firsts)

    replace(stack, recovery._Reader, "run", forgiving)


@bug("what a full disk did not take of the log counts as written")
def full_disk_acknowledges(stack: ExitStack) -> None:
    def append(self: Any, batch: Any) -> bool:
        real(self, batch)
        return True

    real = replace(stack, journal.Journal, "_append", append)
    replace(stack, journal.Journal, "_put_back", lambda self, batch: None)


@bug("what a full disk has undone in the catalog is not applied again")
def full_disk_forgets(stack: ExitStack) -> None:
    def catch_up(self: Any) -> None:
        self._steps.clear()
        self.behind = False

    replace(stack, catalog.Catalog, "_catch_up", catch_up)


@bug("reads go on while what was applied is undone in the catalog")
def full_disk_stale_reads(stack: ExitStack) -> None:
    def applied(self: Any) -> int:
        return self._queue[0][0] - 1 if self._queue else int(self._handed_over())

    replace(stack, applier.Applier, "applied_index", property(applied))
    replace(stack, catalog.Catalog, "_check_current", lambda self: None)


@bug("a frame is written where zeros are just being written ahead of the log")
def frames_under_zeros(stack: ExitStack) -> None:
    replace(stack, ahead.Ahead, "fits", lambda self, end: True)


# Terms and elections.


@bug("what belongs to a term is delivered in another")
def forget_term_stamp(stack: ExitStack) -> None:
    replace(stack, mailbox, "OF_THIS_TERM", frozenset())


@bug("a node that has lost its log votes at once")
def rejoining_node_votes(stack: ExitStack) -> None:
    def init(self: Any, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **{**options, "observer": False})

    real = replace(stack, elections.Elections, "__init__", init)


@bug("a node that has lost its log does not ask for the term before it helps a leader")
def rejoining_without_term(stack: ExitStack) -> None:
    async def safe_term(others: Any, ask: Any) -> int:
        return 0

    replace(stack, simnode, "safe_term", safe_term)


@bug("votes are given whatever the candidate's log")
def vote_for_any_log(stack: ExitStack) -> None:
    def vote_request(self: Any, peer: str, term: int, last_index: int, last_term: int) -> None:
        real(self, peer, term, 1 << 60, term)

    def polled(self: Any, peer: str, term: int, request: Any) -> None:
        request.last_index, request.last_term = 1 << 60, term
        poll(self, peer, term, request)

    real = replace(stack, raft.Raft, "vote_request", vote_request)
    poll = replace(stack, elections.Elections, "polled", polled)


@bug("a node stands for election without asking first whether it has a chance")
def stand_without_poll(stack: ExitStack) -> None:
    def check(self: Any) -> None:
        if self._raft.role == "leader" or self.observer or self._runtime.now() < self._deadline:
            return
        self.stand(transfer=False)

    replace(stack, elections.Elections, "check", check)


# The log.


@bug("pysyncobj drops everything behind an append's previous entry, as it does by itself")
def no_normalise(stack: ExitStack) -> None:
    def normalise(log: Any, previous: int, term: int, entries: Any, commit: int) -> Any:
        decision = real(log, previous, term, entries, commit)
        if isinstance(decision, Reject) or previous < log.first:
            return decision
        end = previous + len(entries)
        return Accept(previous, term, entries, min(commit, end), end)

    real = replace(stack, follower_side, "normalise", normalise)


@bug("the same, and the journal does not refuse to drop what is committed")
def truncate_below_commit(stack: ExitStack) -> None:
    def drop(self: Any, position: int) -> None:
        commit, self._commit = self._commit, 0
        try:
            if position:
                real(self, position)
        finally:
            self._commit = min(commit, self._entries[-1][1])

    no_normalise(stack)
    real = replace(stack, journal.Journal, "deleteEntriesFrom", drop)


@bug("a leader commits what only it has")
def commit_alone(stack: ExitStack) -> None:
    def tick(self: Any) -> None:
        if self.role == "leader":
            matches = self._library._SyncObj__raftMatchIndex
            for node in matches:
                matches[node] = self._journal[-1][1]
        real(self)

    real = replace(stack, raft.Raft, "tick", tick)


@bug("a leader commits entries of earlier terms by counting copies (Raft, figure 8)")
def commit_older_terms(stack: ExitStack) -> None:
    def entries(self: Any, start: Any, count: Any = None, size: Any = None) -> Any:
        found = real(self, start, count, size)
        if sys._getframe(1).f_code.co_name == "_onTick":
            return [(command, index, self.raftCurrentTerm) for command, index, _ in found]
        return found

    real = SyncObj._SyncObj__getEntries
    stack.enter_context(mock.patch.object(library.Library, "_SyncObj__getEntries", entries, create=True))


@bug("a compaction loses the last entry")
def compaction_loses_tail(stack: ExitStack) -> None:
    def delete(self: Any, position: int) -> None:
        real(self, position)
        if len(self._entries) > 2:
            commit, self._commit = self._commit, 0
            self.deleteEntriesFrom(len(self._entries) - 1)
            self._commit = min(commit, self._entries[-1][1])

    real = replace(stack, journal.Journal, "deleteEntriesTo", delete)


@bug("a compaction cuts what the state machine has applied, but not made durable")
def compaction_ahead_of_state(stack: ExitStack) -> None:
    def cut_at(*, applied: int, durable: int, **rest: Any) -> int:
        return int(real(applied=applied, durable=applied, **{**rest, "retain": 0}))

    real = replace(stack, compaction, "cut_at", cut_at)


@bug("a snapshot leaves out the results of operations")
def snapshot_without_results(stack: ExitStack) -> None:
    def copy(database: Any, target: Any) -> int:
        index = real(database, target)
        file = sqlite3.connect(target)
        file.execute("DELETE FROM results")
        file.execute("DELETE FROM proposers")
        file.commit()
        file.close()
        return int(index)

    real = replace(stack, snapshots, "_copy", copy)
