"""Who is there and how they are: every node watches the others, and any node can tell the cluster's status."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog
from google.protobuf.message import DecodeError

from raftstore.cluster import verdict
from raftstore.cluster.convert import node_from_wire
from raftstore.errors import StoreError
from raftstore.types import ClusterStatus, NodeStatus
from raftstore.wire import admin_pb2 as admin

log = structlog.get_logger()

WATCH_PERIOD = 1.0
CALL_TIMEOUT = 1.5
MAX_AGE = 5.0
"""Seconds for which what a node last said of itself (its free disk) is believed."""


class Caller(Protocol):
    """Asks a member; raises StoreError when it cannot be reached in time."""

    async def __call__(self, member: str, method: str, body: bytes, *, timeout: float) -> bytes:
        """Return the reply's body."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """What a node last said of itself, whom it follows, and when (monotonic seconds)."""

    node: NodeStatus
    leader: str
    at: float


class Health:
    """Watches the other members with one small call each a second, and gathers the cluster's status."""

    def __init__(
        self, own: Callable[[], tuple[NodeStatus, str]], addresses: dict[str, str], call: Caller
    ) -> None:
        self._own = own
        self._addresses = addresses
        self._call = call
        self._reports: dict[str, Report] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, others: list[str]) -> None:
        """Start watching on the running loop."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._watch(name), name=f"watch {name}") for name in others]

    async def stop(self) -> None:
        """Stop watching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def last(self, name: str) -> Report | None:
        """Return what member `name` said of itself in the last seconds, or None."""
        report = self._reports.get(name)
        return report if report is not None and time.monotonic() - report.at <= MAX_AGE else None

    async def _watch(self, name: str) -> None:
        while True:
            await self._ask(name)
            await asyncio.sleep(WATCH_PERIOD)

    async def _ask(self, name: str) -> Report | None:
        try:
            body = await self._call(
                name, "admin.node", admin.NodeRequest().SerializeToString(), timeout=CALL_TIMEOUT
            )
            reply = admin.NodeReport.FromString(body)
        except (StoreError, DecodeError):
            self._reports.pop(name, None)
            return None
        report = Report(node_from_wire(reply.node), reply.leader, time.monotonic())
        self._reports[name] = report
        return report

    async def gather(self) -> ClusterStatus:
        """Ask every member now; return their status without totals and verdict. Takes CALL_TIMEOUT at most."""
        own, leader = self._own()
        others = [name for name in self._addresses if name != own.name]
        reports = await asyncio.gather(*(self._ask(name) for name in others))
        nodes = {own.name: own}
        for name, report in zip(others, reports, strict=True):
            nodes[name] = report.node if report else NodeStatus(name, "", error="cannot be reached")
            nodes[name].address = self._addresses[name]
        status = ClusterStatus(
            verdict=verdict.NO_QUORUM,
            asked=own.name,
            leader=leader or None,
            term=own.term or 0,
            nodes=[nodes[name] for name in self._addresses],
        )
        _add_lag(status)
        return status


def _add_lag(status: ClusterStatus) -> None:
    """Say how many log entries each reachable node has yet to apply, against the furthest commit index."""
    furthest = max((node.commit_index or 0 for node in status.nodes), default=0)
    for node in status.nodes:
        if node.applied_index is not None:
            node.lag = max(0, furthest - node.applied_index)
