"""Marks of what was opened: batched, repeated when they could not be proposed, bounded at the end."""

from __future__ import annotations

import asyncio

import pytest

from raftstore.errors import Invalid, NoQuorum
from raftstore.store import opened
from raftstore.store.opened import OpenedMarks
from raftstore.wire import commands_pb2 as commands


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "GATHER_SECONDS", 0.001)


def run(errors: list[Exception], *, wait: int) -> list[list[int]]:
    """Note three, the first twice, and wait for so many proposals; `errors` are what the first ones end with."""
    proposed: list[list[int]] = []

    async def scenario() -> None:
        enough = asyncio.Event()

        async def propose(command: commands.Command) -> commands.Result:
            proposed.append(sorted(command.mark_opened.inodes))
            if len(proposed) >= wait:
                enough.set()
            if errors:
                raise errors.pop(0)
            return commands.Result()

        marks = OpenedMarks(propose)
        marks.start()
        for inode in (3, 5, 3, 4):
            marks.note(inode)
        await asyncio.wait_for(enough.wait(), 60)
        await marks.stop()

    asyncio.run(scenario())
    return proposed


def test_what_is_opened_within_a_moment_is_one_proposal() -> None:
    assert run([], wait=1) == [[3, 4, 5]]


def test_what_could_not_be_proposed_is_proposed_again() -> None:
    assert run([NoQuorum("not now")], wait=2) == [[3, 4, 5], [3, 4, 5]]


def test_what_is_refused_for_good_is_not() -> None:
    assert run([Invalid("never")], wait=1) == [[3, 4, 5]]


def test_what_waits_at_the_end_is_proposed_and_a_failure_does_not_hold_up_the_end() -> None:
    proposed: list[int] = []

    async def scenario(*, fails: bool) -> None:
        async def propose(command: commands.Command) -> commands.Result:
            proposed.extend(command.mark_opened.inodes)
            if fails:
                raise NoQuorum("gone")
            return commands.Result()

        marks = OpenedMarks(propose)
        marks.note(7)
        await marks.stop()

    asyncio.run(scenario(fails=False))
    asyncio.run(scenario(fails=True))
    assert proposed == [7, 7]


def test_no_more_wait_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "MAX_WAITING", 2)
    assert run([], wait=1) == [[3, 5]]
