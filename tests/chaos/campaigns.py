"""Faults against a cluster of real processes under load, and what they are allowed to cost."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from counter import Counter, Readers, Tally
from harness import Cluster
from history import linearizable
from waiting import eventually
from workload import TIMEOUT, Workload, look

RATE = 30.0


@dataclass
class Times:
    """Seconds from a fault to the next acknowledged change, and what else is worth telling."""

    name: str
    seconds: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """The seconds within which `share` of the faults were overcome."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def row(self) -> str:
        """One line of the table."""
        if not self.seconds:
            return f"| {self.name} | 0 | - | - | - | {'; '.join(self.notes)} |"
        return (
            f"| {self.name} | {len(self.seconds)} | {statistics.median(self.seconds):.2f} "
            f"| {self.quantile(0.99):.2f} | {max(self.seconds):.2f} | {'; '.join(self.notes)} |"
        )


HEAD = "| fault | times | p50 s | p99 s | max s | |\n|---|---|---|---|---|---|"


class Ground:
    """A cluster with a workload on it. `tell` says what happens."""

    def __init__(self, cluster: Cluster, seed: int, tell: Callable[[str], None]) -> None:
        self.cluster = cluster
        self.chance = random.Random(f"{seed}-faults")
        self.tell = tell
        self.workload = Workload(self.login, cluster.names, seed=seed, rate=RATE)

    def login(self, node: str):
        """Open a session that waits no longer than a client would."""
        return self.cluster.login(node, timeout=TIMEOUT)

    def recovery(self, since: float) -> float:
        """Seconds from `since` to the next acknowledgement of a change that was asked for after it."""
        return self.workload.wait_acknowledged(since) - since


@contextmanager
def ground(
    directory: Path, seed: int, tell: Callable[[str], None], *, proxied: bool = False
) -> Iterator[Ground]:
    """Start cluster and load; at the end check everything that any client was ever told."""
    with Cluster(directory, proxied=proxied) as cluster:
        here = Ground(cluster, seed, tell)
        here.workload.start()
        try:
            here.workload.wait_acknowledged(0.0)
            yield here
        finally:
            here.workload.stopping.set()
        here.workload.stop()
        verify(here)


def verify(here: Ground) -> None:
    """Every node tells the same at the end, and one order of events explains all that clients were told."""
    cells = here.workload.cells
    for name in here.cluster.names:
        with here.cluster.login_when_served(name) as session:
            look(session, cells, name)
    counts = here.workload.counts()
    for cell in cells:
        if not linearizable(cell.history):
            story = "\n".join(str(one) for one in sorted(cell.history, key=lambda one: one.invoke))
            raise AssertionError(
                f"no order of events explains what clients were told of {cell.path(0)}:\n{story}"
            )
    here.tell(
        f"checked {sum(len(cell.history) for cell in cells)} answers in {len(cells)} cells: "
        + ", ".join(f"{number} {name}" for name, number in counts.items())
        + f"; surely not done: {dict(here.workload.refused)}"
    )


def no_fault(here: Ground, count: int) -> Times:
    """How long the next acknowledgement takes when nothing is done to the cluster: what the machine costs."""
    times = Times("none")
    for _ in range(count):
        time.sleep(here.chance.uniform(0.0, 0.4))
        times.seconds.append(here.recovery(time.monotonic()))
    return times


def kill_leaders(here: Ground, count: int) -> Times:
    """Kill -9 the leader; start it again when the others go on; again when it serves."""
    times = Times("leader killed")
    for number in range(count):
        leader = here.cluster.leader()
        time.sleep(here.chance.uniform(0.0, 0.4))
        killed = time.monotonic()
        here.cluster.kill(leader)
        times.seconds.append(here.recovery(killed))
        here.tell(f"kill {number + 1}/{count}: {leader}, next commit after {times.seconds[-1]:.2f} s")
        here.cluster.start_node(leader)
        here.cluster.wait_ready(leader)
    return times


def kill_all(here: Ground, count: int) -> Times:
    """Kill -9 all nodes at once; start all; again when all serve."""
    times = Times("all nodes killed, from their start")
    for number in range(count):
        time.sleep(here.chance.uniform(0.5, 2.0))
        here.cluster.kill_all()
        started = time.monotonic()
        for name in here.cluster.names:
            here.cluster.start_node(name)
        times.seconds.append(here.recovery(started))
        here.tell(f"all killed {number + 1}/{count}: next commit after {times.seconds[-1]:.2f} s")
        for name in here.cluster.names:
            here.cluster.wait_ready(name)
    return times


def pause(here: Ground, count: int, *, leader: bool, longest: float = 10.0) -> Times:
    """SIGSTOP a node for 0.5 to `longest` s. What it is asked before and after it wakes, it must not answer
    from before."""
    cluster, times, tally = here.cluster, Times(f"{'leader' if leader else 'follower'} paused"), Tally()
    counter = Counter(here.login, cluster.names)
    counter.start()
    try:
        for number in range(count):
            length = 0.5 * (longest / 0.5) ** here.chance.random()
            node = cluster.leader() if leader else cluster.follower()
            readers = Readers(here.login, node, counter, tally)
            try:
                before = counter.acknowledged
                counter.avoid(node)
                cluster.pause(node)
                paused = time.monotonic()
                try:
                    time.sleep(length)
                    readers.ask()
                    meanwhile = counter.acknowledged - before
                finally:
                    cluster.wake(node)
                readers.check()
                readers.go_on(1.5)
            finally:
                readers.close()
                counter.avoid()
            times.seconds.append(here.recovery(paused))
            here.tell(
                f"pause {number + 1}/{count}: {node} for {length:.2f} s, {meanwhile} overwritten meanwhile, "
                f"next commit after {times.seconds[-1]:.2f} s"
            )
            cluster.wait_ready(node)
    finally:
        counter.stop()
    times.notes.append(
        f"{tally.answers} reads at woken nodes ({tally.early} asked while they were paused), none stale; "
        f"{tally.refusals} refused"
    )
    return times


ONE_WAY = (
    "from the leader to one",
    "from the leader to all",
    "from all to the leader",
    "from one to the leader",
)


def cut_one_way(here: Ground, rounds: int, longest: float = 8.0) -> list[Times]:
    """Cut links in one direction, for 1 to `longest` s; afterwards everything is well again."""
    cluster, found = here.cluster, []
    for kind in ONE_WAY:
        times = Times(f"cut {kind}")
        for number in range(rounds):
            leader = cluster.leader()
            others = [name for name in cluster.names if name != leader]
            if "one" in kind:
                others = [here.chance.choice(others)]
            cut = time.monotonic()
            for other in others:
                pair = (leader, other) if kind.startswith("from the leader") else (other, leader)
                cluster.cut_one_way(*pair)
            time.sleep(here.chance.uniform(1.0, longest))
            times.seconds.append(here.recovery(cut))
            cluster.heal()
            here.tell(f"cut {kind} {number + 1}/{rounds}: next commit after {times.seconds[-1]:.2f} s")
            healed = time.monotonic()
            for name in cluster.names:
                eventually(lambda name=name: cluster.status(name)["verdict"] == "healthy")
            times.notes = [f"healthy {time.monotonic() - healed:.1f} s after the last heal"]
        found.append(times)
    return found
