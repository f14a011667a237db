"""What looks again and again: it waits between two looks, says why it waits, and no failure ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import virtualtime
from structlog.testing import capture_logs

from raftstore.errors import NoQuorum
from raftstore.util.tasks import Periodic


class Looking(Periodic):
    """Does one thing after the other, and notes when."""

    def __init__(self, *looks: Callable[[], bool | None]) -> None:
        super().__init__("looking", 2.0, waits="it waits")
        self._looks = iter(looks)
        self.times: list[float] = []
        self.over = asyncio.Event()

    async def look(self) -> bool | None:
        self.times.append(asyncio.get_running_loop().time())
        if (next_one := next(self._looks, None)) is not None:
            return next_one()
        self.over.set()
        return await asyncio.Event().wait()


def _looked(*looks: Callable[[], bool | None]) -> list[float]:
    """Times of all looks, one more than there are things to do."""

    async def main() -> list[float]:
        periodic = Looking(*looks)
        periodic.start()
        await periodic.over.wait()
        await periodic.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await periodic.stop()
        return periodic.times

    return virtualtime.run(main())


def _fails(error: Exception) -> bool:
    raise error


def test_it_waits_between_two_looks_unless_there_is_more() -> None:
    assert _looked(lambda: None, lambda: False, lambda: True, lambda: True) == pytest.approx([0, 2, 4, 4, 4])


def test_a_failure_is_told_and_looked_after_again() -> None:
    with capture_logs() as logs:
        times = _looked(
            lambda: _fails(NoQuorum("two of three are away")), lambda: True, lambda: _fails(KeyError("fault"))
        )
    assert times == pytest.approx([0, 2, 2, 4])
    waits, failed = logs
    assert waits["event"] == "it waits" and "two of three are away" in waits["error"]
    assert waits["log_level"] == "info"
    assert failed["event"] == "looking failed, trying again" and failed["log_level"] == "error"
    assert failed["exc_info"]


def test_one_that_was_not_started_can_be_stopped() -> None:
    virtualtime.run(Looking().stop())
