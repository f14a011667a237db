"""From a caller's command to its result: operation ids, batches, attempts, deadlines.

A command becomes an operation with an id of its own. An attempt puts a batch of operations into the log; as long
as its outcome is open, or it failed, the same operations are tried again under the same ids, and the state
machine applies each once, whichever of the attempts get through.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from raftstore.consensus.applier import Applier
from raftstore.consensus.pysyncobj.library import REFUSALS, SUCCESS
from raftstore.consensus.pysyncobj.raft import Raft
from raftstore.consensus.runtime import Runtime, Timer
from raftstore.consensus.settings import ConsensusSettings
from raftstore.errors import Damaged, Invalid, NoQuorum, OutcomeUnknown, TooLarge
from raftstore.util.metrics import Buckets, Distribution, counter, histogram
from raftstore.wire import commands_pb2

log = structlog.get_logger()

COMMIT_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 5.0, 10.0)
OVERHEAD = 96
"""More than what an operation adds to the bytes of its command and node name."""


@dataclass(slots=True, eq=False)
class _Operation:
    """One command under way. `weight`: see StateMachine. `logged`: it may be in the log, or get there."""

    command: bytes
    weight: int
    time_ns: int
    future: asyncio.Future[bytes]
    deadline: float
    timeout: float
    sequence: int = 0
    logged: bool = False


@dataclass(slots=True, eq=False)
class _Batch:
    """Operations proposed together. `unknown`: an attempt ended whose outcome is open."""

    operations: list[_Operation]
    attempt: int = 0
    unknown: bool = False
    timer: Timer | None = field(default=None)


class _Deadlines:
    """Fails operations when their time is up. One timer serves all: most operations end long before."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._operations: dict[_Operation, None] = {}
        self._timer: Timer | None = None
        self._due = float("inf")

    def add(self, operation: _Operation) -> None:
        """Watch over one more."""
        self._operations[operation] = None
        if operation.deadline < self._due:
            self._arm(operation.deadline)

    def discard(self, operation: _Operation) -> None:
        """It has come to its end."""
        del self._operations[operation]

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self._runtime.call_later(max(0.0, due - self._runtime.now()), self._ring)

    def _ring(self) -> None:
        now, self._due, self._timer = self._runtime.now(), float("inf"), None
        for operation in self._operations:
            if operation.deadline <= now:
                _fail(operation, f"not done within {operation.timeout:g} s")
        earliest = min((o.deadline for o in self._operations if o.deadline > now), default=None)
        if earliest is not None:
            self._arm(earliest)


class Proposer:
    """Proposes for one node, in one boot of it.

    Invariants: an operation's id is used for no other, ever (`boot` grows with every start). `acknowledged` in an
    operation is below every operation that may still be tried again, so the state machine never forgets what it
    needs to tell a repetition by; what it meets of the others it refuses.
    """

    def __init__(
        self,
        *,
        raft: Raft,
        applier: Applier,
        runtime: Runtime,
        settings: ConsensusSettings,
        leader: Callable[[], str | None],
        boot: int,
        tick: Callable[[], None],
        guard: Callable[[Callable[[], None]], Callable[[], None]],
        refusal: Callable[[bytes], str | None],
        weight: Callable[[bytes], int],
        holds: Callable[[], bool],
    ) -> None:
        self._raft = raft
        self._applier = applier
        self._runtime = runtime
        self._settings = settings
        self._leader = leader
        self._boot = boot
        self._tick = tick
        self._guard = guard
        self._refusal = refusal
        self._weight = weight
        self._holds = holds  # whether nothing is to be put into the log for a moment
        self._pump_guarded = guard(self._pump)
        self._deadlines = _Deadlines(runtime)
        self._pending: deque[_Operation] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._open: dict[int, _Operation] = {}
        self._batches: dict[_Batch, None] = {}  # in order
        self._sequence = 0
        self._operations = 0
        self._bytes = 0
        self._pumping = False
        self._stopped = False
        self._commit_times = Distribution(COMMIT_SECONDS)
        self._failed_proposals = {"no_quorum": 0, "outcome_unknown": 0}

    async def propose(self, command: bytes, timeout: float) -> bytes:
        """Return the serialised Result of `command`, applied exactly once.

        TooLarge; Invalid: not a command of now; NoQuorum: it is not done and never will be; OutcomeUnknown: it may or
        may not be done.
        """
        reason = self._refusal(command)
        if reason is not None:
            raise Invalid(reason)
        if len(command) > self._settings.max_command:
            raise TooLarge(f"a command has at most {self._settings.max_command} bytes, not {len(command)}")
        begun = self._runtime.now()
        size = len(command)
        try:
            if self._stopped or self._waiting or self._full(size):
                await self._wait_for_space(timeout, size)
            self._operations += 1
            self._bytes += size
            if self._waiting:
                self._admit()
            future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            weight, time_ns = self._weight(command), self._runtime.wall_ns()
            operation = _Operation(command, weight, time_ns, future, begun + timeout, timeout)
            self._pending.append(operation)
            self._deadlines.add(operation)
            self._schedule()
            try:
                result = await future
            finally:
                self._deadlines.discard(operation)
                self._open.pop(operation.sequence, None)
                future.cancel()
                self._operations -= 1
                self._bytes -= size
                if self._waiting:
                    self._admit()
        except OutcomeUnknown:
            self._failed_proposals["outcome_unknown"] += 1
            raise
        except NoQuorum:
            self._failed_proposals["no_quorum"] += 1
            raise
        self._commit_times.observe(self._runtime.now() - begun)
        return result

    @histogram(
        "pixraft_commit_seconds", "From the proposal of a command at this node until it was applied here."
    )
    def commit_times(self) -> Buckets:
        """Those that failed do not count."""
        return self._commit_times.buckets()

    @counter(
        "pixraft_proposals_failed_total",
        "Commands of this node that had no answer in time: none was done, or it is not known.",
        label="reason",
        values=("no_quorum", "outcome_unknown"),
    )
    def failed_proposals(self) -> dict[str, int]:
        """What a state machine refuses is an answer."""
        return self._failed_proposals

    def leader_changed(self) -> None:
        """There is another leader, or none. What was proposed to the one before is proposed again.

        It may be in the new one's log, too. But waiting until that is known takes longer.
        """
        if self._leader() is not None:
            for batch in self._batches:
                batch.unknown = True
                self._try_again(batch, 0.0)
        self._schedule()

    def stop(self, reason: str) -> None:
        """Refuse what is under way and what comes."""
        self._stopped = True
        self._deadlines.stop()
        for batch in self._batches:
            if batch.timer is not None:
                batch.timer.cancel()
        operations = [*self._pending, *(o for batch in self._batches for o in batch.operations)]
        self._pending.clear()
        self._batches.clear()
        for operation in operations:
            _fail(operation, reason)
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(NoQuorum(reason))

    # Admission.

    def _full(self, size: int) -> bool:
        settings = self._settings
        return self._operations > 0 and (
            self._operations >= settings.max_operations or self._bytes + size > settings.max_bytes
        )

    async def _wait_for_space(self, timeout: float, size: int) -> None:
        """Wait until there is room for one more operation, in order of arrival; it must be taken at once."""
        until = self._runtime.now() + timeout
        first = True
        while not self._stopped and (self._full(size) or (first and self._waiting)):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            (self._waiting.append if first else self._waiting.appendleft)(waiter)
            first = False
            timer = self._runtime.call_later(
                max(0.0, until - self._runtime.now()), partial(_turn_away, waiter, timeout)
            )
            try:
                await waiter
            except BaseException:
                self._admit()  # it may have been this one's turn
                raise
            finally:
                timer.cancel()
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
        if self._stopped:
            raise NoQuorum("the node is stopping")

    def _admit(self) -> None:
        """Wake the first who waits, if it may fit: whoever takes or leaves room calls this again."""
        while self._waiting and not self._full(0):
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    # Batches.

    def _schedule(self) -> None:
        if not self._pumping and not self._stopped:
            # Soon, not now: all who propose in this round of the loop share a batch.
            self._pumping = True
            self._runtime.call_soon(self._pump_guarded)

    def _pump(self) -> None:
        self._pumping = False
        if self._stopped or self._leader() is None:
            return
        proposed = False
        while self._pending and len(self._batches) < self._settings.batches and not self._straggling():
            operations = self._next_batch()
            if operations:
                batch = _Batch(operations)
                self._batches[batch] = None
                self._attempt(batch)
                proposed = True
        if proposed:
            self._tick()

    def _next_batch(self) -> list[_Operation]:
        settings, pending, size, weight = self._settings, self._pending, 0, 0
        batch: list[_Operation] = []
        while pending and len(batch) < settings.batch_operations and not self._straggling():
            operation = pending[0]
            if not operation.future.done():
                size += len(operation.command) + OVERHEAD
                weight += operation.weight
                if batch and (size > settings.batch_bytes or weight > settings.batch_weight):
                    break
                self._sequence += 1
                operation.sequence = self._sequence
                self._open[operation.sequence] = operation
                batch.append(operation)
            pending.popleft()
        return batch

    def _straggling(self) -> bool:
        # The state machine keeps the results of all after the oldest open one, and not without end.
        return bool(self._open) and self._sequence - next(iter(self._open)) >= self._settings.max_spread

    def _attempt(self, batch: _Batch) -> None:
        """Propose what is still wanted of the batch."""
        batch.operations = [o for o in batch.operations if not o.future.done()]
        if not batch.operations or self._stopped:
            self._close(batch)
            return
        if self._holds():
            self._try_again(batch, self._settings.retry)
            return
        batch.attempt += 1
        attempt, operations = batch.attempt, batch.operations
        data = self._encode(operations)
        for operation in operations:
            operation.logged = True
        batch.timer = self._runtime.call_later(
            self._settings.attempt, self._guard(lambda: self._lapsed(batch, attempt))
        )

        def done(index: int | None, error: int) -> None:
            if error == SUCCESS and index is not None:
                self._applier.when_applied(
                    index, lambda applied, results: self._applied(batch, operations, data, applied, results)
                )
            else:
                self._failed(batch, attempt, error)

        self._raft.propose(data, done)

    def _encode(self, operations: Sequence[_Operation]) -> bytes:
        acknowledged = next(iter(self._open)) - 1 if self._open else self._sequence
        node, boot = self._raft.node, self._boot
        batch = commands_pb2.Batch()
        add = batch.operations.add
        for operation in operations:
            # From mappings, in place: a message given to another one is serialised and parsed to get there.
            add(
                id={"node": node, "boot": boot, "sequence": operation.sequence, "acknowledged": acknowledged},
                time_ns=operation.time_ns,
                command=operation.command,
            )
        return batch.SerializeToString()

    def _applied(
        self, batch: _Batch, operations: list[_Operation], data: bytes, applied: bytes, results: list[bytes]
    ) -> None:
        if data != applied or len(results) != len(operations):
            # Never happens unless the engine mixes up entries; then nothing that it says can be relied on.
            raise Damaged("a proposal was answered with the result of another")
        for operation, result in zip(operations, results, strict=True):
            if not operation.future.done():
                operation.future.set_result(result)
                self._open.pop(operation.sequence, None)
        if all(operation.future.done() for operation in batch.operations):
            self._close(batch)

    def _failed(self, batch: _Batch, attempt: int, error: int) -> None:
        """Try again soon. Called while the engine works, so nothing is done at once."""
        if batch not in self._batches or attempt != batch.attempt:
            return
        if error in REFUSALS:
            for operation in batch.operations:
                operation.logged = batch.unknown
        else:
            batch.unknown = True
        self._try_again(batch, self._settings.retry)

    def _lapsed(self, batch: _Batch, attempt: int) -> None:
        if batch in self._batches and attempt == batch.attempt:
            batch.unknown = True
            self._try_again(batch, 0.0)

    def _try_again(self, batch: _Batch, delay: float) -> None:
        if batch.timer is not None:
            batch.timer.cancel()
        batch.attempt += 1
        batch.timer = self._runtime.call_later(delay, self._guard(lambda: self._again(batch)))

    def _again(self, batch: _Batch) -> None:
        if batch in self._batches:
            self._attempt(batch)
            self._tick()

    def _close(self, batch: _Batch) -> None:
        if batch.timer is not None:
            batch.timer.cancel()
        self._batches.pop(batch, None)
        self._schedule()


def _fail(operation: _Operation, reason: str) -> None:
    if not operation.future.done():
        error = OutcomeUnknown(reason) if operation.logged else NoQuorum(reason)
        operation.future.set_exception(error)


def _turn_away(waiter: asyncio.Future[None], timeout: float) -> None:
    if not waiter.done():
        waiter.set_exception(
            NoQuorum(f"too many operations wait already; none went ahead within {timeout:g} s")
        )
