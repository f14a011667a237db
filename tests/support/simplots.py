"""Plots: faults in an order that random ones seldom find, each aimed at one way in which consensus is got wrong.

A plot is a coroutine that waits for something to happen and then strikes. It looks at the cluster, but changes
nothing that a bad day could not. One runs at a time; chance decides on its details.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from simcluster import Cluster
from simnode import Node
from simsteps import Steps, between

Pairs = list[tuple[str, str]]


class Plots(Steps):
    """Runs plots by name."""

    def __init__(self, cluster: Cluster, rng: random.Random, trace: Callable[[str, str, str], None]) -> None:
        super().__init__(cluster, rng, trace)
        self._task: asyncio.Task[None] | None = None
        self._seen: set[str] = set()

    @property
    def under_way(self) -> bool:
        """Whether a plot is under way: nothing else should go wrong then."""
        return self._task is not None and not self._task.done()

    def start(self, name: str) -> None:
        """Begin a plot. One that was seen before gives way to those that were not, half of the time."""
        if name in self._seen and self._rng.random() < 0.5:
            return
        self._seen.add(name)
        self._cluster.network.heal_all()
        plot: Callable[[], Awaitable[None]] = getattr(self, name)
        self._task = self._cluster.loop.create_task(self._run(plot))

    def stop(self) -> None:
        """End the plot that is under way."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, plot: Callable[[], Awaitable[None]]) -> None:
        try:
            await plot()
        except TimeoutError:
            pass  # what it waits for does not happen
        except Exception as error:
            self._cluster.violate("simulator", f"a plot fails: {error!r}")
        finally:
            self._cluster.watchers.clear()
            self._cluster.quiet = False
            self._cluster.network.heal_all()

    # Plots.

    async def blackout_at_commit(self) -> None:
        """All lose power in the moment of a commit, and the leader, or someone else, comes back last.

        Finds what was acknowledged or counted before it was synced.
        """
        cluster, rng = self._cluster, self._rng
        future = cluster.loop.create_future()

        def strike(leader: Node) -> None:
            if not future.done():
                future.set_result(leader)

        cluster.at_commit.append(strike)
        try:
            async with asyncio.timeout(3.0):
                leader: Node = await future
        finally:
            cluster.at_commit.clear()
        last = leader if rng.random() < 0.6 else rng.choice(list(cluster.nodes.values()))
        self._trace(leader.name, "blackout", f"{last.name} comes back last")
        for node in cluster.nodes.values():
            node.die(power=True)
            node.start_later(*((1.5, 4.0) if node is last else (0.05, 0.5)))

    async def split_vote(self) -> None:
        """A node votes and dies; its candidate is not heard; back at once, it is asked for its vote by another one.

        Finds votes that are not durable.
        """
        leader, _ = self._roles()
        self._trace(leader.name, "split vote", "")
        leader.die(power=False)
        leader.start_later(1.0, 2.0)
        candidate = await self._sends(lambda node, envelope: envelope.HasField("vote_request"))
        others = [node for node in self._cluster.nodes.values() if node.up and node is not candidate]
        if not others:
            return  # another fault has taken the third
        voter = self._rng.choice(others)
        # Only this one hears what the candidate has asked, just now, of all.
        self._hold(between([candidate], [node for node in others if node is not voter]))
        await self._sends(lambda node, envelope: node is voter and envelope.HasField("vote"), within=0.5)
        self._hold([(voter.name, candidate.name)])
        self._trace(voter.name, "has voted", f"for {candidate.name}")
        voter.die(power=self._rng.random() < 0.5)
        voter.start_later(0.001, 0.05)
        if self._rng.random() < 0.5:
            candidate.die(power=False)
            candidate.start_later(0.5, 1.5)
        await self._sleep(0.5, 1.5)

    async def two_candidates(self) -> None:
        """A leader asks two nodes to take over; whoever has voted for the first one dies, and is asked by the second.

        Polls before votes make two candidates in a term rare otherwise. Finds votes that are not durable.
        """
        leader, others = self._roles()
        if len(others) < 3:
            return
        first, voter, second = others[:3]
        everybody = [leader, *others]
        self._cluster.quiet = True
        await self._sleep(0.3, 0.6)
        self._hold(between([first], [node for node in everybody if node is not voter]))
        self._hold(between([voter], [node for node in everybody if node is not second]))
        self._transfer(leader, first)
        await self._sends(lambda node, envelope: node is voter and envelope.HasField("vote"), within=0.5)
        self._trace(voter.name, "has voted", f"for {first.name}")
        voter.die(power=self._rng.random() < 0.5)
        voter.start_later(0.001, 0.01)
        # Nobody else is to tell the second of the new term.
        self._hold(between([leader], [voter]))
        there, back = (self._cluster.network.wire(*pair) for pair in between([second, voter], [second, voter]))
        await self._until(lambda: voter.consensus is not None and there.up and back.up, within=1.0)
        self._transfer(leader, second)
        await self._sleep(0.05, 0.5)

    async def left_behind(self) -> None:
        """Some are left behind, another one gets a new disk, and then the leader goes.

        Finds nodes that vote although they have forgotten what they knew.
        """
        leader, others = self._roles()
        forgetful, lagging = others[0], others[1 : 1 + len(others) // 2]
        if not self._may_wipe(forgetful):
            return
        self._trace(forgetful.name, "to forget", f"behind: {' '.join(node.name for node in lagging)}")
        self._hold(between([leader, *others[1 + len(lagging) :]], lagging))
        await self._sleep(0.05, 0.8)
        if not self._may_wipe(forgetful) or not leader.up:
            return
        leader.die(power=self._rng.random() < 0.5)
        leader.start_later(1.0, 4.0)
        self._wipe(forgetful)
        for source, target in between([leader, *others[1 + len(lagging) :]], lagging):
            self._cluster.network.flap(source, target)
            self._cluster.network.heal(source, target)
        await self._sleep(0.5, 2.0)

    async def forgotten_vote(self) -> None:
        """A node helps to elect a new leader, forgets it with its disk, and hears the old leader again.

        Finds nodes that help two leaders, after they have lost their term.
        """
        old, others = self._roles()
        everybody = [old, *others]
        self._hold(between([old], others))
        await self._until(lambda: (now := self._cluster.leader()) is not None and now is not old)
        new = self._cluster.leader()
        assert new is not None
        votes, term = self._cluster.checks.votes, new.seen_term
        voters = [node for node in others if votes.get((node.name, term)) == new.name]
        if not voters or not self._may_wipe(voters[0]):
            return
        voter = voters[0]
        self._trace(voter.name, "forgets", f"its vote for {new.name} in term {term}")
        rest = [node for node in everybody if node not in (old, voter)]
        self._hold(between(rest, [old, voter]) + between([old, voter], rest))
        self._heal_among([old, voter])
        self._wipe(voter)
        await self._sleep(0.3, 1.5)

    async def stale_answers(self) -> None:
        """A leader and a follower are alone for a while; others lead; then the first leads again, and only now hears
        the answers of its first time: of entries that the follower has given up since.

        Finds answers that are taken for those of another term.
        """
        first, others = self._roles()
        close, rest = others[0], others[1:]
        if len(rest) < 3:
            return
        self._trace(first.name, "alone", f"with {close.name}")
        self._cluster.quiet = True
        await self._sleep(0.3, 0.6)
        self._hold(between(rest, [first, close]) + between([first, close], rest))
        self._cluster.flood(first, 4)
        self._cluster.flood(close, 4)
        await self._sleep(0.05, 0.2)
        self._hold([(close.name, first.name)])
        await self._until(lambda: (now := self._cluster.leader()) is not None and now is not first)
        # What was begun is given up, so that nobody tries it again with the new leader.
        await self._sleep(1.2, 1.5)
        self._heal(between(rest, [first, close]) + between([first, close], rest))
        await self._sleep(0.3, 0.6)
        self._hold([(first.name, close.name)])
        now = self._cluster.leader()
        term = 0 if now is None else now.seen_term
        leads = self._cluster.loop.create_task(
            self._sends(lambda n, e: n is first and e.HasField("append") and e.term > term, within=1.5)
        )
        while not leads.done():
            leader = self._cluster.leader()
            if leader is not None and leader is not first:
                self._transfer(leader, first)
            await self._sleep(0.005, 0.03)
        await leads
        # Its first entry gets to a few, not to a majority.
        self._hold(between([first], rest[: len(rest) // 2 + 1]))
        self._cluster.flood(first, 8)
        await self._sleep(0.05, 0.2)
        # Enough that what the late answers tell of is there again.
        self._cluster.flood(rest[-1], 8)
        await self._sleep(0.05, 0.3)
        self._trace(first.name, "hears", f"{close.name} again")
        self._heal([(close.name, first.name)])
        await self._sleep(0.05, 0.5)

    async def doubled_votes(self) -> None:
        """A candidate gets one vote, and that again and again; the others' are late.

        Finds votes that are counted twice.
        """
        leader, _ = self._roles()
        weather = self._cluster.network.weather
        usual = weather.duplicate
        leader.die(power=False)
        leader.start_later(1.0, 2.0)
        candidate = await self._sends(lambda node, envelope: envelope.HasField("vote_request"))
        voters = [node for node in self._cluster.nodes.values() if node.up and node is not candidate]
        self._trace(candidate.name, "doubled votes", f"of {voters[0].name}")
        self._hold(between(voters[1:], [candidate]))
        weather.duplicate = 1.0
        try:
            await self._sleep(0.1, 0.5)
        finally:
            weather.duplicate = usual

    async def stale_read(self) -> None:
        """A leader is cut off, where there are enough perhaps with a follower, and does not know it yet; another one
        leads and writes; then those that are cut off are asked.

        Finds reads that are answered by who has led, or through a follower of his.
        """
        first, others = self._roles()
        alone = others[:1] if len(others) > 3 and self._rng.random() < 0.5 else []
        rest = others[len(alone) :]
        term = first.seen_term
        self._hold(between([first, *alone], rest) + between(rest, [first, *alone]))
        await self._until(
            lambda: any(n.seen_term > term and n.led_term == n.seen_term and n.up for n in rest), within=2.0
        )
        second = next(node for node in rest if node.seen_term > term and node.led_term == node.seen_term)
        self._cluster.flood(second, 4)
        await self._sleep(0.05, 0.3)
        for node in (first, *alone):
            self._trace(node.name, "asked", f"although {second.name} leads")
            self._cluster.query(node, 4)
        await self._sleep(0.2, 1.0)

    async def cut_off(self) -> None:
        """A follower hears nobody for a while, and returns.

        Finds nodes that stand for election without a chance, and so return with a term that unseats the leader.
        """
        leader, others = self._roles()
        node, rest = others[0], [leader, *others[1:]]
        self._hold(between([node], rest) + between(rest, [node]))
        self._trace(node.name, "cut off", f"from {leader.name} in term {node.seen_term}")
        # What has reached it before may still have it stand.
        await self._until(lambda: node.process is not None and not node.process.stopped, within=4.0)
        await self._sleep(0.6, 0.8)
        if node.process is None or node.process.stopped:
            return
        boot, term = node.boot, node.seen_term
        await self._sleep(1.0, 2.5)
        if node.boot == boot and node.seen_term > term:
            self._cluster.violate(
                "unseats the leader",
                f"{node.name} goes on from term {term} to {node.seen_term} while it is alone",
            )

    async def race_of_changes(self) -> None:
        """A leader removes a member, heard by nobody; another one, elected, removes the first before it has committed
        anything; then the first and one who has heard neither are alone.

        Finds changes of the members that do not wait for each other, and what is left of one that is given up. It
        takes four: each of the two configurations then has a majority without the other's.
        """
        first, others = self._roles()
        if len(others) != 3 or first.seen_voters() != {node.name for node in (first, *others)}:
            return
        self._trace(first.name, "races", "")
        self._cluster.quiet = True
        await self._sleep(0.3, 0.6)
        self._hold(between([first], others))
        leads = self._cluster.loop.create_task(
            self._sends(lambda node, envelope: node is not first and envelope.HasField("append"))
        )
        await self._sleep(0.0, 0.1)
        # Which of the others will lead is not known yet, so any may be the one that is removed.
        gone = others[0]
        self._change(first, gone)
        second = await leads
        if second is gone:
            return
        third = next(node for node in others if node not in (gone, second))
        self._hold(between([second], [first, third]))
        self._hold(between([gone], [first, third]))
        self._change(second, first)
        await self._sleep(0.05, 0.3)
        self._heal_among([first, third])
        await self._sleep(1.0, 2.5)
        self._cluster.network.heal_all()
        await self._sleep(0.3, 0.6)
        leader = self._cluster.leader()
        if leader is not None and leader is not first:
            self._transfer(leader, first)
        self._cluster.quiet = False
        await self._sleep(0.3, 0.6)

    async def change_given_up(self) -> None:
        """A leader removes a member, heard by nobody; another one, elected, knows nothing of it, so it is dropped. Then
        the first and one more are alone.

        Finds what is left of a change that is given up: two of four are a majority to nobody but who counts three.
        """
        first, others = self._roles()
        if len(others) != 3 or first.seen_voters() != {node.name for node in (first, *others)}:
            return
        self._trace(first.name, "removes in vain", "")
        self._cluster.quiet = True
        await self._sleep(0.3, 0.6)
        self._hold(between([first], others))
        self._change(first, others[0])
        await self._until(lambda: self._cluster.leader() in others)
        self._cluster.network.heal_all()
        await self._sleep(0.5, 1.0)
        leader = self._cluster.leader()
        if leader is None or leader is first:
            return
        here = [first, next(node for node in others[1:] if node is not leader)]
        there = [node for node in others if node not in here]
        self._hold([*between(here, there), *between(there, here)])
        await self._sleep(1.5, 2.5)
