"""`pixraft doctor`: looks for what ails the cluster, or a node on its machine, and says what to do."""

from __future__ import annotations

import asyncio
import socket
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.text import Text

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, reason_of, run
from ftpgateway.cli.errors import DEGRADED, NOT_CLEAN, OK, NotReachable
from ftpgateway.cli.helpers import diagnosis
from ftpgateway.cli.helpers.diagnosis import Finding, Severity
from ftpgateway.node.config.errors import ConfigError, Problem
from ftpgateway.node.config.reading import load_node_config
from ftpgateway.node.config.whole import NodeConfig
from raftstore import paths
from raftstore.cluster.calls.checkup import checkup
from raftstore.cluster.settings import StoreSettings
from raftstore.cluster.status import clocks
from raftstore.errors import StoreError, WrongClock
from raftstore.peers.security.expiry import end_of
from raftstore.util import machine
from raftstore.util.addresses import Address
from raftstore.util.settings.kinds import Member
from raftstore.wire import admin_pb2

EXAMPLES = """
pixraft doctor --cluster pictures
pixraft doctor --config /etc/pixraft/pixraft.toml
pixraft doctor --cluster pictures -o json
"""

HERE = "this machine"
CONNECT = 2.0
_STYLES = {Severity.OK: "green", Severity.WARNING: "bold yellow", Severity.PROBLEM: "bold red"}
_CODES = {Severity.OK: OK, Severity.WARNING: DEGRADED, Severity.PROBLEM: NOT_CLEAN}


@output.command("doctor", EXAMPLES)
@access_options
@click.option("--quiet", "-q", is_flag=True, help="Only what is not right.")
@output.output_option
def command(access: Access, quiet: bool, form: str) -> None:
    """Look at nodes, ports, clocks, disks, certificates, versions and limits, and say what to do.

    With an admin's directory (--cluster) it asks all nodes, and each looks at its own machine and tries the ports of
    the others. With a node's configuration (--config), on its machine, it also looks at that configuration and at this
    machine, whether the node runs or not. Nothing is changed.

    Exits 0 when all is well, 8 with warnings, 7 with a problem, 5 when no node answered.
    """
    findings = list(_of_this_machine(access))
    checkups, failures, offsets = run(_ask(access))
    findings += diagnosis.of_cluster(checkups, failures, offsets, HERE, time.time())
    _show(findings, form, quiet=quiet)
    code = _CODES[diagnosis.worst(findings)]
    click.get_current_context().exit(code if checkups else NotReachable.exit_code)


# The cluster.


async def _ask(access: Access) -> tuple[dict[str, admin_pb2.Checkup], dict[str, str], dict[str, float]]:
    """Have every node look; return what they found, who did not answer and why, and the clocks."""
    client = ClusterClient(access)
    members = access.asked()
    results = await asyncio.gather(*(_ask_one(client, member) for member in members), return_exceptions=True)
    checkups: dict[str, admin_pb2.Checkup] = {}
    failures: dict[str, str] = {}
    offsets = {HERE: 0.0}
    for member, result in zip(members, results, strict=True):
        if isinstance(result, StoreError):
            failures[member.name] = reason_of(result, member.name)
        elif isinstance(result, BaseException):
            raise result
        else:
            checkups[member.name], by = result
            if by is not None:
                offsets[member.name] = by
    return checkups, failures, offsets


async def _ask_one(client: ClusterClient, member: Member) -> tuple[admin_pb2.Checkup, float | None]:
    sent = time.time_ns()
    found = await client.call(member, checkup, admin_pb2.CheckupRequest(), patience=2 * CONNECT)
    return found, clocks.ahead(sent, time.time_ns(), found.report.time_ns)


# This machine, with a node's configuration.


def _of_this_machine(access: Access) -> Iterator[Finding]:
    if access.bundle is not None:
        ends = {"admin": end_of(access.certificate.read_bytes)}
        yield from diagnosis.certificates(HERE, ends, time.time())
        return
    from ftpgateway.node import startup

    config = load_node_config(access.source)
    running = startup.is_running(config)
    yield from _of_configuration(config)
    if running:
        yield from _listening(config)
    else:
        remedy = "start it (`systemctl start pixraft`, or `pixraft serve`); its log says why it stopped"
        yield Finding(Severity.PROBLEM, "nodes", HERE, f"node {config.name} does not run here", remedy)
        yield from _of_machine(config)


def _of_configuration(config: NodeConfig) -> Iterator[Finding]:
    from ftpgateway.node import startup

    try:
        problems = list(startup.machine_problems(config))
    except WrongClock as error:
        problems = []
        yield Finding(Severity.PROBLEM, "clocks", HERE, error.detail, "set the clock; NTP keeps it right")
    warnings = list(startup.warnings(config))
    for severity, found in ((Severity.PROBLEM, problems), (Severity.WARNING, warnings)):
        for problem in found:
            yield Finding(severity, "configuration", HERE, _said(problem), problem.remedy)
    if not problems and not warnings:
        yield Finding(Severity.OK, "configuration", HERE, f"no mistakes in {config.source}")


def _said(problem: Problem) -> str:
    return f"{problem.key}: {problem.problem}" if problem.key else problem.problem


def _listening(config: NodeConfig) -> Iterator[Finding]:
    """Whether the node, which runs, can be connected to where it should listen."""
    closed = 0
    for key, address in config.listening():
        if address.port and (why := _closed(address)):
            closed += 1
            remedy = "see its log: an address may have been changed since its start, which was not done anew"
            text = f"nothing can be connected to at {key} ({address}): {why}"
            yield Finding(Severity.PROBLEM, "ports", HERE, text, remedy)
    if not closed:
        shown = ", ".join(f"{key} {address}" for key, address in config.listening())
        yield Finding(Severity.OK, "ports", HERE, f"node {config.name} listens: {shown}")


def _closed(address: Address) -> str:
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    try:
        socket.create_connection((host, address.port), timeout=CONNECT).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _of_machine(config: NodeConfig) -> Iterator[Finding]:
    """Disk, certificates and limits, which a node that runs tells itself."""
    from ftpgateway.node.node import certificate_files, store_settings
    from raftstore.peers.settings import PeersSettings

    try:
        settings: StoreSettings = store_settings(config)
    except ConfigError:
        return  # that has been said
    if config.data.is_dir():
        yield from diagnosis.disk(HERE, _disk(config.data, settings.reserve))
    files = {"node": config[PeersSettings].certificate, "authority": config[PeersSettings].ca}
    files |= dict(certificate_files(config))
    ends = {name: end_of(file.read_bytes) for name, file in files.items()}
    yield from diagnosis.certificates(HERE, ends, time.time())
    most, used = machine.own_descriptors()
    facts = admin_pb2.Checkup(descriptors=most, descriptors_used=used, backlog=machine.backlog())
    yield from diagnosis.limits(HERE, facts)


def _disk(data: Path, reserve: int) -> admin_pb2.Checkup:
    found = admin_pb2.Checkup(data=str(data), disk_reserve=reserve)
    try:
        found.disk_bytes, found.disk_free, found.files_total, found.files_free = machine.disk_of(data)
        found.sync_seconds = machine.sync_seconds(data)
    except OSError as error:
        found.sync_error = error.strerror or str(error)
    return found


# What is printed.


def _show(findings: list[Finding], form: str, *, quiet: bool) -> None:
    if form == "json":
        output.print_json(
            {"worst": diagnosis.worst(findings).value, "findings": [shape(one) for one in findings]}
        )
        return
    shown = [one for one in findings if not quiet or one.severity is not Severity.OK]
    console = output.console()
    for line in lines(shown, console.width if console.is_terminal else 0):
        console.print(line, soft_wrap=True)
    if not quiet or shown:
        click.echo(summary(findings))


def shape(finding: Finding) -> dict[str, object]:
    """Return the documented JSON of a finding. Pure."""
    return {
        "severity": finding.severity.value,
        "check": finding.check,
        "where": finding.where,
        "text": finding.text,
        "remedy": finding.remedy or None,
    }


def lines(findings: list[Finding], width: int = 0) -> Iterator[Text]:
    """Yield lines for each, its remedy behind it; what belongs to one check stands together. Pure.

    They are wrapped where the terminal has a width.
    """
    checks = list(dict.fromkeys(one.check for one in findings))
    indent = 11 + max((len(check) for check in checks), default=0)
    for check in checks:
        for one in (each for each in findings if each.check == check):
            head = f"{one.severity.value:<7}  {check}".ljust(indent)
            text = _wrapped(f"{one.where}: {one.text}", indent, width)
            yield Text.assemble((head[:7], _STYLES[one.severity]), head[7:], text)
            if one.remedy:
                yield Text.assemble(" " * indent, ("do: ", "bold"), _wrapped(one.remedy, indent + 4, width))


def _wrapped(text: str, indent: int, width: int) -> str:
    """Break a text whose first line begins at a column, too, if there is a width."""
    text = paths.shown(text)
    if width < indent + 30:
        return text
    broken = textwrap.wrap(text, width - indent, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(broken)


def summary(findings: list[Finding]) -> str:
    """Say how many of which. Pure."""
    count = {each: sum(one.severity is each for one in findings) for each in Severity}
    if not count[Severity.PROBLEM] and not count[Severity.WARNING]:
        return f"All is well: {count[Severity.OK]} checks."
    parts = [
        f"{number} {each.value}{'' if number == 1 else 's'}"
        for each in (Severity.PROBLEM, Severity.WARNING)
        if (number := count[each])
    ]
    return f"{', '.join(parts)}; {count[Severity.OK]} checks are well."
