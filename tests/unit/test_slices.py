"""Slices of long work: one in a turn of the loop, in the order in which they were asked for."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
import uvloop

from raftstore import slices
from raftstore.slices import Slice, next_slice

FACTORIES = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.mark.parametrize("factory", FACTORIES)
def test_one_slice_a_turn_whoever_asks(factory) -> None:  # type: ignore[no-untyped-def]
    async def test() -> None:
        loop = asyncio.get_running_loop()
        turn = 0
        done: list[tuple[int, str]] = []

        def count() -> None:
            nonlocal turn
            turn += 1
            loop.call_soon(count)

        async def work(name: str) -> None:
            for _ in range(20):
                await next_slice()
                done.append((turn, name))

        loop.call_soon(count)
        await asyncio.gather(*(work(name) for name in "abc"))
        assert max(Counter(number for number, _ in done).values()) == 1
        assert "".join(name for _, name in done) == "abc" * 20, "first come, first served"

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(test())


def test_who_is_cancelled_takes_no_turn() -> None:
    async def test() -> None:
        order: list[str] = []

        async def work(name: str) -> None:
            await next_slice()
            order.append(name)

        tasks = [asyncio.ensure_future(work(name)) for name in "abc"]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == ["b", "c"]
        await asyncio.wait_for(next_slice(), 10)

    asyncio.run(test())


def test_a_slice_rests_only_when_it_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(slices.time, "perf_counter", lambda: now)

    async def test() -> None:
        nonlocal now
        others = 0

        def other() -> None:
            nonlocal others
            others += 1

        part = Slice()
        asyncio.get_running_loop().call_soon(other)
        await part.rest()
        assert (part.used, others) == (False, 0)
        now += slices.SLICE
        assert part.used
        await part.rest()
        assert (part.used, others) == (False, 1)

    asyncio.run(test())
