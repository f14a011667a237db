"""Members whose disk is full: what they take, who leads, and what goes on."""

from __future__ import annotations

import asyncio

import pytest
from raftcluster import Cluster
from virtualtime import run

from raftstore.consensus.replication.follower import LEFT_BYTES, small_part
from raftstore.consensus.replication.normalise import Accept
from raftstore.errors import DiskFull, NoQuorum
from raftstore.util.space import Space

COMMAND, FIRST = b"\x00C command", b"\x01"


def accept(*entries: tuple[bytes, int]) -> Accept:
    """What an append of these (command, term) behind entry 9 means."""
    numbered = [(command, index, term) for index, (command, term) in enumerate(entries, 10)]
    return Accept(9, 1, numbered, 9 + len(entries), 9 + len(entries))


@pytest.mark.parametrize(
    ("entries", "taken"),
    [
        ([], 0),
        ([(FIRST, 3)], 1),
        ([(FIRST, 3), (COMMAND, 3)], 1),
        ([(COMMAND, 3), (FIRST, 3)], 0),
        ([(COMMAND, 2), (FIRST, 3)], 2),
        ([(b"\x00" * (LEFT_BYTES + 1), 2), (FIRST, 3)], 0),
        ([(b"\x00" * (LEFT_BYTES - 1), 2), (b"\x00C", 2), (FIRST, 3)], 1),
    ],
)
def test_of_an_append_that_is_taken_which_a_leader_begins_with(entries, taken):
    whole = accept(*entries)
    assert small_part(whole, 3) == Accept(9, 1, whole.entries[:taken], 9 + taken, 9 + taken)


def test_two_full_members_of_three_take_no_commands_and_reads_go_on(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("before")
            full = [node for node in cluster.running if node is not leader]
            for node in full:
                node.consensus.space = Space.NONE
            with pytest.raises(NoQuorum):
                await full[0].propose("meanwhile", timeout=2)
            for node in cluster.running:
                await node.consensus.read_barrier(timeout=1)
            assert leader.consensus.is_leader, "it has lost its leadership"
            for node in full:
                node.consensus.space = Space.ENOUGH
            await full[0].propose("after", timeout=2)
            await cluster.converged()

    run(main())


def test_reads_go_on_after_a_change_of_leader_between_full_members(tmp_path):
    """A new leader has to commit its first entry before it answers; and others have left entries to it."""

    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("before")
            full = [node for node in cluster.running if node is not leader]
            for node in full:
                node.consensus.space = Space.NONE
            with pytest.raises(NoQuorum):
                await leader.propose("left behind", timeout=2)
            await leader.kill()
            await asyncio.sleep(5)
            assert not any(node.consensus.is_leader for node in full)
            await leader.start()
            await cluster.leader()
            with pytest.raises(NoQuorum):
                await leader.propose("at once", timeout=1)
            assert leader.consensus.is_leader
            for node in cluster.running:
                await node.consensus.read_barrier(timeout=1)
            for node in full:
                node.consensus.space = Space.ENOUGH
            await full[0].propose("after", timeout=2)
            await cluster.converged()

    run(main())


def test_a_full_leader_takes_nothing_and_hands_over(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("before")
            leader.consensus.space = Space.NONE
            with pytest.raises(DiskFull):
                await leader.propose("here", timeout=2)
            other = next(node for node in cluster.running if node is not leader)
            with pytest.raises(NoQuorum):
                await other.propose("there", timeout=2)
            assert leader.consensus.transfer_leadership(other.name)
            await cluster.until(lambda: other.consensus.is_leader)
            await other.propose("on", timeout=5)
            leader.consensus.space = Space.ENOUGH
            await cluster.converged()

    run(main())


def test_a_member_with_little_space_lets_others_stand_first(tmp_path):
    async def main():
        for seed in range(5):
            async with Cluster(3, tmp_path / str(seed), seed=seed) as cluster:
                leader = await cluster.leader()
                little, plenty = (node for node in cluster.running if node is not leader)
                little.consensus.space = Space.LITTLE
                await leader.kill()
                assert await cluster.leader() is plenty

    (tmp_path / "0").mkdir()
    run(main())
