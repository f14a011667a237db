"""What stock pysyncobj, or a careless transport, gets wrong: one test each."""

from __future__ import annotations

import asyncio

import pytest
from raftcluster import Cluster
from virtualtime import run

from raftstore.consensus.settings import ConsensusSettings
from raftstore.errors import NoQuorum, OutcomeUnknown, TooLarge
from raftstore.wire import raft_pb2


def now():
    return asyncio.get_running_loop().time()


async def took(work):
    begin = now()
    await work
    return now() - begin


@pytest.mark.parametrize("slow", ["followers", "leader", "everybody"])
def test_nothing_is_acknowledged_before_a_majority_and_the_leader_have_synced(slow, tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("warm")
            slowly = {
                "followers": [name for name in cluster.names if name != leader.name],
                "leader": [leader.name],
                "everybody": cluster.names,
            }[slow]
            cluster.disk = lambda name, worker: 0.4 if name in slowly else 0.001
            assert await took(leader.propose("slow")) >= 0.4
            cluster.disk = lambda name, worker: 0.001
            await cluster.leader()

    run(main())


def test_one_slow_follower_does_not_hold_up_the_others(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("warm")
            slow = next(name for name in cluster.names if name != leader.name)
            cluster.disk = lambda name, worker: 0.7 if name == slow else 0.001
            for number in range(20):
                assert await took(leader.propose(f"w{number}")) < 0.1
            assert leader.consensus.is_leader
            cluster.disk = lambda name, worker: 0.001
            await cluster.converged()

    run(main())


def test_a_leader_whose_disk_hangs_makes_room_for_another(tmp_path):
    """It fails no call and answers every heartbeat: without a limit the others would follow it for ever."""

    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("warm")
            others = [node for node in cluster.running if node is not leader]
            healed = asyncio.Event()
            cluster.disk = lambda name, worker: 20.0 if name == leader.name and not healed.is_set() else 0.001
            for number in range(3):
                await asyncio.gather(*(node.propose(f"{node.name}-{number}", timeout=10) for node in others))
            assert not leader.consensus.is_leader
            healed.set()
            await cluster.converged()

    run(main())


def test_a_single_node_syncs_before_it_commits(tmp_path):
    async def main():
        async with Cluster(1, tmp_path) as cluster:
            await cluster["n1"].propose("warm")
            cluster.disk = lambda name, worker: 0.4
            assert await took(cluster["n1"].propose("slow")) >= 0.4

    run(main())


@pytest.mark.slow
def test_at_most_one_append_with_entries_is_under_way_to_a_follower(tmp_path):
    async def main():
        cluster = Cluster(3, tmp_path)
        cluster.network.conditions.delay = 0.02
        flights: dict[str, int] = {}
        most = 0

        def sent(source, target, envelope):
            nonlocal most
            if envelope.append.entries:
                assert target not in flights, "a second append is under way"
                flights[target] = envelope.append.sequence
                most = max(most, len(envelope.append.entries))

        def arrived(source, target, method, body):
            reply = raft_pb2.Envelope.FromString(body).append_reply
            answers = reply.outcome != raft_pb2.AppendReply.ALIVE
            if answers and source in flights and reply.sequence >= flights[source]:
                del flights[source]

        async with cluster:
            leader = await cluster.leader()
            await leader.propose("warm")
            await asyncio.sleep(0.5)
            cluster.watch, cluster.network.arrived = sent, arrived
            writers = [node.propose(f"{node.name}-{i}") for node in cluster.running for i in range(2000)]
            await asyncio.gather(*writers)
            assert most > 1
            assert all(node.journal.truncations == 0 for node in cluster.running)

    run(main())


def test_a_stable_leader_makes_nobody_truncate_whatever_the_network_does(tmp_path):
    async def main():
        cluster = Cluster(3, tmp_path, seed=3)
        wires = cluster.network.conditions
        wires.jitter, wires.reorder, wires.duplicate, wires.drop = 0.05, True, 0.3, 0.05
        async with cluster:
            leader = await cluster.leader()
            await leader.propose("warm")
            terms = {node.consensus.term for node in cluster.running}
            before = [node.journal.truncations for node in cluster.running]
            await asyncio.gather(*(leader.propose(f"w{i}", 60) for i in range(500)))
            if {node.consensus.term for node in cluster.running} == terms:
                assert [node.journal.truncations for node in cluster.running] == before
            await cluster.converged(60)

    run(main())


@pytest.mark.parametrize("kind", ["append_reply", "append"])
def test_a_lost_message_does_not_close_the_window_for_long(kind, tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("warm")
            cluster.lose(kind)
            lost = asyncio.create_task(leader.propose("lost"))
            await asyncio.sleep(0.02)
            cluster.lose_nothing()
            assert await took(lost) < 3 * cluster.settings.heartbeat
            assert await took(leader.propose("next")) < 0.05
            await cluster.converged()

    run(main())


def test_what_is_produced_while_an_append_is_under_way_goes_out_with_its_reply(tmp_path):
    async def main():
        cluster = Cluster(3, tmp_path)
        cluster.network.conditions.delay = 0.01
        async with cluster:
            leader = await cluster.leader()
            await leader.propose("warm")
            await asyncio.sleep(0.5)
            first = asyncio.create_task(leader.propose("first"))
            await asyncio.sleep(0.005)
            # Two round trips and syncs, not the next heartbeat.
            assert await took(leader.propose("second")) < 0.06
            await first

    run(main())


def test_a_reply_of_another_term_is_not_counted(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("warm")
            await cluster.converged()
            peer = next(name for name in cluster.names if name != leader.name)
            cluster.network.isolate(leader.name, silent=True)
            lost = asyncio.create_task(leader.propose("never", 1))
            await asyncio.sleep(0.1)
            last = leader.journal[-1][1]
            matched = leader.consensus.match_indexes[peer]
            assert matched < last
            reply = raft_pb2.AppendReply(
                sequence=10**6, outcome=raft_pb2.AppendReply.MATCHED, next_index=last + 1
            )
            cluster.deliver(peer, leader.name, leader.consensus.term - 1, append_reply=reply)
            assert leader.consensus.match_indexes[peer] == matched
            with pytest.raises(OutcomeUnknown):
                await lost

    run(main())


def test_each_vote_is_counted_once(tmp_path):
    async def main():
        cluster = Cluster(5, tmp_path)
        await cluster["n1"].start()
        await cluster["n2"].start()
        candidate = cluster["n1"].consensus
        cluster.lose("vote_request")
        candidate._stand(False)
        assert candidate.role == "candidate"
        for _ in range(5):
            cluster.deliver("n2", "n1", candidate.term, vote=raft_pb2.Vote())
        assert candidate.role == "candidate"
        cluster.deliver("n3", "n1", candidate.term - 1, vote=raft_pb2.Vote())
        assert candidate.role == "candidate"
        cluster.deliver("n3", "n1", candidate.term, vote=raft_pb2.Vote())
        assert candidate.role == "leader"
        await cluster["n1"].stop()
        await cluster["n2"].stop()

    run(main())


def test_strangers_and_nonsense_are_not_heard(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("warm")
            term, links = leader.consensus.term, cluster.network.nodes[leader.name]
            other = next(name for name in cluster.names if name != leader.name)
            cluster.deliver("mallory", leader.name, 99, stale_term=raft_pb2.StaleTerm())
            links.receive(other, "raft", b"\xff\xff\xff")
            links.receive(other, "raft", raft_pb2.Envelope(term=term).SerializeToString())
            for command in (b"", b"\x02M", b"\x03anything", b"\x00pickle", b"\x00C" + bytes(2**20)):
                cluster.deliver(
                    other, leader.name, term, propose=raft_pb2.Propose(boot=1, request=1, command=command)
                )
            # A second leader in a term that has one.
            append = raft_pb2.Append(previous_index=1, entries=[raft_pb2.Entry(term=term, command=b"\x01")])
            cluster.deliver(other, leader.name, term, append=append)
            # An append that cannot be: of a term above its leader's.
            follower = cluster[other]
            last = follower.journal[-1]
            append = raft_pb2.Append(
                previous_index=last[1],
                previous_term=last[2],
                entries=[raft_pb2.Entry(term=term + 5, command=b"\x01")],
            )
            cluster.deliver(leader.name, other, term, append=append)
            assert follower.journal[-1] == last
            await leader.propose("still there")
            assert leader.consensus.is_leader
            assert leader.consensus.term == term

    run(main())


def test_an_answer_for_an_earlier_boot_is_for_nobody(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            follower = next(node for node in cluster.running if node is not leader)
            await follower.kill()
            await follower.start()
            await cluster.leader()
            await follower.propose("warm")
            cluster.lose("proposed")
            wanted = asyncio.create_task(follower.propose("wanted"))
            await asyncio.sleep(0.05)
            # To the restarted node's request 2 comes the answer that was on its way to its first life's request 2.
            await cluster.converged()
            answer = raft_pb2.Proposed(
                boot=follower.boot - 1,
                request=2,
                index=leader.journal[-1][1] + 1,
                entry_term=leader.consensus.term,
            )
            cluster.deliver(leader.name, follower.name, leader.consensus.term, proposed=answer)
            await leader.propose("somebody else's")
            await cluster.converged()
            cluster.lose_nothing()
            assert (await wanted).detail == "wanted"

    run(main())


def test_a_command_that_is_too_large_is_refused(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            node, largest = cluster["n1"], cluster.settings.max_command
            await node.propose("x" * largest)
            with pytest.raises(TooLarge):
                await node.propose("x" * (largest + 1))
            await asyncio.gather(
                *(n.propose(f"{n.name}{i}" + "x" * (largest - 9)) for n in cluster.running for i in range(4))
            )
            await cluster.converged()

    run(main())


def test_many_tiny_entries_go_in_several_appends(tmp_path):
    async def main():
        settings = ConsensusSettings(append_entries=10, batch_operations=1)
        async with Cluster(3, tmp_path, settings=settings) as cluster:
            leader = await cluster.leader()
            away = next(node for node in cluster.running if node is not leader)
            await away.kill()
            await asyncio.gather(*(leader.propose(f"w{i}") for i in range(100)))
            most = 0

            def watch(source, target, envelope):
                nonlocal most
                most = max(most, len(envelope.append.entries))

            cluster.watch = watch
            await away.start()
            await cluster.converged()
            assert most == 10

    run(main())


def test_a_leader_that_is_cut_off_neither_commits_nor_answers(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            old = await cluster.leader()
            await old.propose("before")
            cluster.network.isolate(old.name, silent=True)
            rest = [name for name in cluster.names if name != old.name]
            with pytest.raises(OutcomeUnknown):
                await old.propose("lost", 1)
            with pytest.raises(NoQuorum):
                await old.consensus.read_barrier(timeout=1)
            await cluster.until(lambda: not old.consensus.is_leader, 3)
            await cluster.until(lambda: old.consensus.leader is None, 3)
            with pytest.raises(NoQuorum) as refused:
                await old.propose("surely not done", 1)
            assert not isinstance(refused.value, OutcomeUnknown)
            new = await cluster.leader(among=rest)
            await new.propose("after")
            cluster.network.heal()
            await old.consensus.read_barrier(timeout=5)
            assert b"after" in old.machine.commands
            await cluster.converged()
            assert b"surely not done" not in new.machine.commands

    run(main())


@pytest.mark.parametrize(("size", "rounds"), [(3, 0), (5, 1)])
def test_a_followers_question_is_half_a_majority_of_three_only(tmp_path, size, rounds):
    async def main():
        async with Cluster(size, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("before")
            await cluster.converged()
            probed = []

            def watch(source, target, method, body):
                if raft_pb2.Envelope.FromString(body).HasField("probe"):
                    probed.append((source, target))
                return True

            cluster.network.filter = watch
            follower = next(node for node in cluster.running if node is not leader)
            await follower.consensus.read_barrier(timeout=5)
            assert len(probed) == rounds * (size - 1)
            cluster.network.filter = lambda source, target, method, body: True
            # The two by themselves can answer among three, and must not among five.
            for name in cluster.names:
                if name not in (leader.name, follower.name):
                    cluster.network.isolate(name, silent=True)
            if size == 3:
                await follower.consensus.read_barrier(timeout=5)
            else:
                with pytest.raises(NoQuorum):
                    await follower.consensus.read_barrier(timeout=1)

    run(main())


def test_a_new_leader_answers_no_read_before_it_knows_what_is_committed(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            old = await cluster.leader()
            rest = [node for node in cluster.running if node is not old]
            await old.propose("before")
            await cluster.converged()

            def keep(source, target, method, body):
                # The followers get the entries, but are not told that they are committed.
                envelope = raft_pb2.Envelope.FromString(body)
                return not (envelope.HasField("append") and not envelope.append.entries)

            cluster.network.filter = keep
            await old.propose("acknowledged")
            cluster.lose("append_reply")
            await old.kill()
            new = await cluster.leader()
            assert b"acknowledged" not in new.machine.commands
            for node in rest:
                with pytest.raises(NoQuorum):
                    await node.consensus.read_barrier(timeout=1)
            cluster.lose_nothing()
            for node in rest:
                await node.consensus.read_barrier(timeout=5)
                assert b"acknowledged" in node.machine.commands

    run(main())


@pytest.mark.slow
def test_an_idle_cluster_keeps_its_leader(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await leader.propose("x")
            term = leader.consensus.term
            await asyncio.sleep(120)
            assert [node.consensus.term for node in cluster.running] == [term] * 3

    run(main())
