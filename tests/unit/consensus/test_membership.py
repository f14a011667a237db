"""Clusters that change who belongs to them, in one process, on a virtual clock."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import raftcluster
from virtualtime import run

from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import Changed, Invalid, NoQuorum, OutcomeUnknown, StoreError
from raftstore.wire import raft_pb2


class Cluster(raftcluster.Cluster):
    """A cluster whose members change; the check of what a majority has on disk goes by who votes."""

    def check(self, index, batch):
        if index not in self.committed:
            self.committed[index] = batch
            newest = max((node.consensus.membership.configuration for node in self.running), key=lambda v: v[0])
            before = max((node.consensus.membership.committed for node in self.running), key=lambda v: v[0])
            assert any(self.safe(one[1], index, batch) for one in (newest, before)), f"entry {index}"
        assert self.committed[index] == batch, f"two different entries {index} were applied"

    def safe(self, configuration, index, batch):
        have = [
            node.name
            for node in self.nodes.values()
            if node.name in configuration.voters and raftcluster.has_on_disk(node.journal, index, batch)
        ]
        return len(have) >= configuration.majority

    async def add_node(self, name):
        """Start a node that nobody knows yet."""
        node = self.nodes[name] = raftcluster.Node(self, name)
        members = self.members()
        await node.start(rejoining=True)
        node.consensus.membership.introduce(members)  # as the reply to a join request does
        return node

    async def step(self, make, timeout=20.0):
        """Have the leader make a change, whoever that is, until it is done."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            assert loop.time() < deadline, "the change is not done"
            leader = next((node for node in self.running if node.consensus.is_leader), None)
            if leader is not None:
                membership = leader.consensus.membership
                after, configuration = membership.configuration
                with contextlib.suppress(NoQuorum, Changed):
                    if make(configuration, 1 << 40) == configuration:
                        return after
                    return await membership.change(make, after=after, timeout=5.0)
            await asyncio.sleep(0.02)

    async def learn(self, name):
        await self.step(lambda c, i: c if name in c.names else c.with_learner(name, "", b""))

    async def caught_up(self, name):
        def there():
            leader = next((node for node in self.running if node.consensus.is_leader), None)
            return leader and leader.consensus.match_indexes.get(name, 0) >= leader.consensus.commit_index

        await self.until(there)

    async def promote(self, name):
        await self.caught_up(name)
        await self.step(lambda c, i: c if name in c.voters else c.with_voter(name))

    async def expel(self, name):
        for _ in range(20):
            leader = await self.leader([n for n in self.members() if self[n].up])
            if leader.name == name:
                await self.hand_over(leader.consensus)
            with contextlib.suppress(Invalid):  # it leads again
                await self.step(lambda c, i: c if name not in c.names else c.without(name, i))
                return
        raise AssertionError(f"{name} is still there")

    async def hand_over(self, leader):
        voters = sorted(leader.membership.configuration[1].voters)
        target = next(n for n in voters if self[n].consensus is not leader and self[n].up)
        await self.until(lambda: leader.transfer_leadership(target) or not leader.is_leader)
        await self.until(lambda: not leader.is_leader)

    def members(self):
        configurations = [node.consensus.membership.configuration for node in self.running]
        return max(configurations, key=lambda versioned: versioned[0])[1].names


def test_a_fourth_node_gets_everything_and_then_votes(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            for number in range(20):
                await leader.propose(f"before {number}")
            new = await cluster.add_node("n4")
            await cluster.learn("n4")
            assert leader.consensus.membership.configuration[1].majority == 2
            await cluster.promote("n4")
            await leader.propose("after")
            await cluster.converged()
            assert new.machine.commands == leader.machine.commands
            for node in cluster.running:
                assert node.consensus.membership.committed[1].voters == {"n1", "n2", "n3", "n4"}
                assert Configuration.decode(node.machine.configuration[1]).voters == {"n1", "n2", "n3", "n4"}
            # Two of four are no majority.
            others = [node for node in cluster.running if node is not leader]
            await others[0].kill()
            await others[1].kill()
            with pytest.raises((NoQuorum, OutcomeUnknown)):
                await leader.propose("not by two", timeout=3.0)

    run(main())


def test_a_learner_counts_for_nothing(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await cluster.add_node("n4")
            await cluster.learn("n4")
            await cluster.caught_up("n4")
            followers = [cluster[name] for name in ("n1", "n2", "n3") if cluster[name] is not leader]
            for follower in followers:
                await follower.kill()
            with pytest.raises((NoQuorum, OutcomeUnknown)):
                await leader.propose("by one and a learner", timeout=3.0)
            with pytest.raises(NoQuorum):
                await leader.consensus.read_barrier(timeout=3.0)
            await leader.kill()
            await asyncio.sleep(20)
            assert cluster["n4"].consensus.role == "follower"
            for node in (leader, *followers):
                await node.start()
            await cluster.leader(["n1", "n2", "n3"])
            await cluster["n1"].propose("again")

    run(main())


def test_a_follower_is_removed_and_disturbs_nobody(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            gone = next(node for node in cluster.running if node is not leader)
            await cluster.expel(gone.name)
            term = leader.consensus.term
            assert leader.consensus.membership.committed[1].removal(gone.name) is not None
            before = gone.journal[-1][1]
            await leader.propose("without it")
            await asyncio.sleep(15)
            assert gone.journal[-1][1] == before, "it gets nothing more"
            assert gone.consensus.term == term
            assert leader.consensus.is_leader
            assert leader.consensus.term == term
            await leader.consensus.read_barrier(timeout=2.0)
            await gone.stop()

    run(main())


def test_the_leader_is_removed_after_it_has_handed_over(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            old = await cluster.leader()
            await old.propose("of its own")
            after, _ = old.consensus.membership.configuration
            with pytest.raises(Invalid, match="transfer"):
                await old.consensus.membership.change(
                    lambda c, i: c.without(old.name, i), after=after, timeout=1.0
                )
            await old.propose("of the old one")
            await cluster.expel(old.name)
            rest = [name for name in cluster.names if name != old.name]
            new = await cluster.leader(rest)
            assert new is not old
            await new.propose("of the new one")
            await old.stop()

    run(main())


def test_down_to_one_and_up_again(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            await cluster.leader()
            for name in ("n3", "n2"):
                await cluster.expel(name)
                await cluster[name].stop()
            await cluster.leader(["n1"])
            await cluster["n1"].propose("alone")
            assert cluster["n1"].consensus.membership.committed[1].voters == {"n1"}
            await cluster["n1"].kill(power=True)
            await cluster["n1"].start()
            await cluster.leader(["n1"])
            for name in ("n4", "n5"):
                await cluster.add_node(name)
                await cluster.learn(name)
                await cluster.promote(name)
            await cluster.expel("n1")
            await cluster["n1"].stop()
            leader = await cluster.leader(["n4", "n5"])
            await leader.propose("none of the first is left")
            assert [c.decode() for c in leader.machine.commands] == ["alone", "none of the first is left"]

    run(main())


def test_conditions_of_a_change(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            follower = next(node for node in cluster.running if node is not leader)
            step = lambda c, i: c.with_learner("n4", "", b"")  # noqa: E731
            with pytest.raises(NoQuorum):
                await follower.consensus.membership.change(step, after=0, timeout=1.0)
            await leader.propose("own entry")
            with pytest.raises(Changed):
                await leader.consensus.membership.change(step, after=3, timeout=1.0)
            # While one is under way, and not committed, there is no other.
            cluster.lose("append_reply")
            first = asyncio.ensure_future(leader.consensus.membership.change(step, after=0, timeout=1.0))
            await asyncio.sleep(0.1)
            index, _ = leader.consensus.membership.configuration
            assert index
            assert leader.consensus.membership.committed[0] == 0
            with pytest.raises(NoQuorum):
                await leader.consensus.membership.change(
                    lambda c, i: c.with_voter("n4"), after=index, timeout=1.0
                )
            with pytest.raises(OutcomeUnknown):
                await first
            cluster.lose_nothing()
            await cluster.leader()

    run(main())


def test_no_change_before_an_own_entry_is_committed(tmp_path):
    """Ongaro's correction: otherwise two leaders' changes of the same configuration could both win."""

    async def main():
        async with Cluster(3, tmp_path) as cluster:
            first = await cluster.leader()
            await first.propose("warm")
            cluster.lose("append")
            # Whoever is elected now cannot commit its first entry.
            cluster.network.isolate(first.name)
            rest = [name for name in cluster.names if name != first.name]
            await cluster.until(lambda: any(cluster[n].consensus.is_leader for n in rest))
            new = next(cluster[n] for n in rest if cluster[n].consensus.is_leader)
            with pytest.raises(NoQuorum, match="not committed"):
                await new.consensus.membership.change(
                    lambda c, i: c.with_learner("n4", "", b""), after=0, timeout=1.0
                )
            assert new.consensus.membership.configuration[0] == 0

    run(main())


def test_an_uncommitted_change_is_rolled_back(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            old = await cluster.leader()
            await old.propose("warm")
            cluster.network.isolate(old.name)
            with pytest.raises(OutcomeUnknown):
                await old.consensus.membership.change(
                    lambda c, i: c.with_learner("n4", "", b""), after=0, timeout=10.0
                )
            assert old.consensus.membership.configuration[0] > 0
            rest = [name for name in cluster.names if name != old.name]
            new = await cluster.leader(rest)
            await new.propose("over it")
            cluster.network.heal()
            await cluster.leader()
            await cluster.until(lambda: old.consensus.membership.configuration[0] == 0)
            await cluster.converged()

    run(main())


def test_a_change_in_the_log_is_in_force_after_a_restart(tmp_path):
    async def main():
        async with Cluster(3, tmp_path) as cluster:
            await cluster.add_node("n4")
            await cluster.leader(["n1", "n2", "n3"])
            await cluster.learn("n4")
            await cluster.promote("n4")
            for node in cluster.nodes.values():
                await node.kill(power=True)
            for node in cluster.nodes.values():
                await node.start()
            leader = await cluster.leader()
            assert leader.consensus.membership.configuration[1].voters == {"n1", "n2", "n3", "n4"}
            await leader.propose("with four")

    run(main())


def test_a_snapshot_carries_the_membership(tmp_path):
    async def main():
        settings = raftcluster.ConsensusSettings(compact_entries=20, retain_entries=5, compact_interval=0.1)
        async with Cluster(3, tmp_path, settings=settings) as cluster:
            leader = await cluster.leader()
            await cluster.expel(next(node.name for node in cluster.running if node is not leader))
            for number in range(100):
                await leader.propose(f"{number}")
            await cluster.until(lambda: leader.journal[0][1] > leader.consensus.membership.committed[0])
            new = await cluster.add_node("n4")
            await cluster.learn("n4")
            await cluster.until(lambda: new.machine.commands == leader.machine.commands)
            assert new.consensus.membership.committed == leader.consensus.membership.committed
            await cluster.promote("n4")
            await cluster.until(lambda: len(new.consensus.membership.committed[1].voters) == 3)
            for node in cluster.running:
                if node.name not in leader.consensus.membership.committed[1].names:
                    await node.stop()

    run(main())


def test_an_unknown_leader_is_followed_once_it_was_introduced(tmp_path):
    """A node that was away while the others changed may know none of today's members but itself."""

    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            lagging = next(node for node in cluster.running if node is not leader)
            await lagging.kill()
            third = next(n for n in cluster.names if n not in (leader.name, lagging.name))
            for name in ("n4", "n5"):
                await cluster.add_node(name)
                await cluster.learn(name)
                await cluster.promote(name)
            for name in (leader.name, third):
                await cluster.expel(name)
                await cluster[name].stop()
            new = await cluster.leader(["n4", "n5"])
            await new.propose("by strangers")
            await lagging.start()
            await asyncio.sleep(5)
            assert lagging.machine.commands != new.machine.commands
            lagging.consensus.membership.introduce(["n4", "n5"])
            await cluster.converged()
            assert lagging.consensus.membership.committed == new.consensus.membership.committed

    run(main())


def test_nobody_votes_for_a_node_that_lacks_what_is_committed(tmp_path):
    """A learner's and a removed node's vote changes nothing: the candidate counts its own voters only."""

    async def main():
        async with Cluster(3, tmp_path) as cluster:
            leader = await cluster.leader()
            await cluster.add_node("n4")
            await cluster.learn("n4")
            await leader.propose("committed")
            others = [node for node in cluster.running if node is not leader and node.name != "n4"]
            candidate = others[0]
            await leader.kill()
            await others[1].kill()
            await asyncio.sleep(3)
            term = candidate.consensus.term
            # Made-up votes of a learner do not elect it either.
            cluster.deliver("n4", candidate.name, term, poll_reply=raft_pb2.PollReply(round=1, granted=True))
            cluster.deliver("n4", candidate.name, term, vote=raft_pb2.Vote())
            await asyncio.sleep(3)
            assert candidate.consensus.role != "leader"
            await leader.start()
            await cluster.leader(["n1", "n2", "n3"] if others[1].up else [leader.name, candidate.name])

    run(main())


@pytest.mark.parametrize("seed", range(6))
def test_cycles_under_load_with_crashes(tmp_path, seed):
    async def main():
        async with Cluster(3, tmp_path, seed=seed) as cluster:
            cluster.network.conditions.jitter = 0.003
            await cluster.leader()
            done, stop = [], asyncio.Event()

            async def client(which):
                number = 0
                while not stop.is_set():
                    members = [n for n in sorted(cluster.members()) if cluster[n].up]
                    node = cluster[members[(which + number) % len(members)]]
                    number += 1
                    text = f"{which}-{number}"
                    with contextlib.suppress(StoreError):
                        await node.propose(text, timeout=8.0)
                        done.append(text.encode())

            clients = [asyncio.ensure_future(client(which)) for which in range(3)]
            try:
                for cycle in range(5):
                    name = f"n{cycle + 4}"
                    await cluster.add_node(name)
                    await cluster.learn(name)
                    await cluster.promote(name)
                    victim = cluster[sorted(cluster.members())[(seed + cycle) % 4]]
                    if cycle % 2 and victim.up:
                        await victim.kill(power=True)
                        await victim.start()
                        await cluster.leader([n for n in cluster.members() if cluster[n].up])
                    gone = sorted(cluster.members() - {name})[(seed + cycle) % 3]
                    await cluster.expel(gone)
                    await cluster[gone].stop()
            finally:
                stop.set()
                await asyncio.gather(*clients)
            leader = await cluster.leader(list(cluster.members()))
            await leader.propose("last")
            await cluster.until(
                lambda: all(n.machine.commands == leader.machine.commands for n in cluster.running)
            )
            applied = leader.machine.commands
            assert len(done) > 50
            assert set(done) <= set(applied)
            assert len(applied) == len(set(applied))

    run(main())
