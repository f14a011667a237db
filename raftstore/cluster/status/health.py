"""Who is there and how they are: every node watches the others, and any node can tell the cluster's status."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog
from google.protobuf.message import DecodeError

from raftstore.cluster.membership.boot import Boots
from raftstore.cluster.membership.roster import Roster
from raftstore.cluster.status import clocks, verdict
from raftstore.cluster.status.convert import node_from_wire
from raftstore.cluster.status.progress import Progress
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import StoreError
from raftstore.types import ClusterStatus, NodeStatus
from raftstore.util.metrics import gauge
from raftstore.util.space import Space
from raftstore.util.tasks import cancel_and_wait
from raftstore.wire import admin_pb2 as admin

log = structlog.get_logger()

WATCH_PERIOD = 1.0
RETRY_SECONDS = 0.2
CLOCK_LOG_EVERY = 600.0
"""Seconds between two log lines that say that this node's clock is wrong."""

MOST_PEERS = 64
"""Names of members in metrics."""

MAX_AGE = 5.0
"""Seconds for which what a node last said of itself (its free disk) is believed."""


Ask = Callable[[str, admin.NodeRequest], Awaitable[admin.NodeReport]]
"""Asks a member for its report; raises StoreError when it cannot be reached in some 1.5 seconds."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a node last said of itself, whom it follows, its bytes for more pictures, its space for log and catalog, and
    when (monotonic seconds).
    """

    node: NodeStatus
    leader: str
    waiting: tuple[str, ...]
    store: bytes
    free_space: int
    space: Space
    at: float
    ahead: float | None = None
    """Seconds by which its clock is ahead of this node's; None: not told."""
    clock_ns: int = 0
    """What its clock said; 0: not told."""
    rtt: float = 0.0
    """Seconds until the answer was there."""

    def reading(self, now: float) -> int | None:
        """Return what its clock says `now` (monotonic seconds), or a little less; None: not told.

        This node's own wall clock has no part in it, which somebody may have set meanwhile.
        """
        return self.clock_ns + int((now - self.at) * 1e9) if self.clock_ns else None


class Health:
    """Watches the other members with one small call each a second, and gathers the cluster's status."""

    def __init__(
        self,
        own: Callable[[], tuple[NodeStatus, str]],
        roster: Roster,
        ask: Ask,
        *,
        store: Callable[[], bytes],
        boots: Callable[[], Boots],
        heard: Callable[[str, admin.NodeReport], None],
        misfit: Callable[[str], str],
    ) -> None:
        """`store` tells the identity of this node's volumes, `boots` its starts.

        `heard` is called with every answer once this start has a number; `misfit` tells why a member's version does
        not fit, "" when it does.
        """
        self._own = own
        self._roster = roster
        self._ask_member = ask
        self._store = store
        self._boots = boots
        self._heard = heard
        self.progress = Progress()
        self._misfit = misfit
        self._reports: dict[str, Report] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._started = False
        self._clock_logged_at = -CLOCK_LOG_EVERY
        self.any_full = False
        """Whether some member's disk, by what it last said, takes no commands."""

    def start(self) -> None:
        """Start watching on the running loop."""
        self._started = True
        self.members_changed()

    async def stop(self) -> None:
        """Stop watching."""
        self._started = False
        tasks, self._tasks = list(self._tasks.values()), {}
        await cancel_and_wait(*tasks)

    def members_changed(self) -> None:
        """Watch those who are members now."""
        if not self._started:
            return
        others = self._roster.configuration.names - {self._roster.node}
        for name in self._tasks.keys() - others:
            self._tasks.pop(name).cancel()
            self._reports.pop(name, None)
            self.progress.forget(name)
        loop = asyncio.get_running_loop()
        for name in others - self._tasks.keys():
            self._tasks[name] = loop.create_task(self._watch(name), name=f"watch {name}")

    def last(self, name: str) -> Report | None:
        """Return what member `name` said of itself in the last seconds, or None."""
        report = self._reports.get(name)
        return report if report is not None and time.monotonic() - report.at <= MAX_AGE else None

    @gauge(
        "pixraft_peer_rtt_seconds",
        "How long the last report of a member took, asked for once a second; none while it does not answer.",
        label="peer",
        most=MOST_PEERS,
    )
    def round_trips(self) -> dict[str, float]:
        """Seconds by member."""
        return {name: report.rtt for name in self._tasks if (report := self.last(name)) is not None}

    @gauge(
        "pixraft_nodes",
        "Members of the cluster as this node sees them, itself included.",
        label="state",
        values=("reachable", "unreachable"),
    )
    def nodes(self) -> dict[str, int]:
        """A member is reachable while it has reported within the last seconds."""
        heard = sum(self.last(name) is not None for name in self._tasks)
        return {"reachable": heard + 1, "unreachable": len(self._tasks) - heard}

    def clock_readings(self, voters: Iterable[str]) -> list[int | None]:
        """Return what the clocks of some members say now, in ns since the epoch; None for one not heard of lately."""
        own, now = self._own()[0].name, time.monotonic()
        found: list[int | None] = []
        for name in voters:
            report = self.last(name)
            others = report.reading(now) if report is not None else None
            found.append(time.time_ns() if name == own else others)
        return found

    async def _watch(self, name: str) -> None:
        while True:
            report = await self._ask(name)
            await asyncio.sleep(WATCH_PERIOD if report else RETRY_SECONDS)

    async def _ask(self, name: str) -> Report | None:
        try:
            boots = self._boots()
            request = admin.NodeRequest(
                known=self._roster.committed[0],
                store=self._store(),
                boot=boots.now,
                previous_boot=boots.previous,
                log_end=boots.log_end,
            )
            sent, begun = time.time_ns(), time.monotonic()
            reply = await self._ask_member(name, request)
            received = time.time_ns()
            if reply.configuration:
                self._roster.offer(reply.configuration_index, Configuration.decode(reply.configuration))
        except (StoreError, DecodeError):  # the latter: of a configuration that cannot be read
            self._reports.pop(name, None)
            return None
        report = Report(
            node_from_wire(reply.node),
            reply.leader,
            tuple(reply.waiting),
            reply.store,
            reply.free_space,
            Space(min(reply.space, max(Space))),
            time.monotonic(),
            clocks.ahead(sent, received, reply.time_ns),
            reply.time_ns,
            time.monotonic() - begun,
        )
        self._reports[name] = report
        self.any_full = any(each.space is Space.NONE for each in self._reports.values())
        self.progress.hear(name, reply.store, reply.boot, reply.safe_index)
        self._look_at_clock()
        if boots.now:  # else the answer is not about this start: it has no number yet
            self._heard(name, reply)
        return report

    def _wrong_clocks(self, reports: Iterable[tuple[str, Report | None]]) -> dict[str, float]:
        own = self._roster.node
        offsets = {name: report.ahead for name, report in reports if report and report.ahead is not None}
        return clocks.wrong({own: 0.0, **offsets}, own)

    def _look_at_clock(self) -> None:
        """Log that this node's own clock is wrong, if those of the others say so."""
        by = self._wrong_clocks(self._reports.items()).get(self._roster.node)
        if by is not None and time.monotonic() - self._clock_logged_at >= CLOCK_LOG_EVERY:
            self._clock_logged_at = time.monotonic()
            log.warning(
                "the clock of this node is wrong",
                problem=clocks.reported(by),
                remedy="set it; NTP keeps it right",
            )

    async def gather(self) -> ClusterStatus:
        """Ask every member now; return their status without totals and verdict. Takes as long as asking one."""
        own, leader = self._own()
        members = self._roster.configuration.by_name
        addresses = {name: str(address) for name, address in self._roster.addresses.items()}
        others = [name for name in members if name != own.name]
        reports = await asyncio.gather(*(self._ask(name) for name in others))
        nodes = {own.name: own}
        for name, report in zip(others, reports, strict=True):
            nodes[name] = (
                report.node if report else NodeStatus(name, "", error=self._misfit(name) or "cannot be reached")
            )
            nodes[name].address = addresses.get(name, "")
            nodes[name].voter = members[name].voter
        for name, by in self._wrong_clocks(zip(others, reports, strict=True)).items():
            nodes[name].error = "; ".join(filter(None, (nodes[name].error, clocks.reported(by))))
        status = ClusterStatus(
            verdict=verdict.NO_QUORUM,
            asked=own.name,
            leader=leader or None,
            term=own.term or 0,
            nodes=list(nodes.values()) if own.name not in members else [nodes[name] for name in members],
        )
        _add_lag(status)
        return status


def _add_lag(status: ClusterStatus) -> None:
    """Say how many log entries each reachable node has yet to apply, against the furthest commit index."""
    furthest = max((node.commit_index or 0 for node in status.nodes), default=0)
    for node in status.nodes:
        if node.applied_index is not None:
            node.lag = max(0, furthest - node.applied_index)
