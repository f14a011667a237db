"""What must stop a node does, and what may not does not."""

from __future__ import annotations

import asyncio

import pytest
from raftcluster import Cluster
from virtualtime import run

from raftstore.consensus.driver import Driver
from raftstore.consensus.replication.normalise import Accept
from raftstore.consensus.runtime import AsyncioRuntime
from raftstore.consensus.settings import ConsensusSettings
from raftstore.errors import Damaged, DiskFailed, NoQuorum
from raftstore.wire import raft_pb2


async def stopped(cluster, node, kind):
    await cluster.until(lambda: node.fatal)
    (error,) = node.fatal
    assert isinstance(error, kind)
    with pytest.raises(NoQuorum):
        await node.propose("no", 1)
    with pytest.raises(NoQuorum):
        await node.consensus.read_barrier(timeout=1)
    await node.stop()
    node.fatal.clear()


@pytest.mark.parametrize("leads", [True, False])
@pytest.mark.slow
def test_a_failing_disk_stops_the_node_and_not_the_cluster(leads, tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("before")
            node = leader if leads else next(node for node in cluster.running if node is not leader)
            others = [other for other in cluster.running if other is not node]
            promised = []
            cluster.watch = lambda source, target, envelope: (
                promised.append(envelope) if source == node.name and node.journal.broken else None
            )
            node.journal.broken = True
            durable = node.journal.durable_index
            await asyncio.gather(*(other.propose(f"after-{other.name}") for other in others))
            await stopped(cluster, node, DiskFailed)
            matched = raft_pb2.AppendReply.MATCHED
            replies = [
                envelope.append_reply for envelope in promised if envelope.append_reply.outcome == matched
            ]
            assert not [reply for reply in replies if reply.next_index - 1 > durable]

    run(main())


@pytest.mark.slow
def test_a_failing_disk_under_a_vote_stops_the_node(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("before")
            node = next(node for node in cluster.running if node is not leader)
            votes = []
            cluster.watch = lambda source, target, envelope: (
                votes.append(1) if source == node.name and envelope.HasField("vote") else None
            )
            node.journal.broken = True
            await leader.kill()
            await stopped(cluster, node, DiskFailed)
            assert not votes
            await leader.start()
            await leader.propose("after")

    run(main())


def test_a_state_machine_that_fails_stops_the_node(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("before")
            node = next(node for node in cluster.running if node is not leader)

            def fail(index, batch):
                raise RuntimeError("cannot")

            node.machine.check = fail
            await leader.propose("after")
            await stopped(cluster, node, RuntimeError)

    run(main())


@pytest.mark.slow
def test_a_state_machine_that_fails_on_the_leader_tells_its_caller_that_nothing_is_known(tmp_path):
    async def main():
        async with Cluster(1, tmp_path) as cluster:
            node = cluster["n1"]
            await node.propose("before")

            def fail(index, batch):
                raise RuntimeError("cannot")

            node.machine.check = fail
            with pytest.raises(NoQuorum):
                await node.propose("after")
            await stopped(cluster, node, RuntimeError)

    run(main())


@pytest.mark.slow
def test_a_leader_that_contradicts_what_is_committed_stops_the_node(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("a")
            await leader.propose("b")
            await cluster.converged()
            node = next(node for node in cluster.running if node is not leader)
            last = node.journal[-1]
            term = leader.consensus.term + 1
            append = raft_pb2.Append(
                sequence=1,
                previous_index=last[1] - 1,
                previous_term=last[2],
                entries=[raft_pb2.Entry(term=term, command=b"\x01")],
            )
            cluster.deliver(leader.name, node.name, term, append=append)
            assert node.journal[-1] == last
            await stopped(cluster, node, Damaged)

    run(main())


@pytest.mark.slow
def test_a_journal_that_refuses_to_truncate_stops_the_node(tmp_path):
    """If all else failed: straight into the engine, past the normalising."""

    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("a")
            await cluster.converged()
            node = next(node for node in cluster.running if node is not leader)
            last = node.journal[-1]
            entry = (b"\x01", last[1], last[2] + 1)
            contradiction = Accept(last[1] - 1, last[2], [entry], last[1], last[1])
            node.consensus._driver.guard(
                lambda: node.consensus._raft.append(leader.name, last[2] + 1, contradiction)
            )()
            assert node.journal[-1] == last
            await stopped(cluster, node, Damaged)

    run(main())


def test_a_snapshot_that_the_engine_does_not_take_stops_the_node(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("a")
            await cluster.converged()
            node = next(node for node in cluster.running if node is not leader)

            def broken():
                raise RuntimeError("swallowed by the library")

            node.journal.clear = broken
            before, last = (b"\x01", 50, 1), (b"\x01", 51, 1)
            node.consensus._driver.guard(
                lambda: node.consensus._raft.install(leader.name, leader.consensus.term, before, last)
            )()
            await stopped(cluster, node, Damaged)

    run(main())


def test_one_error_is_reported_once(tmp_path):
    async def main():
        async with Cluster(1, tmp_path) as cluster:
            node = cluster["n1"]
            await node.propose("a")
            node.consensus._driver.fail(RuntimeError("one"))
            node.consensus._driver.fail(RuntimeError("two"))
            assert [str(error) for error in node.fatal] == ["one"]
            node.fatal.clear()

    run(main())


@pytest.mark.slow
def test_a_disk_that_fails_under_a_snapshot_stops_the_node(tmp_path):
    async def main():
        settings = ConsensusSettings(
            compact_entries=20, retain_entries=5, compact_interval=0.05, batch_operations=1
        )
        async with Cluster(3, tmp_path, settings=settings) as cluster:
            leader = await cluster.leader()
            node = next(node for node in cluster.running if node is not leader)
            await leader.propose("before")
            await node.kill()
            await asyncio.gather(*(leader.propose(f"w{i}") for i in range(100)))
            await cluster.until(lambda: leader.journal[0][1] > 20)

            def fail(source):
                raise DiskFailed("the disk is broken")

            node.machine.install_snapshot = fail
            await node.start()
            await stopped(cluster, node, DiskFailed)

    run(main())


def test_a_write_on_the_loop_that_fails_stops_the_node_whoever_asked_for_the_sync():
    class Failing:
        dirty = True

        def write(self):
            raise DiskFailed("no luck")

    async def main():
        fatal, reasons = [], []
        driver = Driver(AsyncioRuntime(), Failing(), 60.0, fatal.append)
        driver.timer, driver.halted = (lambda: None), reasons.append
        driver.start()
        driver.sync()
        assert [type(error) for error in fatal] == [DiskFailed]
        assert not driver.running
        assert "no luck" in reasons[0]
        await driver.stop()

    asyncio.run(main())
