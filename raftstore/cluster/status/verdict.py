"""One word for how the cluster is. Pure: from what was gathered to the verdict and its reason."""

from __future__ import annotations

from collections.abc import Sequence

from raftstore.types import ClusterStatus

HEALTHY = "healthy"
DEGRADED = "degraded"
NO_QUORUM = "no quorum"

MAX_LAG = 100
"""Log entries by which a node may be behind and still count as caught up: under load every follower lags a little."""


def judge(status: ClusterStatus, *, confirmed: bool, changes: Sequence[str] = ()) -> tuple[str, str]:
    """Return the verdict and, unless healthy, what is wrong.

    `changes` tells what of the membership is under way: a node that is being replaced under its own name is for a
    moment not a member at all. `confirmed` says whether a majority just confirmed the leader to the asked node (a read
    barrier succeeded).
    """
    voters = [node for node in status.nodes if node.voter]
    reachable = [node for node in voters if node.reachable]
    if not confirmed:
        return NO_QUORUM, (
            f"{len(reachable)} of {len(voters)} nodes can be reached from {status.asked}"
            f"{'' if status.leader else ' and there is no leader'}; uploads and downloads are refused"
        )
    problems = [
        f"{node.name} cannot be reached" if node.voter else f"{node.name} has joined, but is not there yet"
        for node in status.nodes
        if not node.reachable
    ]
    problems += [
        f"{node.name} does not take part yet"
        for node in status.nodes
        if node.reachable and not node.error and node.role not in ("leader", "follower", "learner")
    ]
    problems += [
        f"{node.name} has no vote yet: it gets what the others have"
        for node in status.nodes
        if node.reachable and not node.error and not node.voter
    ]
    problems += changes
    problems += [f"{node.name}: {node.error}" for node in status.nodes if node.reachable and node.error]
    problems += [
        f"{node.name} is {node.lag} log entries behind"
        for node in status.nodes
        if node.reachable and node.lag is not None and node.lag > MAX_LAG
    ]
    if status.short_count:
        some = "1 picture has" if status.short_count == 1 else f"{status.short_count} pictures have"
        problems.append(f"{some} fewer copies than wanted")
    if status.lost_count:
        problems.append(f"{status.lost_count} cannot be read: no node that answers has a whole copy")
    return (DEGRADED, "; ".join(problems)) if problems else (HEALTHY, "")
