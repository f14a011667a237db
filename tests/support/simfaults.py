"""What goes wrong, and when: drawn from the seed, weighted by the scenario's mix."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

from simcluster import Cluster
from simdisk import Latency
from simnode import Node
from simplots import Plots
from simscenario import PLOTS


class Faults:
    """Makes faults until `stop`; `heal` ends all that still last."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._rng = random.Random(f"{cluster.scenario.seed} faults")
        self._stopped = False
        self._plots = Plots(cluster, self._rng, self._trace)
        weights = cluster.scenario.weights
        self._names = [name for name in weights if weights[name] > 0]
        self._weights = [weights[name] for name in self._names]

    def start(self) -> None:
        self._next()

    def stop(self) -> None:
        self._stopped = True
        self._plots.stop()

    def heal(self) -> None:
        """End everything that lasts, and start all nodes."""
        cluster = self._cluster
        cluster.trace.event("", "healed", "")
        cluster.at_commit.clear()
        cluster.watchers.clear()
        cluster.network.heal_all()
        for node in list(cluster.nodes.values()):  # one may learn here that it was removed
            node.disk.crash_in = node.disk.fail_in = None
            node.has_space()
            node.disk.latency = node.disk.usual
            if node.process is not None:
                node.process.resume_now()
            else:
                node.start()

    def _next(self) -> None:
        if self._names:
            delay = self._rng.expovariate(1 / self._cluster.scenario.mean_fault)
            self._cluster.loop.call_later(delay, self._strike)

    def _strike(self) -> None:
        if self._stopped:
            return
        name = self._rng.choices(self._names, self._weights)[0]
        if self._plots.under_way:
            pass
        elif name in PLOTS:
            self._plots.start(name)
        else:
            getattr(self, f"_{name}")()
        self._next()

    # Helpers.

    def _trace(self, node: str, what: str, detail: str = "") -> None:
        self._cluster.trace.event(node, f"* {what}", detail)

    def _node(self) -> Node | None:
        """A node that is up: in half of the cases the leader."""
        leader = self._cluster.leader()
        if leader is not None and self._rng.random() < 0.5:
            return leader
        up = [node for node in self._cluster.nodes.values() if node.up]
        return self._rng.choice(up) if up else None

    def _for_a_while(self, end: Callable[[], None], shortest: float = 0.05, longest: float = 3.0) -> None:
        seconds = shortest + (longest - shortest) * self._rng.random() ** 2
        self._cluster.loop.call_later(seconds, end)

    def _block(self, pairs: list[tuple[str, str]]) -> None:
        network, hold = self._cluster.network, self._rng.random() < 0.6
        for source, target in pairs:
            (network.hold if hold else network.cut)(source, target)
        # Those who notice nothing for too long are cut off: the connection is given up, what was sent is lost.
        breaks = hold and self._rng.random() < 0.4

        def end() -> None:
            if self._plots.under_way:
                return  # it has ended this, and has use for the same wires
            for source, target in pairs:
                if breaks:
                    network.flap(source, target)
                network.heal(source, target)

        self._for_a_while(end)

    # Network.

    def _split(self) -> None:
        names = list(self._cluster.names)
        self._rng.shuffle(names)
        size = self._rng.randint(1, len(names) - 1)
        here, there = sorted(names[:size]), sorted(names[size:])
        self._trace("", "split", f"{' '.join(here)} from {' '.join(there)}")
        self._block([(a, b) for a in here for b in there] + [(b, a) for a in here for b in there])

    def _isolate(self) -> None:
        node = self._node()
        if node is not None:
            others = [name for name in self._cluster.names if name != node.name]
            self._trace(node.name, "isolated")
            self._block([(node.name, o) for o in others] + [(o, node.name) for o in others])

    def _one_way(self) -> None:
        node = self._node()
        if node is None:
            return
        others = [name for name in self._cluster.names if name != node.name]
        chosen = sorted(self._rng.sample(others, self._rng.randint(1, len(others))))
        if self._rng.random() < 0.5:
            self._trace(node.name, "not heard", f"by {' '.join(chosen)}")
            self._block([(node.name, other) for other in chosen])
        else:
            self._trace(node.name, "hears not", " ".join(chosen))
            self._block([(other, node.name) for other in chosen])

    def _flap(self) -> None:
        source, target = self._rng.sample(self._cluster.names, 2)
        self._trace(source, "flap", f"to {target}")
        self._cluster.network.flap(source, target)
        if self._rng.random() < 0.5:
            self._cluster.network.flap(target, source)

    def _delay(self) -> None:
        source, target = self._rng.sample(self._cluster.names, 2)
        wire, extra = self._cluster.network.wire(source, target), self._rng.choice((0.05, 0.3, 1.0))
        self._trace(source, "slow", f"to {target}: {extra} s")
        wire.extra = extra

        def end() -> None:
            wire.extra = 0.0

        self._for_a_while(end)

    # Processes and power.

    def _kill(self) -> None:
        self._down(power=False)

    def _power(self) -> None:
        self._down(power=True)

    def _down(self, *, power: bool) -> None:
        node = self._node()
        if node is not None:
            node.die(power=power)
            node.start_later()

    def _blackout(self) -> None:
        """All nodes, or a majority, lose power at once."""
        names = list(self._cluster.names)
        some = names if self._rng.random() < 0.6 else self._rng.sample(names, len(names) // 2 + 1)
        for name in sorted(some):
            node = self._cluster.nodes[name]
            node.die(power=True)
            node.start_later()

    def _crash_at(self) -> None:
        """A node dies in the middle of what it does with its disk, soon."""
        node = self._node()
        if node is not None:
            node.disk.crash_in = self._rng.randint(1, 12)
            node.disk.crash_power = self._rng.random() < 0.7
            self._trace(node.name, "will crash", f"in operation {node.disk.crash_in} of its disk")

    def _pause(self) -> None:
        node = self._node()
        if node is not None and node.process is not None:
            seconds = 0.05 + 3.0 * self._rng.random() ** 2
            self._trace(node.name, "paused", f"{seconds:.3f} s")
            node.process.stop_for(seconds)

    def _restart(self) -> None:
        node = self._node()
        if node is not None:
            self._trace(node.name, "stopping")
            node.stop_gracefully()

    def _transfer(self) -> None:
        leader = self._cluster.leader()
        if leader is None or leader.process is None:
            return
        others = [name for name in self._cluster.names if name != leader.name]
        target, consensus = self._rng.choice(others), leader.consensus

        def ask() -> None:
            if consensus is not None:
                taken = consensus.transfer_leadership(target)
                self._trace(leader.name, "transfer", f"to {target}: {taken}")

        leader.process.run(ask)

    def _membership(self) -> None:
        if self._cluster.members is not None:
            self._cluster.members.want()

    # Disks.

    def _slow_disk(self) -> None:
        node = self._node()
        if node is None:
            return
        disk = node.disk
        disk.latency = Latency(base=self._rng.choice((0.01, 0.05, 0.2)), spread=0.2, worst=1.5, chance=0.1)
        self._trace(node.name, "slow disk")

        def end() -> None:
            disk.latency = disk.usual

        self._for_a_while(end)

    def _disk_error(self) -> None:
        node = self._node()
        if node is not None:
            disk = node.disk
            disk.fail_in = self._rng.randint(1, 10)
            disk.fail_only = self._rng.choice((None, "datasync", "datasync", "write"))
            disk.fail_errno = self._rng.choice((errno.EIO, errno.EIO, errno.ENOSPC))
            self._trace(node.name, "disk will fail", f"{disk.fail_only} {disk.fail_in}")

    def _disk_full(self) -> None:
        """Something else fills the disk of a node, or of several; after a while there is space again."""
        up = [node for node in self._cluster.nodes.values() if node.up]
        count = min(len(up), self._rng.choice((1, 1, 1, 2, 2, 3)))
        for node in self._rng.sample(up, count):
            left, pieces = self._rng.choice((0, 0, 600, 3000)), self._rng.choice((0, 0, 1, 3))
            self._trace(node.name, "disk full", f"{left} bytes left, {pieces} pieces of ballast")
            node.fill_disk(left, pieces)
            self._for_a_while(node.has_space, 0.2, 5.0)

    def _rot(self) -> None:
        """A bit flips on the disk of a node; often the node finds it at once, at a start."""
        node = self._rng.choice(list(self._cluster.nodes.values()))
        if self._cluster.spare() < (0 if node.impaired else 1):
            return
        where = node.disk.rot((".log",) if self._rng.random() < 0.8 else (".log", "mark", "hardstate"))
        if where is None:
            return
        node.rotten = True
        self._trace(node.name, "rot", where)
        if node.up and self._rng.random() < 0.7:
            node.die(power=self._rng.random() < 0.5)
            node.start_later()

    def _wipe(self) -> None:
        """A node gets a new disk."""
        node = self._rng.choice(list(self._cluster.nodes.values()))
        if self._cluster.spare() < (0 if node.impaired else 1):
            return
        node.die(power=True)
        node.wipe()
        node.start_later()
