"""Known bugs of reads, operations and membership. See `bugs`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from simbugs import bug, replace

from raftstore.consensus import elections, proposer
from raftstore.consensus.membership import changes as membership
from raftstore.consensus.membership import watchedlog
from raftstore.consensus.pysyncobj import raft
from raftstore.consensus.replication import reads
from raftstore.metadata import catalog
from raftstore.metadata.tables.cluster import remembered
from raftstore.wire import commands_pb2

# Reads and operations.


@bug("a leader answers reads without asking whether it still leads")
def reads_unconfirmed(stack: ExitStack) -> None:
    def conclude(self: Any) -> None:
        self._acknowledged |= self._raft.voters
        real(self)

    real = replace(stack, reads.Confirmation, "_conclude", conclude)


@bug("a follower's question counts as a majority's, however many voters there are")
def reads_proven_by_any_question(stack: ExitStack) -> None:
    replace(stack, reads.Confirmation, "_proves", lambda self, who: who != self._raft.node)


@bug("a new leader answers reads before an entry of its own is committed")
def reads_before_own_entry(stack: ExitStack) -> None:
    replace(stack, reads.Confirmation, "_own_entry_committed", lambda self: True)


@bug("a reader does not wait until it has applied the index it was told")
def reads_before_applied(stack: ExitStack) -> None:
    def check(self: Any) -> None:
        for reader in self._behind:
            reader.index = 0
        real(self)

    real = replace(stack, reads.Reads, "check", check)


@bug("a client is answered when the leader has taken its command, before it is committed")
def answer_before_commit(stack: ExitStack) -> None:
    def propose(self: Any, batch: bytes, done: Any) -> None:
        real(self, batch, done)
        if self.leader is not None:
            count = len(commands_pb2.Batch.FromString(batch).operations)
            answer = commands_pb2.Result(index=1).SerializeToString()
            self._runtime.call_soon(lambda: done.early([answer] * count))

    def attempt(self: Any, batch: Any) -> None:
        operations = [operation for operation in batch.operations if not operation.future.done()]

        class Done:
            """A callback with a way to answer early."""

            def __init__(self, callback: Any) -> None:
                self.callback = callback

            def __call__(self, index: int | None, error: int) -> None:
                self.callback(index, error)

            def early(self, results: list[bytes]) -> None:
                for operation, result in zip(operations, results, strict=False):
                    if not operation.future.done():
                        operation.future.set_result(result)

        send = self._raft.propose
        self._raft.propose = lambda data, callback: send(data, Done(callback))
        try:
            tried(self, batch)
        finally:
            del self._raft.propose

    real = replace(stack, raft.Raft, "propose", propose)
    tried = replace(stack, proposer.Proposer, "_attempt", attempt)


@bug("a command that is tried again is applied again")
def apply_twice(stack: ExitStack) -> None:
    def recall(self: Any, operation: Any) -> bytes | None:
        result = real(self, operation)
        if result is not None:
            key = (operation.node, operation.sequence)
            self._executemany("DELETE FROM results WHERE node = ? AND sequence = ?", [key])
        return None

    real = replace(stack, remembered.Remembered, "recall", recall)


@bug("a command that is tried again gets a new id")
def new_id_a_try(stack: ExitStack) -> None:
    def attempt(self: Any, batch: Any) -> None:
        if batch.attempt:
            for operation in batch.operations:
                self._open.pop(operation.sequence, None)
                self._sequence += 1
                operation.sequence = self._sequence
                self._open[operation.sequence] = operation
        real(self, batch)

    real = replace(stack, proposer.Proposer, "_attempt", attempt)


@bug("a client is told that nothing was done when that is unknown")
def unknown_is_not_done(stack: ExitStack) -> None:
    def fail(operation: Any, reason: str) -> None:
        operation.logged = False
        real(operation, reason)

    real = replace(stack, proposer, "_fail", fail)


@bug("after a snapshot was installed, the next entry is skipped")
def skip_after_snapshot(stack: ExitStack) -> None:
    skipping = set()

    def install(self: Any, source: Any) -> Any:
        skipping.add(id(self))
        return installed(self, source)

    def apply(self: Any, index: int, batch: bytes) -> Any:
        if id(self) in skipping:
            skipping.discard(id(self))
            return self._apply(index, lambda: [])
        return real(self, index, batch)

    installed = replace(stack, catalog.Catalog, "install_snapshot", install)
    real = replace(stack, catalog.Catalog, "apply", apply)


@bug("a vote that arrives twice counts twice")
def count_votes_twice(stack: ExitStack) -> None:
    replace(stack, elections.Elections, "first_vote", lambda self, peer: True)


# Membership.


@bug("learners count for majorities")
def learners_count(stack: ExitStack) -> None:
    def take_names(self: Any) -> None:
        real(self)
        self.voters = self._log.latest[1].names

    real = replace(stack, raft.Raft, "_take_names", take_names)


@bug("a change of the members is followed by the next one before it is committed")
def changes_overlap(stack: ExitStack) -> None:
    replace(stack, membership.Membership, "_own_entry_committed", lambda self: True)
    replace(stack, raft.Raft, "committed_configuration", raft.Raft.configuration)


@bug("a change of the members outlives its entry, when that is dropped from the log")
def change_outlives_entry(stack: ExitStack) -> None:
    def delete(self: Any, position: int) -> None:
        self._journal.deleteEntriesFrom(position)

    replace(stack, watchedlog.WatchedLog, "deleteEntriesFrom", delete)


@bug("majorities are counted from the members that there were at the start")
def majority_of_the_start(stack: ExitStack) -> None:
    def changed(self: Any) -> None:
        before = self.voters
        real(self)
        self.voters = before

    real = replace(stack, raft.Raft, "_members_changed", changed)
