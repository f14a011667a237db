"""Exactly once, deadlines, bounds: what the proposer promises its callers."""

from __future__ import annotations

import asyncio

import pytest
from raftcluster import Cluster, CountingMachine
from virtualtime import run

from raftstore.consensus.settings import ConsensusSettings
from raftstore.errors import NoQuorum, OutcomeUnknown
from raftstore.wire import commands_pb2


def now():
    return asyncio.get_running_loop().time()


def follower_of(cluster, leader):
    return next(node for node in cluster.running if node is not leader)


def batches(node):
    """Return the operations of each batch in the node's log."""
    return [
        list(commands_pb2.Batch.FromString(command[2:]).operations)
        for command, _, _ in node.journal[:]
        if command.startswith(b"\x00C")
    ]


@pytest.mark.parametrize("lost", ["proposed", "propose"])
def test_a_lost_message_is_made_good_and_nothing_is_done_twice(lost, tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            node = follower_of(cluster, leader)
            await node.propose("warm")
            cluster.lose(lost)
            work = asyncio.gather(*(node.propose(f"w{i}") for i in range(50)))
            await asyncio.sleep(2.5)
            assert not work.done()
            cluster.lose_nothing()
            results = await work
            assert [result.detail for result in results] == [f"w{i}" for i in range(50)]
            await cluster.converged()
            commands = leader.machine.commands
            assert len(commands) == len(set(commands)) == 51
            if lost == "proposed":
                assert leader.machine.repeated > 0

    run(main())


def test_a_leader_that_dies_with_proposals_under_way_costs_nobody_their_result(tmp_path):
    async def main():
        async with Cluster(5, tmp_path) as cluster:
            for turn in range(5):
                leader = await cluster.leader()
                rest = [node for node in cluster.running if node is not leader]
                work = asyncio.gather(*(n.propose(f"{turn}-{n.name}-{i}") for n in rest for i in range(30)))
                await asyncio.sleep(0.0035 + turn * 0.0007)
                await leader.kill(power=True)
                await work
                await leader.start()
            await cluster.converged()
            commands = cluster["n1"].machine.commands
            assert len(commands) == len(set(commands)) == 5 * 4 * 30

    run(main())


def test_given_up_without_an_attempt_is_surely_not_done(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            node = follower_of(cluster, leader)
            cluster.network.isolate(node.name)
            await asyncio.sleep(0.1)
            begin = now()
            with pytest.raises(NoQuorum) as caught:
                await node.propose("no", 2)
            assert type(caught.value) is NoQuorum
            assert now() - begin == pytest.approx(2)
            cluster.network.heal()
            await node.propose("yes")
            await cluster.converged()
            assert node.machine.commands == [b"yes"]

    run(main())


def test_given_up_with_an_attempt_open_is_unknown_and_never_done_twice(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            node = follower_of(cluster, leader)
            await node.propose("warm")
            cluster.lose("proposed")
            with pytest.raises(OutcomeUnknown):
                await node.propose("open", 1.5)
            # The state machine may forget it by now; the log holds it twice.
            cluster.lose_nothing()
            for number in range(3):
                await node.propose(f"later {number}")
            await cluster.converged()
            assert leader.machine.commands.count(b"open") == 1

    run(main())


def test_what_was_given_up_is_not_proposed_again_with_its_batch(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            node = follower_of(cluster, leader)
            await node.propose("warm")
            cluster.lose("propose")
            short = asyncio.create_task(node.propose("short", 1.5))
            long = asyncio.create_task(node.propose("long", 20))
            with pytest.raises(OutcomeUnknown):
                await short
            cluster.lose_nothing()
            assert (await long).detail == "long"
            await cluster.converged()
            assert leader.machine.commands == [b"warm", b"long"]

    run(main())


def test_a_cancelled_caller_leaves_no_trace(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=ConsensusSettings(max_operations=2)) as cluster:
            leader = await cluster.leader()
            cluster.network.isolate(leader.name, silent=True)
            tasks = [asyncio.create_task(leader.propose(f"w{i}")) for i in range(6)]
            await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            cluster.network.heal()
            await leader.propose("free again")
            await cluster.converged()
            done = (await cluster.leader()).machine.commands
            assert done.count(b"free again") == 1
            # Two were under way; the others had no turn yet.
            assert set(done) <= {b"w0", b"w1", b"free again"}
            assert len(done) == len(set(done))

    run(main())


def test_callers_wait_their_turn_when_much_is_under_way(tmp_path):
    async def main():
        settings = ConsensusSettings(max_operations=4, max_bytes=1000)
        async with Cluster(3, tmp_path, settings=settings) as cluster:
            node = await cluster.leader()
            done: list[int] = []

            async def one(number: int) -> None:
                await node.propose(f"{number}" + "x" * (number % 7) * 50)
                done.append(number)

            await asyncio.gather(*(one(i) for i in range(200)))
            assert sorted(done) == list(range(200))
            # In turn, but for those that share a batch.
            assert all(abs(number - place) < 8 for place, number in enumerate(done))

    run(main())


def test_a_caller_that_gets_no_turn_is_refused_at_its_deadline(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=ConsensusSettings(max_operations=1)) as cluster:
            leader = await cluster.leader()
            cluster.network.isolate(leader.name, silent=True)
            first = asyncio.create_task(leader.propose("first", 1.5))
            await asyncio.sleep(0)
            with pytest.raises(NoQuorum) as caught:
                await leader.propose("second", 1)
            assert type(caught.value) is NoQuorum
            with pytest.raises(NoQuorum):
                await first

    run(main())


def test_an_operation_larger_than_the_bound_on_bytes_goes_alone(tmp_path):
    async def main():
        async with Cluster(1, tmp_path, settings=ConsensusSettings(max_bytes=10)) as cluster:
            node = cluster["n1"]
            await node.propose("warm")
            asked = ["aaaa", "x" * 50, "bbbb", "y" * 50, "cccc", "dddd"]
            await asyncio.gather(*(node.propose(command) for command in asked))
            shared = [[operation.command.decode() for operation in batch] for batch in batches(node)]
            assert shared == [["warm"], ["aaaa"], ["x" * 50], ["bbbb"], ["y" * 50], ["cccc", "dddd"]]

    run(main())


def test_nothing_begins_too_far_after_the_oldest_open_operation(tmp_path):
    async def main():
        settings = ConsensusSettings(max_spread=10, batch_operations=1, batches=4)
        async with Cluster(3, tmp_path, settings=settings) as cluster:
            leader = await cluster.leader()
            node = follower_of(cluster, leader)
            await node.propose("warm")
            held = True

            def keep(source, target, method, body):
                return not (held and b"stuck" in body)

            cluster.network.filter = keep
            stuck = asyncio.create_task(node.propose("stuck", 30))
            await asyncio.sleep(0)
            others = [asyncio.create_task(node.propose(f"w{i}", 30)) for i in range(50)]
            await asyncio.sleep(5)
            assert sum(task.done() for task in others) <= settings.max_spread
            held = False
            await asyncio.gather(stuck, *others)

    run(main())


def test_results_are_kept_until_they_are_acknowledged_and_then_forgotten(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            node = await cluster.leader()
            for number in range(20):
                await node.propose(f"w{number}")
            await cluster.converged()
            assert len(node.machine.results[node.name, node.boot]) == 1
            assert node.machine.acknowledged[node.name, node.boot] == 19

    run(main())


def test_all_that_arrives_together_shares_log_entries(tmp_path):
    async def main():
        async with Cluster(3, tmp_path, settings=ConsensusSettings(batch_operations=100)) as cluster:
            node = await cluster.leader()
            await node.propose("warm")
            before = node.journal[-1][1]
            await asyncio.gather(*(node.propose(f"w{i}") for i in range(500)))
            assert node.journal[-1][1] - before <= 10

    run(main())


class Weighed(CountingMachine):
    """A command weighs what its last word says."""

    def weight(self, command):
        return int(command.split()[-1])


def test_a_batch_is_closed_by_weight_and_what_is_heavier_goes_alone(tmp_path):
    async def main():
        cluster = Cluster(3, tmp_path, settings=ConsensusSettings(batch_weight=1000))
        for node in cluster.nodes.values():
            node.machine = Weighed(cluster.check)
        async with cluster:
            node = await cluster.leader()
            for weights, expected in (
                ([1001] * 14, [[1001]] * 14),
                ([300, 700, 1, 5000, 999, 1, 1], [[300, 700], [1], [5000], [999, 1], [1]]),
                ([0] * 90, [[0] * 90]),
            ):
                before = len(batches(node))
                await asyncio.gather(*(node.propose(f"w{i} {weight}") for i, weight in enumerate(weights)))
                made = [[int(o.command.split()[-1]) for o in batch] for batch in batches(node)[before:]]
                assert made == expected

    run(main())


def test_stopping_answers_everybody(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            node = follower_of(cluster, leader)
            cluster.network.isolate(leader.name, silent=True)
            tasks = [asyncio.create_task(leader.propose("a")), asyncio.create_task(node.propose("b"))]
            tasks.append(asyncio.create_task(leader.consensus.read_barrier(timeout=9)))
            await asyncio.sleep(0.01)
            await leader.stop()
            await node.stop()
            for task in tasks:
                with pytest.raises(NoQuorum):
                    await task
            with pytest.raises(NoQuorum):
                await leader.propose("late")
            with pytest.raises(NoQuorum):
                await leader.consensus.read_barrier(timeout=1)

    run(main())


def test_time_and_order_of_a_batch_are_the_proposers(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            node = await cluster.leader()
            await asyncio.gather(*(node.propose(f"w{i}") for i in range(3)))
            operations = [operation for batch in batches(node) for operation in batch]
            assert [o.command for o in operations] == [b"w0", b"w1", b"w2"]
            assert [o.id.sequence for o in operations] == [1, 2, 3]
            assert all(o.id.node == node.name and o.id.boot == 1 and o.time_ns > 0 for o in operations)

    run(main())
