"""The same over real connections, journals, threads and clocks."""

from __future__ import annotations

import asyncio

import pytest
from peer_networks import DEADLINE, event_loops, network, run_on, running
from raftcluster import CountingMachine
from waiting import until

from raftstore.consensus.engine import Consensus
from raftstore.consensus.log.journal import Journal
from raftstore.wire import commands_pb2

NAMES = ("n1", "n2", "n3")


class Member:
    def __init__(self, name, nets, directory):
        self.name, self.nets, self.directory = name, nets, directory
        self.machine, self.boot, self.fatal = CountingMachine(), 0, []

    async def start(self):
        self.boot += 1
        self.journal = Journal(self.directory / self.name / "journal")
        self.consensus = Consensus(
            node=self.name,
            members=NAMES,
            machine=self.machine,
            journal=self.journal,
            links=self.nets[self.name],
            boot=self.boot,
            snapshot_dir=self.directory / self.name / "snapshots",
            on_fatal=self.fatal.append,
        )
        await self.consensus.start()

    async def stop(self):
        await self.consensus.stop()
        self.journal.close()

    async def propose(self, text):
        result = await self.consensus.propose(text.encode(), timeout=DEADLINE)
        assert commands_pb2.Result.FromString(result).detail == text


@pytest.mark.parametrize("loop", event_loops())
@pytest.mark.slow
def test_three_nodes(loop, tmp_path):
    async def main():
        async with running(NAMES) as nets:
            members = [Member(name, nets, tmp_path) for name in NAMES]
            try:
                for member in members:
                    await member.start()
                await asyncio.gather(*(m.propose(f"{m.name}-{i}") for m in members for i in range(50)))
                for member in members:
                    await member.consensus.read_barrier(timeout=DEADLINE)
                    assert len(member.machine.commands) == 150
                assert len({tuple(member.machine.commands) for member in members}) == 1
            finally:
                for member in members:
                    await member.stop()
            assert not any(member.fatal for member in members)

    run_on(loop, main())


@pytest.mark.slow
def test_a_node_goes_and_comes_back(tmp_path):
    async def main():
        async with running(NAMES) as nets:
            members = {name: Member(name, nets, tmp_path) for name in NAMES}
            for member in members.values():
                await member.start()
            await members["n1"].consensus.read_barrier(timeout=DEADLINE)
            leader = members[members["n1"].consensus.leader or ""]
            rest = [member for member in members.values() if member is not leader]
            await rest[0].propose("before")
            # The process dies: its port is closed and so are its connections.
            await leader.stop()
            await nets[leader.name].stop()
            await asyncio.gather(*(member.propose(f"without {member.name}") for member in rest))
            log = leader.journal[:]
            addresses = {name: net.address for name, net in nets.items()}
            nets[leader.name] = network(leader.name, addresses, listen=addresses[leader.name])
            await nets[leader.name].start()
            await leader.start()
            assert leader.journal[: len(log)] == log
            await leader.consensus.read_barrier(timeout=DEADLINE)
            assert leader.machine.commands == rest[0].machine.commands
            await leader.propose("after")
            await until(lambda: all(m.machine.commands[-1] == b"after" for m in members.values()))
            for member in members.values():
                await member.stop()
                assert not member.fatal

    run_on("asyncio", main())
