"""What ails a cluster, from what its nodes and this machine tell. Pure: facts in, findings out."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ftpgateway.cli import output
from raftstore.cluster.status import clocks
from raftstore.wire import admin_pb2 as admin

DAY = 86_400
SOON = 30 * DAY
VERY_SOON = 7 * DAY
CLOCK_WARNING = 1.0
SLOW_SYNC = 0.05
VERY_SLOW_SYNC = 0.5
LITTLE_FREE = 0.1
FEW_DESCRIPTORS = 4096
SMALL_BACKLOG = 1024


class Severity(enum.Enum):
    """How bad it is; `problem` is what fails already, or is about to."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `where`: a node, or this machine. What is not ok has a remedy."""

    severity: Severity
    check: str
    where: str
    text: str
    remedy: str = ""


def _ok(check: str, where: str, text: str) -> Finding:
    return Finding(Severity.OK, check, where, text)


def _warning(check: str, where: str, text: str, remedy: str) -> Finding:
    return Finding(Severity.WARNING, check, where, text, remedy)


def _problem(check: str, where: str, text: str, remedy: str) -> Finding:
    return Finding(Severity.PROBLEM, check, where, text, remedy)


def unreached(failures: Mapping[str, str]) -> Iterator[Finding]:
    """Nodes that did not answer this machine, and why."""
    for node, why in failures.items():
        remedy = (
            "see whether it runs (`systemctl status pixraft`, its log), and the way to it; on its machine: \
`pixraft doctor --config` with its configuration"
        )
        yield _problem("nodes", node, f"does not answer: {why}", remedy)


def nodes(reports: Mapping[str, admin.NodeReport]) -> Iterator[Finding]:
    """What the nodes say of themselves: a leader, and whatever they complain about."""
    leaders = {report.leader for report in reports.values() if report.leader}
    for name, report in reports.items():
        if report.node.error:
            yield _problem("nodes", name, report.node.error, "see its log, and `pixraft status`")
        if not report.leader:
            yield _problem(
                "nodes",
                name,
                "knows no leader: it refuses reads and writes",
                "a majority of the nodes must run and reach each other",
            )
    if len(leaders) == 1 and all(report.leader for report in reports.values()):
        said = "1 node answers" if len(reports) == 1 else f"{len(reports)} nodes answer"
        yield _ok("nodes", "cluster", f"{said}; leader {leaders.pop()}")


def reachability(name: str, reached: Iterable[admin.Reached], away: Collection[str] = ()) -> Iterator[Finding]:
    """The ports of the others, as the node `name` finds them. Nodes that are `away` answer nobody."""
    tried = [one for one in reached if one.node not in away]
    for one in tried:
        if one.error:
            remedy = (
                f"see whether {one.node} listens there, and what is between the two (firewall, routes, DNS)"
            )
            text = f"does not reach {one.service} of {one.node} at {one.address}: {one.error}"
            yield _problem("ports", name, text, remedy)
    if tried and not any(one.error for one in tried):
        yield _ok("ports", name, f"reaches all {len(tried)} ports of the other nodes")


def clock_offsets(offsets: Mapping[str, float], own: str) -> Iterator[Finding]:
    """Clocks: `offsets` says by how many seconds each is ahead of that of `own`, which is among them with 0."""
    remedy = "have NTP set it (`timedatectl set-ntp true`, chronyd), and see that it stays so"
    wrong = clocks.wrong(offsets, own)
    for name, by in wrong.items():
        yield _problem("clocks", name, clocks.reported(by), remedy)
    ordered = sorted(offsets.values())
    middle = ordered[len(ordered) // 2] if ordered else 0.0
    for name, offset in offsets.items():
        if name not in wrong and abs(offset - middle) > CLOCK_WARNING:
            ahead = "ahead of" if offset > middle else "behind"
            yield _warning("clocks", name, f"is {abs(offset - middle):.1f} s {ahead} the others", remedy)
    if len(offsets) > 1 and not wrong and ordered[-1] - ordered[0] <= CLOCK_WARNING:
        yield _ok("clocks", "cluster", f"{len(offsets)} clocks agree, this machine's among them")


def disk(name: str, found: admin.Checkup) -> Iterator[Finding]:
    """Space, files and speed of the disk under the node's data."""
    where, free = found.data, found.disk_free
    space = f"{output.human_bytes(free)} of {output.human_bytes(found.disk_bytes)} are free at {where}"
    more = "free space there, give it a larger disk, or add a node (`pixraft node add`)"
    fine = True
    if free <= found.disk_reserve:
        fine = False
        yield _problem("disks", name, f"{space}, which is kept for log and catalog: it takes no pictures", more)
    elif free < found.disk_reserve + LITTLE_FREE * found.disk_bytes:
        fine = False
        kept = f"; {output.human_bytes(found.disk_reserve)} of it are kept for log and catalog"
        yield _warning("disks", name, space + (kept if found.disk_reserve else ""), more)
    if found.files_total and found.files_free < LITTLE_FREE / 2 * found.files_total:
        fine = False
        text = f"the file system at {where} takes only {found.files_free:,} more files"
        yield _warning(
            "disks", name, text, "remove files there that are not pixraft's, or make it with more inodes"
        )
    if found.sync_error:
        fine = False
        remedy = "see the kernel's log (dmesg) and the rights of the directory; replace a disk that fails"
        yield _problem("disks", name, f"a write to {where} fails: {found.sync_error}", remedy)
    elif found.sync_seconds > SLOW_SYNC:
        fine = False
        text = f"a small synced write at {where} takes {found.sync_seconds * 1000:.0f} ms: uploads wait for it"
        remedy = "see what else uses the disk; journals want an SSD with a power-safe cache of its own"
        severity = Severity.PROBLEM if found.sync_seconds > VERY_SLOW_SYNC else Severity.WARNING
        yield Finding(severity, "disks", name, text, remedy)
    if fine:
        yield _ok("disks", name, f"{space}; a synced write takes {found.sync_seconds * 1000:.1f} ms")


def certificates(name: str, ends: Mapping[str, int], now: float) -> Iterator[Finding]:
    """When certificates end, in seconds since the epoch; 0: one cannot be read."""
    fine = {}
    for what, end in sorted(ends.items()):
        left = end - now
        remedy = renewal(what, name)
        if not end:
            yield _problem("certificates", name, f"the certificate for {what} cannot be read", remedy)
        elif left <= 0:
            yield _problem(
                "certificates", name, f"the certificate for {what} has ended {_days(-left)} ago", remedy
            )
        elif left < SOON:
            severity = Severity.PROBLEM if left < VERY_SOON else Severity.WARNING
            text = f"the certificate for {what} ends in {_days(left)}"
            yield Finding(severity, "certificates", name, text, remedy)
        else:
            fine[what] = left
    if len(fine) == len(ends) and fine:
        what, left = min(fine.items(), key=lambda pair: pair[1])
        yield _ok("certificates", name, f"the first to end is that for {what}, in {_days(left)}")


def renewal(what: str, node: str) -> str:
    """Say how a certificate is renewed."""
    if what == "node":
        return f"`pixraft cert renew {node}` gives it a new one without a restart"
    if what == "admin":
        return "`pixraft cert renew --admin`"
    if what == "authority":
        return "make a new authority and new certificates, on all nodes (docs/operating.md, TLS)"
    return "put a new one in its place (PEM: key, certificate, intermediate certificates)"


def _days(seconds: float) -> str:
    days = round(seconds / DAY)
    if days > 730:
        return f"{days // 365} years"
    return "less than a day" if seconds < DAY else "1 day" if days == 1 else f"{days} days"


def versions(reports: Mapping[str, admin.NodeReport]) -> Iterator[Finding]:
    """Programs and levels of the nodes."""
    programs = {name: report.node.program for name, report in reports.items() if report.node.program}
    level = max((report.node.level for report in reports.values()), default=0)
    newest = min((report.node.newest for report in reports.values()), default=0)
    different = len(set(programs.values())) > 1
    if different:
        said = ", ".join(f"{name} {program}" for name, program in programs.items())
        remedy = (
            "install the newest on all, one node after the other; `pixraft upgrade status` tells what is left"
        )
        yield _warning("versions", "cluster", f"the nodes run different versions: {said}", remedy)
    if 0 < level < newest:
        text = f"level {level} is in force, and all that answer know {newest}"
        yield _warning("versions", "cluster", text, "`pixraft upgrade finish`, when all nodes run well")
    elif programs and not different:
        yield _ok("versions", "cluster", f"version {next(iter(programs.values()))}, level {level}")


def limits(name: str, found: admin.Checkup) -> Iterator[Finding]:
    """Descriptors and the queue of those who connect."""
    most, used, fine = found.descriptors, found.descriptors_used, True
    raised = "LimitNOFILE=65536 in the unit (`pixraft unit` writes it), or `ulimit -n` for a node without one"
    if most and used > 0.8 * most:
        fine = False
        yield _problem("limits", name, f"{used:,} of {most:,} descriptors are in use", raised)
    elif most and most < FEW_DESCRIPTORS:
        fine = False
        yield _warning("limits", name, f"at most {most:,} descriptors: each session takes one or two", raised)
    if 0 < found.backlog < SMALL_BACKLOG:
        fine = False
        text = f"only {found.backlog} connections may wait to be accepted (net.core.somaxconn)"
        yield _warning(
            "limits", name, text, "sysctl -w net.core.somaxconn=4096, and in /etc/sysctl.d to keep it"
        )
    if fine:
        bound = f"{most:,}" if most else "any number of"
        yield _ok(
            "limits", name, f"{bound} descriptors, {used:,} in use; somaxconn {found.backlog or 'not known'}"
        )


def of_cluster(
    checkups: Mapping[str, admin.Checkup],
    failures: Mapping[str, str],
    offsets: Mapping[str, float],
    own: str,
    now: float,
) -> list[Finding]:
    """All about the nodes that were asked; clocks as in `clock_offsets`, `now` in seconds since the epoch."""
    reports = {name: found.report for name, found in checkups.items()}
    found = [*unreached(failures), *nodes(reports), *versions(reports), *clock_offsets(offsets, own)]
    for name, checkup in checkups.items():
        found += reachability(name, checkup.reached, failures)
        found += disk(name, checkup)
        found += certificates(name, checkup.report.node.certificates, now)
        found += limits(name, checkup)
    return found


def worst(findings: Iterable[Finding]) -> Severity:
    """Return the worst severity among them."""
    found = {finding.severity for finding in findings}
    return next((each for each in (Severity.PROBLEM, Severity.WARNING) if each in found), Severity.OK)
