"""The ballast for a full disk, and when it is used: pure decisions, and a file."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from raftstore.cluster.status import diskspace
from raftstore.util.space import MIB, PIECES, Ballast, Limits, Space, SpaceWatch, judge

SIZE = 64 * MIB
LIMITS = Limits(SIZE)
PLENTY = 1 << 40


@pytest.mark.parametrize(
    ("before", "free", "held", "failed", "space"),
    [
        (Space.ENOUGH, PLENTY, SIZE, False, Space.ENOUGH),
        (Space.ENOUGH, LIMITS.low, SIZE, False, Space.ENOUGH),
        (Space.ENOUGH, LIMITS.low - 1, SIZE, False, Space.LITTLE),
        # Not back before the ballast can be whole, with something to spare.
        (Space.LITTLE, LIMITS.low, SIZE, False, Space.LITTLE),
        (Space.LITTLE, LIMITS.high, SIZE, False, Space.ENOUGH),
        (Space.LITTLE, LIMITS.high, SIZE // 2, False, Space.LITTLE),
        (Space.LITTLE, LIMITS.high + SIZE // 2, SIZE // 2, False, Space.ENOUGH),
        # Nothing is left of it.
        (Space.LITTLE, LIMITS.pause, 0, False, Space.LITTLE),
        (Space.LITTLE, LIMITS.pause - 1, 0, False, Space.NONE),
        (Space.LITTLE, LIMITS.pause - 1, 1, False, Space.LITTLE),
        (Space.NONE, LIMITS.low - 1, 0, False, Space.NONE),
        (Space.NONE, LIMITS.low, 0, False, Space.LITTLE),
        (Space.LITTLE, LIMITS.low, 0, True, Space.NONE),
    ],
)
def test_how_much_space_there_is(before, free, held, failed, space):
    assert judge(before, LIMITS, free=free, held=held, failed=failed) is space


def test_without_a_ballast_a_node_pauses_before_the_last_byte_is_gone():
    none = Limits(0)
    assert judge(Space.ENOUGH, none, free=none.pause - 1, held=0, failed=False) is Space.NONE
    assert judge(Space.ENOUGH, none, free=none.low, held=0, failed=False) is Space.ENOUGH


def test_the_ballast_is_allocated_given_up_in_pieces_and_made_again(tmp_path):
    ballast = Ballast(tmp_path, 8 * MIB)
    assert not ballast.make(ballast.limits.high + 8 * MIB - 1)
    assert ballast.held == 0
    assert ballast.make(PLENTY)
    file = tmp_path / "ballast"
    assert (ballast.held, file.stat().st_blocks * 512 >= 8 * MIB) == (8 * MIB, True)
    for left in range(PIECES - 1, -1, -1):
        assert ballast.free_space()
        assert ballast.held == left * MIB
        assert file.stat().st_blocks * 512 <= left * MIB + 4096
    assert (ballast.free_space(), ballast.failed) == (False, True)
    assert ballast.make(PLENTY)
    assert (ballast.held, ballast.failed) == (8 * MIB, False)


def test_another_size_is_taken_over(tmp_path):
    Ballast(tmp_path, 8 * MIB).make(PLENTY)
    smaller = Ballast(tmp_path, 2 * MIB)
    assert smaller.make(PLENTY)
    assert (tmp_path / "ballast").stat().st_size == 2 * MIB
    assert Ballast(tmp_path, 0).make(PLENTY)
    assert (tmp_path / "ballast").stat().st_size == 0


def test_a_ballast_for_which_there_is_no_space_leaves_things_as_they_were(tmp_path, monkeypatch):
    ballast = Ballast(tmp_path, 8 * MIB)
    ballast.make(PLENTY)
    ballast.free_space()

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not ballast.make(PLENTY)
    assert ballast.held == 7 * MIB


class Watched(SpaceWatch):
    """A watch of a disk with as much free as a test says."""

    left = PLENTY

    def free(self) -> int:
        return self.left


def watched(directory: Path) -> Watched:
    return Watched(directory, Ballast(directory, 8 * MIB))


def test_a_watch_gives_up_a_piece_a_look_and_comes_back(tmp_path):
    watch = watched(tmp_path)
    seen = []
    for left in [PLENTY, 0, 0, *[0] * 8, 3 * MIB, 12 * MIB, 12 * MIB + 1, PLENTY, PLENTY]:
        watch.left = left
        watch.space = watch.look()
        seen.append((watch.space, watch.ballast.held // MIB))
    assert seen[:3] == [(Space.ENOUGH, 8), (Space.LITTLE, 7), (Space.LITTLE, 6)]
    assert seen[9:11] == [(Space.NONE, 0), (Space.NONE, 0)]
    assert seen[11] == (Space.LITTLE, 0)
    assert seen[-1] == (Space.ENOUGH, 8)


def test_a_start_waits_for_space(tmp_path, monkeypatch):
    monkeypatch.setattr("raftstore.util.space.LOOK_SECONDS", 0.01)
    watch = watched(tmp_path)
    watch.left = 0

    async def main() -> None:
        waiting = asyncio.create_task(watch.until_enough_to_start())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        watch.left = PLENTY
        await asyncio.wait_for(waiting, 5)

    asyncio.run(main())


def test_who_can_commit_and_who_should_lead():
    voters = ["n1", "n2", "n3"]
    enough, little, none = Space.ENOUGH, Space.LITTLE, Space.NONE
    assert diskspace.refusal({"n1": none}, voters, "n2") == ""
    assert "n1" in diskspace.refusal({"n1": none}, voters, "n1")
    assert "n1, n3" in diskspace.refusal({"n1": none, "n2": enough, "n3": none}, voters, "n2")
    assert diskspace.refusal({"n1": little, "n2": little, "n3": little}, voters, "n1") == ""
    assert diskspace.successors({"n1": little, "n2": enough, "n3": little}, voters, "n1") == ["n2"]
    assert diskspace.successors({"n1": none, "n2": little, "n3": enough}, voters, "n1") == ["n3", "n2"]
    assert diskspace.successors({"n1": none}, voters, "n1") == []
