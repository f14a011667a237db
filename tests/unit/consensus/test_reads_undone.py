"""What was applied may be undone for want of disk space: whoever waits for it must not read before it is back."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from raftstore.consensus.replication.reads import Reads
from raftstore.consensus.runtime import AsyncioRuntime
from raftstore.errors import NoQuorum


class Machine:
    """Is undone when it was looked at for the first time: between the barrier's end and the reader's turn."""

    def __init__(self) -> None:
        self.looks = 0
        self.applied = 5

    def index(self) -> int:
        self.looks += 1
        seen = self.applied
        if self.looks == 1:
            self.applied = 3
        return seen


def reads_of(machine: Machine) -> Reads:
    unused: Any = None
    leader: Any = SimpleNamespace(ask=lambda who, answer: answer(5))
    return Reads(
        raft=SimpleNamespace(node="n1"),  # type: ignore[arg-type]
        envelope_sender=unused,
        runtime=AsyncioRuntime(),
        confirmation=leader,
        leader=lambda: "n1",
        applied_index=machine.index,
        boot=1,
        attempt=1.0,
        guard=lambda action: action,
    )


def test_a_barrier_does_not_end_on_what_has_been_undone() -> None:
    async def main() -> None:
        machine = Machine()
        reads = reads_of(machine)
        reader = asyncio.create_task(reads.barrier(timeout=5.0))
        await asyncio.sleep(0.01)
        assert machine.looks >= 1
        assert not reader.done()
        reads.check()
        await asyncio.sleep(0.01)
        assert not reader.done()
        machine.applied = 5
        reads.check()
        await asyncio.wait_for(reader, 1.0)

    asyncio.run(main())


def test_who_waits_for_that_waits_no_longer_than_it_may() -> None:
    async def main() -> None:
        reads = reads_of(Machine())
        with pytest.raises(NoQuorum):
            await reads.barrier(timeout=0.05)
        reader = asyncio.create_task(reads_of(Machine()).barrier(timeout=0.05))
        with pytest.raises(NoQuorum):
            await reader

    asyncio.run(main())
