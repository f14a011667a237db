"""Whole clusters over a network that works, and one that does not."""

from __future__ import annotations

import asyncio

import pytest
from raftcluster import Cluster
from virtualtime import run

from raftstore.wire import commands_pb2


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_what_is_proposed_anywhere_is_applied_everywhere_once(size, tmp_path):
    async def main():
        async with Cluster(size, tmp_path) as cluster:
            results = await asyncio.gather(
                *(node.propose(f"{node.name}-{i}") for node in cluster.running for i in range(20))
            )
            assert all(result.status == commands_pb2.OK for result in results)
            await cluster.converged()
            commands = cluster["n1"].machine.commands
            assert sorted(commands) == sorted(f"{n}-{i}".encode() for n in cluster.names for i in range(20))

    run(main())


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_read_after_the_barrier_sees_what_was_acknowledged_elsewhere(size, tmp_path):
    async def main():
        async with Cluster(size, tmp_path) as cluster:
            for round_ in range(10):
                for writer in cluster.running:
                    text = f"{round_}-{writer.name}"
                    await writer.propose(text)
                    for reader in cluster.running:
                        await reader.consensus.read_barrier(timeout=5)
                        assert text.encode() in reader.machine.commands

    run(main())
