"""Slices of long work: one in a turn of the loop, in the order in which they were asked for."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from types import SimpleNamespace

import pytest
import uvloop
from ticking import TickingClock

from raftstore.util.limits import slices
from raftstore.util.limits.slices import Pace, Slice, call_in_slice, next_slice

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
    monkeypatch.setattr(slices, "time", SimpleNamespace(perf_counter=lambda: now))

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


@pytest.mark.parametrize("factory", FACTORIES)
def test_callbacks_and_those_who_wait_share_the_turns(factory) -> None:  # type: ignore[no-untyped-def]
    async def test() -> None:
        loop = asyncio.get_running_loop()
        turn = 0
        done: list[tuple[int, str]] = []
        over = asyncio.Event()

        def count() -> None:
            nonlocal turn
            turn += 1
            if not over.is_set():
                loop.call_soon(count)

        def call() -> None:
            done.append((turn, "call"))
            if len(done) < 20:
                call_in_slice(call, loop)
            else:
                over.set()

        async def work() -> None:
            while not over.is_set():
                await next_slice()
                done.append((turn, "wait"))

        loop.call_soon(count)
        call_in_slice(call, loop)
        await asyncio.wait_for(asyncio.gather(work(), over.wait()), 10)
        assert max(Counter(done).values()) == 1, "one of each kind a turn"
        assert {name for _, name in done[:4]} == {"call", "wait"}

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(test())


def test_a_pace_leaves_the_loop_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = 0.0, []
    monkeypatch.setattr(slices, "time", SimpleNamespace(perf_counter=lambda: now))

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    # Not asyncio's own: other threads' loops sleep, too.
    monkeypatch.setattr(slices, "asyncio", SimpleNamespace(sleep=sleep))

    async def test() -> None:
        nonlocal now
        pace = Pace(0.05)
        with pace:
            now += 0.001
        now += 5.0  # what it waits for is not its work
        with pace:
            now += 0.001
        await pace.rest()
        await pace.rest()
        assert slept == [pytest.approx(0.038), 0.0]

    asyncio.run(test())


def test_a_shared_slice_begins_anew_in_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "time", TickingClock())

    async def scenario() -> None:
        shared = slices.SharedSlice(asyncio.get_running_loop(), 0.003)
        assert [shared.used for _ in range(5)] == [False, False, False, True, True]
        await asyncio.sleep(0)
        assert not shared.used

    asyncio.run(scenario())


def test_callbacks_share_one_slice_a_turn_and_queue_again_behind_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slices, "time", TickingClock())
    called: list[str] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        def once(name: str) -> None:
            called.append(name)
            slices.call_in_slice(lambda: called.append(f"{name} again"), loop)

        for name in "abcdef":
            slices.call_in_slice(functools.partial(once, name), loop)
        failing = asyncio.Event()
        loop.set_exception_handler(lambda *_: failing.set())
        slices.call_in_slice(lambda: 1 / 0, loop)
        turns = 0
        while len(called) < 12:
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 12 / (slices.SLICE * 1000), "not all in one turn"
        assert failing.is_set()

    asyncio.run(scenario())
    assert called == [*"abcdef", *(f"{name} again" for name in "abcdef")]
