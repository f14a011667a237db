"""The stall watch: what it takes for a stall, what it says of it, and what it leaves alone."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import structlog
import uvloop
from waiting import until

from raftstore.util import stallwatch
from raftstore.util.stallwatch import StallWatch, held, place

FACTORIES = [asyncio.new_event_loop, uvloop.new_event_loop]
THRESHOLD = 0.1


@pytest.mark.parametrize(
    ("wall", "cpu", "delay", "expected"),
    [
        (0.5, 0.5, 0.0, 0.5),
        (0.5, 0.1, 0.4, 0.1),  # the machine had no processor for it
        (0.5, 0.1, 0.0, 0.5),  # it waited for a disk or a lock
        (0.5, 0.3, 0.4, 0.3),  # counted delays reach back before the question: never below what it ran itself
        (0.5, 0.6, 0.0, 0.5),
        (0.5, 0.0, 0.7, 0.0),
    ],
)
def test_the_machines_own_waiting_is_taken_off(wall: float, cpu: float, delay: float, expected: float) -> None:
    assert held(wall, cpu, delay) == pytest.approx(expected)


def busy(seconds: float) -> None:
    """Use the processor for so long."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def watched(
    hold: Callable[[], object],
    factory: Any = asyncio.new_event_loop,
    noticed: Callable[[StallWatch], bool] | None = None,
) -> tuple[StallWatch, list[Any]]:
    """Hold up a loop that is watched, after the first probe; return the watch and what it logged."""
    watch = StallWatch(THRESHOLD)
    seen = noticed or (lambda watch: watch.status.stalls > 0)

    async def test() -> None:
        watch.start()
        try:
            await until(lambda: watch.status.probes > 0)
            hold()
            await until(lambda: seen(watch))
        finally:
            watch.stop()

    with structlog.testing.capture_logs() as lines, asyncio.Runner(loop_factory=factory) as runner:
        runner.run(test())
    return watch, [line for line in lines if "held up" in line["event"]]


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.slow
def test_what_held_the_loop_is_told_and_counted(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stallwatch, "_PROJECT", (__file__,))
    watch, lines = watched(lambda: busy(4 * THRESHOLD), factory)
    line = lines[0]
    assert " busy < " in line["where"]
    assert line["seconds"] >= THRESHOLD
    assert line["cpu"] >= THRESHOLD
    status = watch.status
    assert status.stalls >= 1
    assert status.longest >= THRESHOLD <= status.longest_cpu
    assert sum(status.classes) == status.probes > 1
    assert sum(status.classes[4:]) == 1, "by processor time"


def test_a_loop_that_waits_for_a_disk_is_held_up_without_using_the_processor() -> None:
    watch, lines = watched(lambda: time.sleep(4 * THRESHOLD))
    assert lines[0]["seconds"] >= THRESHOLD
    assert lines[0]["cpu"] < THRESHOLD / 2
    assert watch.status.longest_cpu < THRESHOLD / 2


@pytest.mark.slow
def test_many_stalls_are_one_line_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    stalls = 0

    def again(watch: StallWatch) -> bool:
        nonlocal stalls
        if watch.status.stalls > stalls:
            stalls = watch.status.stalls
            if stalls == 3:
                watch._next_line = 0.0  # the while is over
            time.sleep(5 * THRESHOLD)
        return stalls >= 4

    _, lines = watched(lambda: time.sleep(5 * THRESHOLD), noticed=again)
    assert len(lines) == 2
    assert lines[1]["left_out"] == 2


def test_a_place_names_the_projects_frames_and_no_values() -> None:
    assert place(None) == ""
    frame = sys._getframe()
    assert place(frame).startswith(f"test_stallwatch.py:{frame.f_lineno} test_a_place_")
    from raftstore import paths

    caught: list[str] = []

    class Watching(str):
        def startswith(self, *_: object) -> bool:  # type: ignore[override]
            caught.append(place(sys._getframe()))
            return True

    paths.split(Watching("/secret"))
    assert caught[0].split(" < ")[1].startswith("raftstore/paths.py:")
    assert "secret" not in caught[0]


def test_it_ends_with_the_loop_and_leaves_no_thread() -> None:
    async def test() -> None:
        watch = StallWatch(0.02)
        watch.start()
        names = [thread.name for thread in threading.enumerate()]
        assert "stall-watch" in names
        watch.stop()
        watch.stop()

    asyncio.run(test())
    assert "stall-watch" not in [thread.name for thread in threading.enumerate()]


def test_it_can_be_started_again() -> None:
    """As a node does that finds its disk full while it opens what is there."""

    async def test() -> None:
        watch = StallWatch(0.02)
        for _ in range(2):
            before = watch.status.probes
            watch.start()
            await until(lambda before=before: watch.status.probes != before)
            watch.stop()

    asyncio.run(test())
