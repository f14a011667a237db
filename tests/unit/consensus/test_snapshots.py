"""Compaction, and how a node that is too far behind (or has lost everything) gets back."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from raftcluster import Cluster, CountingMachine, MemoryJournal
from virtualtime import run

from raftstore.consensus.settings import ConsensusSettings
from raftstore.consensus.snapshots.compaction import LogBytes, cut_at, within
from raftstore.errors import Damaged, Unavailable
from raftstore.peers.model import Reply
from raftstore.wire import raft_pb2

pytestmark = pytest.mark.slow

SMALL = ConsensusSettings(
    compact_entries=30, retain_entries=10, compact_interval=0.05, snapshot_piece=64, batch_operations=1
)


async def fill(node, count, prefix="w"):
    await asyncio.gather(*(node.propose(f"{prefix}{i}") for i in range(count)))


async def behind(cluster, entries=200):
    """A cluster of which one node needs a snapshot; returns the leader and that node, which is down."""
    leader = await cluster.leader()
    away = next(node for node in cluster.running if node is not leader)
    await fill(leader, 5, "before")
    await away.kill()
    await fill(leader, entries)
    await cluster.until(lambda: leader.journal[0][1] > away.journal[-1][1])
    return leader, away


@pytest.mark.parametrize(
    ("first", "last", "durable", "applied", "retain", "floor", "start"),
    [
        (1, 100, 100, 100, 10, None, 90),
        (1, 100, 50, 100, 10, None, 49),
        (1, 100, 100, 100, 10, 40, 39),
        (60, 100, 50, 100, 10, None, 60),
        (1, 100, 0, 100, 10, None, 1),
        (1, 100, 100, 100, 0, None, 99),
        (1, 5, 5, 5, 10, None, 1),
        # After a loss of power the state may be ahead of the log.
        (1, 100, 150, 150, 0, None, 99),
        (99, 100, 150, 150, 0, None, 99),
        (1, 100, 150, 150, 60, None, 90),
    ],
)
def test_how_far_the_log_is_cut(first, last, durable, applied, retain, floor, start):
    found = cut_at(first=first, last=last, durable=durable, applied=applied, retain=retain, floor=floor)
    assert found == start


def test_how_much_of_the_log_is_within_its_bytes():
    assert within([3, 3, 3], 6) == 2
    assert within([7], 6) == 0
    assert within([], 6) == 0
    assert within([0, 0], 0) == 2


def test_the_bytes_of_the_log_are_those_that_are_there():
    journal = MemoryJournal()
    size = LogBytes(journal)
    for index in range(1, 101):
        journal.add(bytes(index), index, 1)
        if index % 7 == 0:
            assert size.count() == sum(range(index + 1))
    journal.setRaftCommitIndex(60)
    journal.deleteEntriesTo(50)
    assert size.count() == sum(range(51, 101))
    journal.deleteEntriesFrom(20)
    assert size.count() == sum(range(51, 71))


def test_restarts_do_not_let_the_log_grow(tmp_path):
    async def main():
        settings = ConsensusSettings(compact_bytes=100_000, compact_interval=0.05)
        async with Cluster(3, tmp_path, settings=settings) as cluster:
            for turn in range(8):
                leader = await cluster.leader()
                for number in range(5):
                    await leader.propose(f"{turn} {number}" + "x" * 10_000)
                for node in list(cluster.running):
                    await node.kill()
                    await node.start()
            await cluster.leader()
            await cluster.until(
                lambda: all(
                    node.journal[0][1] > 1 and sum(len(entry[0]) for entry in node.journal[:]) < 100_000
                    for node in cluster.running
                )
            )

    run(main())


@pytest.mark.parametrize("size", [1, 3])
def test_a_compacted_log_is_enough_to_start_from(size, tmp_path):
    async def main():
        async with Cluster(size, tmp_path, settings=SMALL) as cluster:
            leader = await cluster.leader()
            for turn in range(4):
                await fill(leader, 100, f"{turn}-")
                await cluster.until(
                    lambda: all(
                        len(node.journal) < 60 and node.journal.disk[0][1] > 1 for node in cluster.running
                    )
                )
                for node in cluster.running:
                    await node.kill(power=True)
                for node in cluster.nodes.values():
                    assert node.journal[0][1] > 1
                    await node.start()
                leader = await cluster.leader()
            await leader.propose("end")
            await cluster.converged()
            assert len(leader.machine.commands) == len(set(leader.machine.commands)) == 401

    run(main())


def test_a_large_log_is_cut_by_its_bytes(tmp_path):
    async def main():
        settings = ConsensusSettings(compact_bytes=100_000, compact_interval=0.05)
        async with Cluster(3, tmp_path, settings=settings) as cluster:
            leader = await cluster.leader()
            for number in range(60):
                await leader.propose(f"{number}" + "x" * 10_000)
            await cluster.until(lambda: all(node.journal[0][1] > 1 for node in cluster.running))
            await asyncio.sleep(1)
            assert all(sum(len(entry[0]) for entry in node.journal[:]) < 300_000 for node in cluster.running)

    run(main())


def test_a_node_that_was_away_for_long_gets_a_snapshot(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            leader, away = await behind(cluster)
            await away.start()
            await away.consensus.read_barrier(timeout=10)
            await cluster.converged()
            assert away.journal[0][1] > 100
            assert leader.consensus.is_leader
            # It stays, also after a loss of power.
            await away.kill(power=True)
            await away.start()
            await away.propose("after")
            await cluster.converged()

    run(main())


def test_a_node_that_was_away_shortly_gets_log_entries(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            leader = await cluster.leader()
            away = next(node for node in cluster.running if node is not leader)
            await fill(leader, 50)
            await cluster.converged()
            await away.kill()
            await fill(leader, 8, "missed")
            first = away.journal[0][1]
            await away.start()
            await cluster.converged()
            assert away.journal[0][1] <= first + 8

    run(main())


def test_writes_go_on_while_a_snapshot_is_fetched(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            leader, away = await behind(cluster)
            cluster.network.set(leader.name, away.name, delay=0.1)
            await away.start()
            terms = leader.consensus.term
            for number in range(300):
                await leader.propose(f"meanwhile {number}")
                await asyncio.sleep(0.01)
            cluster.network.set(leader.name, away.name, delay=0.001)
            await cluster.converged()
            assert leader.consensus.is_leader
            assert leader.consensus.term == terms

    run(main())


def test_a_snapshot_is_fetched_in_spite_of_breaks(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            leader, away = await behind(cluster)
            await away.start()
            for _ in range(10):
                await asyncio.sleep(0.03)
                cluster.network.isolate(leader.name, away.name)
                await asyncio.sleep(0.02)
                cluster.network.heal()
            await cluster.converged()

    run(main())


def test_a_fetch_goes_on_where_the_connection_broke(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            leader, away = await behind(cluster)
            handler = cluster.network.nodes[leader.name]._handlers["raft.snapshot.read"]
            calls, served = 0, []

            async def unreliable(peer, body, payload):
                nonlocal calls
                calls += 1
                if calls % 10 == 0:
                    raise Unavailable("the connection broke")
                served.append(raft_pb2.SnapshotRead.FromString(body).offset)
                return await handler(peer, body, payload)

            cluster.network.nodes[leader.name]._handlers["raft.snapshot.read"] = unreliable
            await away.start()
            await cluster.converged(within=300)
            assert calls > len(served) > 20
            assert served == sorted(set(served)), "a piece was fetched twice"

    run(main())


def test_what_a_snapshot_needs_stays_in_the_log_while_it_is_made(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            leader, away = await behind(cluster)
            cluster.disk = lambda name, worker: 0.5 if worker == "snapshots" and name == leader.name else 0.001
            made = 0
            write = leader.machine.write_snapshot

            def count(target):
                nonlocal made
                made += 1
                return write(target)

            leader.machine.write_snapshot = count
            await away.start()
            await cluster.until((tmp_path / leader.name / "outgoing.snapshot").exists)
            for turn in range(12):
                await fill(leader, 10, f"{turn} ")
                await asyncio.sleep(0.05)
            cluster.disk = lambda name, worker: 0.001
            await cluster.converged()
            assert made == 1

    run(main())


def test_the_part_of_a_snapshot_that_nobody_goes_on_with_is_removed(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            _, away = await behind(cluster)
            incoming = tmp_path / away.name / "incoming.snapshot"
            for node in cluster.running:
                cluster.network.set(node.name, away.name, delay=0.02)
            await away.start()
            await cluster.until(lambda: incoming.exists() and incoming.stat().st_size > 64)
            for node in cluster.running:
                cluster.network.isolate(node.name, away.name)
            await asyncio.sleep(SMALL.snapshot_keep + SMALL.snapshot_call + 1)
            assert not incoming.exists()
            cluster.network.heal()
            await cluster.converged()

    run(main())


def test_the_source_of_a_snapshot_may_die(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            leader, away = await behind(cluster)
            for node in cluster.running:
                cluster.network.set(node.name, away.name, delay=0.05)
            await away.start()
            await asyncio.sleep(0.5)
            await leader.kill()
            await cluster.leader()
            await away.propose("x")
            await leader.start()
            await cluster.converged()

    run(main())


def test_a_damaged_piece_is_not_installed(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            leader, away = await behind(cluster)
            handler = cluster.network.nodes[leader.name]._handlers["raft.snapshot.read"]
            damaged = 0

            async def damage(peer, body, payload):
                nonlocal damaged
                reply = await handler(peer, body, payload)
                if damaged < 3 and raft_pb2.SnapshotRead.FromString(body).offset >= 64:
                    damaged += 1
                    data = bytearray(reply.payload)
                    data[0] ^= 1
                    return Reply(reply.body, bytes(data))
                return reply

            cluster.network.nodes[leader.name]._handlers["raft.snapshot.read"] = damage
            await away.start()
            await cluster.converged()
            assert damaged == 3
            await cluster.until(lambda: not list((tmp_path / away.name).glob("incoming*")))

    run(main())


def test_what_follows_a_snapshot_stays_in_the_log_until_it_is_fetched(tmp_path):
    async def main():
        settings = dataclasses.replace(SMALL, compact_entries=100)
        async with Cluster(3, tmp_path, settings=settings) as cluster:
            leader, away = await behind(cluster, 400)
            cluster.network.set(leader.name, away.name, delay=0.04)
            made = 0
            handler = cluster.network.nodes[leader.name]._handlers["raft.snapshot.open"]

            async def count(peer, body, payload):
                nonlocal made
                made += 1
                return await handler(peer, body, payload)

            cluster.network.nodes[leader.name]._handlers["raft.snapshot.open"] = count
            await away.start()
            await cluster.until(lambda: made)
            while away.consensus.applied_index < 100:
                await fill(leader, 10, f"{asyncio.get_running_loop().time()} ")
                await asyncio.sleep(0.05)
            cluster.network.set(leader.name, away.name, delay=0.001)
            await cluster.converged()
            assert made == 1
            # And not for ever.
            await asyncio.sleep(SMALL.snapshot_keep + 1)
            assert not list((tmp_path / leader.name).glob("outgoing*"))
            await fill(leader, 100, "end")
            await cluster.until(lambda: len(leader.journal) < 150)

    run(main())


def test_a_log_does_not_grow_without_end_while_a_snapshot_is_fetched(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            leader, away = await behind(cluster, 400)
            cluster.lose_nothing()

            async def never(peer, body, payload):
                raise Unavailable("no")

            cluster.network.nodes[leader.name]._handlers["raft.snapshot.read"] = never
            await away.start()
            await cluster.until(lambda: leader.consensus._shortlog.server.floor)
            for turn in range(20):
                await fill(leader, 50, f"{turn} ")
                await asyncio.sleep(0.1)
                assert len(leader.journal) < 11 * SMALL.compact_entries + SMALL.retain_entries
            # The next attempt is for a newer one.
            await leader.kill()
            await leader.start()
            await cluster.converged()

    run(main())


def test_power_fails_between_state_and_log_of_a_snapshot(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            leader, away = await behind(cluster)
            # The state machine has installed a snapshot, the log still ends long before it.
            away.machine._restore(leader.machine._state())
            away.machine.saved = leader.machine._state()
            await away.start()
            await away.consensus.read_barrier(timeout=10)
            await away.propose("after")
            await cluster.converged()

    run(main())


def test_a_node_that_lost_everything_votes_only_when_it_has_caught_up(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            leader, lost = await behind(cluster)
            last = next(node for node in cluster.running if node is not leader)
            lost.journal, lost.machine = MemoryJournal(), CountingMachine(cluster.check)
            await last.kill()
            await leader.kill()
            rejoined = []
            await lost.start(rejoining=True, on_rejoined=lambda: rejoined.append(True))
            # Its vote, with that of the one that is up to date, would make a majority.
            await last.start()
            await asyncio.sleep(20)
            assert last.consensus.leader is None
            assert not rejoined
            await leader.start()
            await cluster.leader()
            await cluster.until(lambda: rejoined)
            await cluster.converged()
            # Now its vote counts.
            leader = await cluster.leader()
            other = next(node for node in cluster.running if node is not leader)
            if other is lost:
                other = next(node for node in cluster.running if node not in (leader, lost))
            await leader.kill()
            await cluster.leader()
            await lost.propose("a full member again")

    run(main())


def test_a_log_that_was_lost_without_notice_stops_the_node(tmp_path):
    async def main():
        cluster = Cluster(3, tmp_path)
        async with cluster:
            node = cluster["n1"]
            await node.propose("x")
            await node.stop()
            node.journal = MemoryJournal()
            with pytest.raises(Damaged, match="log was lost"):
                await node.start()

    run(main())


def test_a_state_older_than_the_log_stops_the_node(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=SMALL) as cluster:
            leader = await cluster.leader()
            await fill(leader, 100)
            node = next(node for node in cluster.running if node is not leader)
            await cluster.until(lambda: node.journal[0][1] > 1)
            await node.stop()
            node.machine = CountingMachine()
            with pytest.raises(Damaged, match="its log starts at"):
                await node.start()

    run(main())


def test_a_single_nodes_log_that_ends_before_its_state_stops_it(tmp_path):
    async def main():
        cluster = Cluster(1, tmp_path)
        async with cluster:
            node = cluster["n1"]
            await node.propose("x")
            await node.propose("y")
            await node.stop()
            del node.journal.entries[-1:]
            node.journal.commit = node.journal.entries[-1][1]
            with pytest.raises(Damaged, match="its log ends at"):
                await node.start()

    run(main())
