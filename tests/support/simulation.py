"""One seed from its beginning to its verdict: a time with faults, then one without, then the accounts."""

from __future__ import annotations

import random
import traceback
from collections import defaultdict
from dataclasses import dataclass

from simclients import Clients
from simcluster import Cluster
from simfaults import Faults
from simhistory import INFINITY, Answer, Kind, Operation, check
from simlevels import Levels
from simloop import OutOfEvents, TooManyEvents
from simmachine import path
from simnode import Node
from simscenario import Scenario
from simstaging import small_slices
from simtrace import Trace

RECOVERY = 40.0
"""Virtual seconds within which a cluster without faults must be as new."""


@dataclass
class Verdict:
    """How a seed went. `violation` is None when everything held."""

    scenario: Scenario
    violation: str | None
    trace: Trace
    operations: int
    acknowledged: int
    committed: int
    virtual: float
    recovery: float
    steps: int


def simulate(scenario: Scenario, *, messages: bool = False) -> Verdict:
    """Run a scenario."""
    trace = Trace(messages=messages)
    cluster = Cluster(scenario, trace)
    simulation = _Simulation(cluster)
    try:
        with small_slices():
            simulation.run()
    except (OutOfEvents, TooManyEvents) as error:
        cluster.violate("no end", f"the simulation ends: {error!r}")
    except Exception:
        cluster.violate("error escapes", f"an error escapes:\n{traceback.format_exc()}")
    finally:
        history = simulation.clients.history
        verdict = Verdict(
            scenario,
            cluster.violation,
            trace,
            len(history),
            sum(operation.answer in (Answer.OK, Answer.REFUSED) for operation in history),
            cluster.checks.last_committed,
            cluster.loop.time(),
            simulation.recovery,
            cluster.loop.steps,
        )
        cluster.close()
    return verdict


class _Simulation:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.clients = Clients(cluster)
        self._faults = Faults(cluster)
        self._levels = Levels(cluster)
        self._rng = random.Random(f"{cluster.scenario.seed} end")
        self.recovery = 0.0

    def run(self) -> None:
        cluster = self._cluster
        cluster.trace.event("", "scenario", str(cluster.scenario))
        cluster.start()
        self.clients.start()
        self._faults.start()
        self._levels.start()
        cluster.run(lambda: False, cluster.scenario.duration)
        if cluster.violation is None:
            self._recover()
        if cluster.violation is None:
            self._account()

    def _recover(self) -> None:
        """Without faults, every node takes writes and reads, and all nodes come to the same state, in time."""
        cluster = self._cluster
        self._faults.stop()
        self._faults.heal()
        self._levels.stopped = True
        self.clients.pace = 50.0
        begin = cluster.loop.time()
        served: set[str] = set()
        deadline = begin + RECOVERY
        if cluster.members is not None and not cluster.run(cluster.members.settled, deadline):
            wanted = "; ".join(str(intent).replace("\n", " ") for intent in cluster.members.open)
            cluster.violate(
                "no progress", f"members do not settle within {RECOVERY:g} s without faults: {wanted}"
            )
            return
        for node in cluster.nodes.values():
            cluster.loop.create_task(self._serve(node, served))
        if not cluster.run(lambda: len(served) == len(cluster.names), deadline):
            missing = ", ".join(name for name in cluster.names if name not in served)
            cluster.violate("no progress", f"no progress within {RECOVERY:g} s without faults at {missing}")
            return
        self.clients.stopped = True
        if not cluster.run(self._settled, deadline):
            cluster.violate("no progress", f"the nodes are not equal within {RECOVERY:g} s without faults")
        self.recovery = cluster.loop.time() - begin

    async def _serve(self, node: Node, served: set[str]) -> None:
        """Write and read at a node until it works."""
        cluster, loop = self._cluster, self._cluster.loop
        number = 1000 + int(node.name[1:])
        deadline = loop.time() + RECOVERY
        while loop.time() < deadline and node.name not in served:
            write = Operation(number, 0, Kind.WRITE, self.clients.token(), 0.0)
            read = Operation(number, 0, Kind.READ, None, 0.0)
            for operation in (write, read):
                if node.consensus is not None and node.process is not None:
                    await self.clients.perform(node, operation, timeout=3.0)
            if write.answer is Answer.OK and read.answer is Answer.OK:
                served.add(node.name)
                cluster.trace.event(node.name, "works", "")
                return
            future = loop.create_future()
            loop.call_later(0.1, future.set_result, None)
            await future

    def _settled(self) -> bool:
        """Whether nothing is under way and all nodes are equal."""
        cluster = self._cluster
        if any(
            o.returned == INFINITY and o.answer is Answer.UNKNOWN and not o.node for o in self.clients.history
        ):
            return False
        nodes = cluster.running
        if len(nodes) < len(cluster.names):
            return False
        last = {node.journal[-1][1] for node in nodes}
        seen = {node.consensus.applied_index for node in nodes if node.consensus is not None}
        commits = {node.seen_commit for node in nodes}
        return len(last | seen | commits) == 1

    def _account(self) -> None:
        cluster = self._cluster
        for node in cluster.running:
            assert node.catalog is not None
            node.catalog.compare()
            cluster.checks.opened(node.name, node.journal)
        self._compare_logs()
        self._levels.account()
        if self.clients.accounts is not None:
            self.clients.accounts.account()
        if self.clients.deliveries is not None:
            self.clients.deliveries.account()
        if self.clients.trash is not None:
            self.clients.trash.account()
        done = cluster.checks.done
        for operation in self.clients.history:
            if operation.kind is Kind.READ:
                if (
                    operation.value is not None
                    and operation.value not in done
                    and operation.answer is Answer.OK
                ):
                    cluster.violate("read of nothing", f"a read sees what nobody applied: {operation}")
            elif operation.answer is Answer.FAILED and operation.value in done:
                cluster.violate(
                    "told not done, but done", f"a client was told that it is not done, but it is: {operation}"
                )
            elif operation.answer is Answer.OK and operation.value is not None and operation.value not in done:
                cluster.violate(
                    "lost acknowledged", f"a client was told that it is done, but it is not: {operation}"
                )
        self._hint()
        # What was never applied, of unknown outcome, was not done: everything committed is applied by now.
        history = [
            o
            for o in self.clients.history
            if o.answer is not Answer.UNKNOWN or o.value is None or o.value in done
        ]
        for key, fault, operations in check(history):
            text = "\n".join(str(operation) for operation in operations)
            cluster.violate("not linearizable", f"the history of key {key} is {fault}:\n{text}")

    def _hint(self) -> None:
        """Tell of all operations where the log has them."""
        checks, removals = self._cluster.checks, defaultdict(list)
        for operation in self.clients.history:
            if operation.kind is Kind.REMOVE:
                if operation.answer is not Answer.FAILED:  # or it would take the place of one that was done
                    removals[operation.key].append(operation)
            elif operation.value in checks.asked and operation.kind is not Kind.READ:
                operation.hint = checks.asked[operation.value]
        for key, operations in removals.items():
            places = sorted(checks.removals.get(path(key), ()))
            # Those whose entry the answer tells come first; the others are all alike.
            for operation in sorted(operations, key=lambda o: o.hint):
                for number, (place, ok) in enumerate(places):
                    if operation.hint in (INFINITY, int(place)) and ok == (
                        operation.answer is not Answer.REFUSED
                    ):
                        operation.hint = place
                        del places[number]
                        break

    def _compare_logs(self) -> None:
        nodes = self._cluster.running
        for node in nodes[1:]:
            start = max(node.journal[0][1], nodes[0].journal[0][1])
            here, there = (n.journal[start - n.journal[0][1] :] for n in (node, nodes[0]))
            if here != there:
                self._cluster.violate("logs differ", f"the logs of {node.name} and {nodes[0].name} differ")
