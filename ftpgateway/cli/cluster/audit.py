"""`pixraft audit`: what admins have asked of the cluster, from where, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from raftstore.cluster.calls import audit as audit_calls
from raftstore.cluster.calls.events import MAX_WAIT
from raftstore.errors import OutcomeUnknown
from raftstore.wire import admin_pb2

EXAMPLES = """
pixraft audit --cluster pictures
pixraft audit --cluster pictures -n 20 --follow
pixraft audit --cluster pictures --after 1200 -o json
"""

NEWEST = 100
"""Records that are listed without options."""


def _pages(client: ClusterClient, request: admin_pb2.AuditRequest) -> Iterator[list[admin_pb2.AuditEntry]]:
    """Yield what is asked for, to the last record; if the request waits, for ever."""
    while True:
        page = run(client.ask(audit_calls.audit, request))
        if page.entries:
            yield list(page.entries)
        elif not request.wait_ms:
            return
        request.after = page.last


def outcome(entry: admin_pb2.AuditEntry) -> str:
    """Say in one word what became of a call. Pure."""
    if not entry.code:
        return "done"
    return "unknown" if entry.code == OutcomeUnknown.code else "refused"


def _shape(entry: admin_pb2.AuditEntry) -> dict[str, object]:
    return {
        "number": entry.number,
        "index": entry.index,
        "time": output.moment(entry.time_ns),
        "caller": entry.caller,
        "role": entry.role,
        "address": entry.address or None,
        "node": entry.node,
        "call": entry.method.removeprefix("admin."),
        "arguments": json.loads(entry.arguments or "{}"),
        "outcome": outcome(entry),
        "code": entry.code or None,
        "detail": entry.detail or None,
        "omitted": entry.omitted,
        "id": entry.call.hex(),
    }


def sentence(entry: admin_pb2.AuditEntry) -> str:
    """Say who asked what. Pure."""
    result = outcome(entry) + (f" ({entry.detail or entry.code})" if entry.code else "")
    if entry.omitted:
        result += f"; {entry.omitted:,} refusals before it are not recorded"
    where = f" from {entry.address}" if entry.address else ""
    call = entry.method.removeprefix("admin.")
    return f"{entry.role} {entry.caller}{where} at {entry.node}: {call} {entry.arguments} {result}"


@click.command("audit", cls=output.PixraftCommand, examples=EXAMPLES)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is asked, until Ctrl-C.")
@click.option("--after", type=click.IntRange(0, 2**62), help="Only what comes behind this number.")
@click.option(
    "-n",
    "--newest",
    type=click.IntRange(0, 2**62),
    default=NEWEST,
    show_default=True,
    help="Without --after: begin with so many, the newest; 0: with all that is kept.",
)
@access_options
@output.output_option
def command(access: Access, follow: bool, after: int | None, newest: int, form: str) -> None:
    """List what admins have asked that changes something: number, cluster time (UTC), who, from where, what, result.

    All nodes have the same records, in the order of the log. What is done is recorded by the entry of the log that does
    it. Passwords, tokens and keys are left out. With -o json each record is a line. It fails with 57 when what follows
    --after is not kept any more.
    """
    wait_ms = max(100, int(min(access.timeout / 2, MAX_WAIT) * 1000)) if follow else 0
    request = admin_pb2.AuditRequest(after=after, newest=newest, wait_ms=wait_ms)
    for page in _pages(ClusterClient(access), request):
        for entry in page:
            if form == "json":
                output.print_json(_shape(entry))
            else:
                click.echo(f"{entry.number:>8}  {output.moment(entry.time_ns) or '-'}  {sentence(entry)}")
