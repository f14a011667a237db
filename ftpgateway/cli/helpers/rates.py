"""What nodes do, as rates: made of two looks at counts that only grow. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raftstore.wire import admin_pb2 as admin

Key = tuple[str, int, str, str]
"""Of an operation: node, session, what, path."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One node at one look: what it told, by its own clock."""

    sessions: admin.Sessions
    report: admin.NodeReport


@dataclass(frozen=True, slots=True)
class Look:
    """All nodes at one moment; `failures` says why one did not answer."""

    time_ns: int
    nodes: Mapping[str, Seen]
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeRates:
    """One node, a second on average since the look before; None where it did not answer both times.

    Bytes and transfers of clients; `commits`: entries of the log; `cpu`: of one core, 1.0 all of it.
    """

    node: str
    role: str = "-"
    sessions: int | None = None
    upload: float | None = None
    download: float | None = None
    uploads: float | None = None
    downloads: float | None = None
    commits: float | None = None
    cpu: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """What a session does; `rate` in bytes a second since the look before, else since it began; None: it moves none."""

    node: str
    session: int
    protocol: str
    user: str
    what: str
    path: str
    moved: int | None
    rate: float | None
    seconds: float


def node_rates(before: Look, now: Look) -> list[NodeRates]:
    """Return the rates of all nodes, by name."""
    names = sorted({*now.nodes, *now.failures})
    return [
        _rates(name, before.nodes.get(name), now.nodes.get(name), now.failures.get(name, "")) for name in names
    ]


def _rates(name: str, before: Seen | None, now: Seen | None, error: str) -> NodeRates:
    if now is None:
        return NodeRates(name, error=error)
    node, there = now.report.node, now.sessions
    plain = NodeRates(name, node.role, there.count, error=node.error)
    passed = 0.0 if before is None else (there.time_ns - before.sessions.time_ns) / 1e9
    if before is None or passed <= 0 or there.cpu_seconds < before.sessions.cpu_seconds:
        return plain  # it was started anew, or its clock was set

    def rate(then: float, since: float) -> float:
        return max(0.0, (since - then) / passed)

    def moved(seen: admin.Sessions, what: str) -> int:
        done = seen.upload_bytes if what == "upload" else seen.download_bytes
        return done + sum(
            operation.moved
            for session in seen.sessions
            for operation in session.operations
            if operation.what == what
        )

    old = before.sessions
    return NodeRates(
        name,
        node.role,
        there.count,
        rate(moved(old, "upload"), moved(there, "upload")),
        rate(moved(old, "download"), moved(there, "download")),
        rate(old.uploads, there.uploads),
        rate(old.downloads, there.downloads),
        rate(before.report.node.commit_index, node.commit_index),
        rate(old.cpu_seconds, there.cpu_seconds),
        node.error,
    )


def running(before: Look, now: Look) -> list[Running]:
    """Return what all sessions do, what takes longest first."""
    earlier = {key: operation for key, operation, _ in _operations(before)}
    found = []
    for key, operation, session in _operations(now):
        moved = operation.moved if operation.HasField("moved") else None
        node, number, what, path = key
        same = earlier.get(key)
        rate = None
        if moved is not None:
            old = (
                same if same is not None and same.moved <= moved and same.seconds < operation.seconds else None
            )
            bytes_, seconds = (
                moved - (old.moved if old else 0),
                operation.seconds - (old.seconds if old else 0.0),
            )
            rate = bytes_ / seconds if seconds > 0.001 else None
        found.append(
            Running(node, number, session.protocol, session.user, what, path, moved, rate, operation.seconds)
        )
    return sorted(found, key=lambda one: -one.seconds)


def _operations(look: Look) -> Sequence[tuple[Key, admin.Operation, admin.OpenSession]]:
    return [
        ((node, session.number, operation.what, operation.path), operation, session)
        for node, seen in look.nodes.items()
        for session in seen.sessions.sessions
        for operation in session.operations
    ]
