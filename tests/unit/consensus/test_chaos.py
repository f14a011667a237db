"""Everything that can go wrong, at random, by seed, on a virtual clock; then the promises are checked."""

from __future__ import annotations

import asyncio
import os
import random

import pytest
from fakenet import Conditions
from raftcluster import Cluster, Node
from virtualtime import run

from raftstore.consensus.settings import ConsensusSettings
from raftstore.errors import NoQuorum, OutcomeUnknown
from raftstore.wire import commands_pb2

pytestmark = pytest.mark.slow

SEEDS = range(int(os.environ.get("PIXRAFT_CHAOS_SEEDS", "6")))
SMALL = ConsensusSettings(
    compact_entries=40, retain_entries=20, compact_interval=0.3, snapshot_piece=100, batch_operations=4
)


KINDS = (
    *("kill", "power", "blackout", "cut", "one way", "wire", "slow"),
    *("start", "start", "start", "start", "heal", "heal", "heal"),
)


class History:
    """What clients were told."""

    def __init__(self) -> None:
        self.done: set[bytes] = set()
        self.open: set[bytes] = set()
        self.refused: set[bytes] = set()
        self.number = 0


async def write(node: Node, text: str, history: History, chance: random.Random) -> None:
    command = text.encode()
    history.open.add(command)
    try:
        result = await node.propose(text, timeout=chance.choice([0.5, 3.0, 10.0]))
    except OutcomeUnknown:
        return
    except NoQuorum:
        history.open.discard(command)
        history.refused.add(command)
        return
    assert result.status == commands_pb2.OK
    assert result.detail == text, "the result of another operation"
    history.open.discard(command)
    history.done.add(command)


async def read(node: Node, history: History) -> None:
    before = set(history.done)
    try:
        await node.consensus.read_barrier(timeout=3)
    except NoQuorum:
        return
    if node.up:
        missing = before - set(node.machine.commands)
        assert not missing, f"{node.name} read, and does not see {missing}"


async def clients(cluster: Cluster, history: History, chance: random.Random, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    async with asyncio.TaskGroup() as tasks:
        while loop.time() < end:
            running = cluster.running
            if running:
                node = chance.choice(running)
                if chance.random() < 0.3:
                    tasks.create_task(read(node, history))
                else:
                    history.number += 1
                    tasks.create_task(write(node, f"w{history.number}", history, chance))
            await asyncio.sleep(chance.choice([0.0, 0.002, 0.01, 0.05]))


async def trouble(cluster: Cluster, chance: random.Random, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    network = cluster.network
    while loop.time() < end:
        await asyncio.sleep(chance.uniform(0.05, 1.5))
        node = cluster[chance.choice(cluster.names)]
        other = chance.choice([name for name in cluster.names if name != node.name])
        kind = chance.choice(KINDS)
        if kind == "kill":
            await node.kill()
        elif kind == "power":
            await node.kill(power=True)
        elif kind == "blackout" and chance.random() < 0.3:
            for each in cluster.running:
                await each.kill(power=True)
        elif kind == "start":
            for down in [each for each in cluster.nodes.values() if not each.up][:1]:
                await down.start()
        elif kind == "cut":
            network.isolate(node.name, silent=chance.random() < 0.5)
        elif kind == "one way":
            network.set(node.name, other, both=False, silent=True)
        elif kind == "wire":
            network.set(
                node.name,
                other,
                both=chance.random() < 0.5,
                delay=chance.choice([0.0005, 0.01, 0.2]),
                jitter=chance.choice([0.0, 0.02]),
                drop=chance.choice([0.0, 0.1]),
                duplicate=chance.choice([0.0, 0.2]),
                reorder=chance.random() < 0.3,
            )
        elif kind == "heal":
            network.heal()
        elif kind == "slow":
            slow = {node.name: chance.choice([0.001, 0.02, 0.5])}
            cluster.disk = lambda name, worker, slow=slow: slow.get(name, 0.001)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [1, 3, 5])
def test_promises_hold_in_chaos(size, seed, tmp_path):
    async def main():
        chance = random.Random(seed)
        history = History()
        cluster = Cluster(size, tmp_path, seed=seed, settings=SMALL if seed % 2 else None)
        skews = {name: chance.uniform(0, 1000) for name in cluster.names}
        cluster.skew = skews.__getitem__
        async with cluster:
            if size > 1:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(clients(cluster, history, chance, 20))
                    tasks.create_task(trouble(cluster, chance, 20))
            else:
                for _ in range(3):
                    await clients(cluster, history, chance, 3)
                    await cluster["n1"].kill(power=True)
                    await cluster["n1"].start()
            cluster.network.heal()
            for wire in cluster.network._wires.values():
                vars(wire).update(vars(Conditions()))
            cluster.disk = lambda name, worker: 0.001
            for node in cluster.nodes.values():
                assert not node.fatal, node.fatal
                if not node.up:
                    await node.start()
            await cluster["n1"].propose("the end", timeout=20)
            await cluster.converged()
            commands = cluster["n1"].machine.commands
            assert len(commands) == len(set(commands)), "applied twice"
            assert history.done <= set(commands), "acknowledged and lost"
            assert not history.refused & set(commands), "refused and done all the same"
            assert len(history.done) > 5
            if size > 1:
                assert len({tuple(node.machine.commands) for node in cluster.running}) == 1

    run(main())
