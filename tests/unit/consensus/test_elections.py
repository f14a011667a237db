from __future__ import annotations

import asyncio

import pytest
from raftcluster import Cluster
from virtualtime import run

from raftstore.wire import raft_pb2


def now():
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("silent", [False, True])
def test_fail_over_takes_less_than_three_seconds(size, silent, seed, tmp_path):
    """From the death of the leader to the next commit; a killed process breaks its connections, a lost one not."""

    async def main():
        async with Cluster(size, tmp_path, seed=seed) as cluster:
            leader = await cluster.leader()
            rest = [node for node in cluster.running if node is not leader]
            await rest[0].propose("before")
            begin = now()
            if silent:
                cluster.network.isolate(leader.name, silent=True)
            else:
                await leader.kill(power=True)
            await asyncio.gather(*(node.propose(f"after-{node.name}") for node in rest))
            assert now() - begin < (2.5 if silent else 1.2)

    run(main())


@pytest.mark.parametrize("silent", [False, True])
def test_a_node_that_was_cut_off_comes_back_without_disturbing(silent, tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("before")
            away = next(node for node in cluster.running if node is not leader)
            term = leader.consensus.term
            cluster.network.isolate(away.name, silent=silent)
            for number in range(20):
                await leader.propose(f"while it is away {number}")
                await asyncio.sleep(1)
            assert away.consensus.term == term
            cluster.network.heal()
            await cluster.converged()
            assert leader.consensus.is_leader
            assert {node.consensus.term for node in cluster.running} == {term}

    run(main())


def test_a_node_that_is_held_gives_no_vote_until_it_is_released(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("before")
            held, gone = (node for node in cluster.running if node is not leader)
            await held.kill()
            await gone.kill()
            await held.start(held=True)
            await cluster.converged()
            await leader.kill()
            await gone.start()
            term = held.consensus.term
            await asyncio.sleep(60)
            assert not held.consensus.is_leader and not gone.consensus.is_leader
            assert held.consensus.term == term
            held.consensus.release()
            assert (await held.propose("after")).detail == "after"

    run(main())


def test_a_node_that_hears_a_live_leader_gives_no_vote(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("x")
            await cluster.converged()
            term = leader.consensus.term
            a, b = (node for node in cluster.running if node is not leader)
            last = a.journal[-1]
            cluster.deliver(
                b.name,
                a.name,
                term + 1,
                vote_request=raft_pb2.VoteRequest(last_index=last[1], last_term=last[2]),
            )
            assert a.consensus.term == term
            await asyncio.sleep(3)
            assert {node.consensus.term for node in cluster.running} == {term}

    run(main())


def test_a_node_in_a_higher_term_is_heard_in_the_end(tmp_path):
    """It ignores the leader, whose term is old, and the others give it no vote, for they hear the leader."""

    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("before")
            await cluster.converged()
            stray = next(node for node in cluster.running if node is not leader)
            cluster.lose("vote_request")
            stray.consensus._stand(False)
            assert stray.consensus.term > leader.consensus.term
            cluster.lose_nothing()
            await cluster.leader(within=3)
            await stray.propose("after", 3)
            await cluster.converged()

    run(main())


def test_a_node_whose_log_is_behind_is_not_elected(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            behind, good = (node for node in cluster.running if node is not leader)
            await leader.propose("before")
            await behind.kill()
            await leader.propose("missed")
            await cluster.converged()
            await leader.kill()
            await behind.start()
            assert await cluster.leader() is good
            await behind.consensus.read_barrier(timeout=5)
            assert b"missed" in behind.machine.commands

    run(main())


def test_without_links_nobody_stands(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            await cluster.leader()
            for name in cluster.names:
                cluster.network.isolate(name)
            await asyncio.sleep(5)
            terms = [node.consensus.term for node in cluster.running]
            await asyncio.sleep(60)
            assert [node.consensus.term for node in cluster.running] == terms
            assert {node.consensus.leader for node in cluster.running} == {None}
            cluster.network.heal()
            await cluster.leader(within=3)

    run(main())


def test_votes_outlive_a_restart(tmp_path):
    async def main():
        cluster = Cluster(3, tmp_path)
        await cluster["n1"].start()
        voter = cluster["n1"]
        last = voter.journal[-1]
        cluster.network.links("n2")
        cluster.network.links("n3")
        cluster.network.join("n2")
        cluster.network.join("n3")
        votes = []
        cluster.watch = lambda source, target, envelope: (
            votes.append((target, envelope.term)) if envelope.HasField("vote") else None
        )
        request = raft_pb2.VoteRequest(last_index=last[1], last_term=last[2])
        cluster.deliver("n2", "n1", 7, vote_request=request)
        assert votes == [("n2", 7)]
        await voter.kill(power=True)
        await voter.start()
        cluster.deliver("n3", "n1", 7, vote_request=request)
        assert votes == [("n2", 7)]
        cluster.deliver("n3", "n1", 8, vote_request=request)
        assert votes == [("n2", 7), ("n3", 8)]
        await voter.stop()

    run(main())


def test_leadership_can_be_handed_over(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("x")
            await cluster.converged()
            await asyncio.sleep(0.3)
            target = next(node for node in cluster.running if node is not leader)
            assert not target.consensus.transfer_leadership(leader.name)
            begin = now()
            assert leader.consensus.transfer_leadership(target.name)
            await cluster.until(lambda: target.consensus.is_leader, 1)
            await leader.propose("y")
            assert now() - begin < 0.5

    run(main())


def test_what_is_proposed_meanwhile_keeps_nobody_from_taking_over(tmp_path):
    """A target that lacks an entry gets no votes."""

    async def hand_over(cluster, number):
        leader = await cluster.leader()
        await leader.propose(f"before {number}")
        await cluster.converged()
        target = next(node for node in cluster.running if node is not leader)
        await cluster.until(lambda: leader.consensus.transfer_leadership(target.name), 1)
        meanwhile = [asyncio.create_task(node.propose(f"{number} of {node.name}")) for node in cluster.running]
        await cluster.until(lambda: target.consensus.is_leader, 0.5)
        await asyncio.gather(*meanwhile)

    async def main():
        async with Cluster(3, tmp_path) as cluster:
            for number in range(6):
                await hand_over(cluster, number)

    run(main())


def test_who_does_not_take_over_in_time_leaves_the_leader_to_go_on(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("x")
            await cluster.converged()
            await asyncio.sleep(0.3)
            target = next(node for node in cluster.running if node is not leader)
            assert leader.consensus.transfer_leadership(target.name)
            await target.kill()
            await leader.propose("y")
            assert leader.consensus.is_leader

    run(main())


def test_watchers_hear_of_leaders(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            seen = {node.name: [] for node in cluster.running}
            for node in cluster.running:
                node.consensus.on_leader_change(seen[node.name].append)
            leader = await cluster.leader()
            await cluster.until(lambda: all(heard and heard[-1] == leader.name for heard in seen.values()))
            await leader.kill()
            del seen[leader.name]
            await cluster.until(lambda: all(heard[-1] not in (None, leader.name) for heard in seen.values()))
            assert all(None in heard for heard in seen.values()), "that there was none for a while is told, too"

    run(main())
