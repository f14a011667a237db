"""`pixraft sent`: what a person has sent, and what has become of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers.useroptions import name_argument
from raftstore.cluster.calls import people as people_calls
from raftstore.wire import admin_pb2

EXAMPLES = """
pixraft sent anna --cluster pictures
pixraft sent anna --ended --cluster pictures -o json
"""


def _all(client: ClusterClient, name: str, *, ended: bool) -> Iterator[admin_pb2.Sent]:
    request = admin_pb2.SentRequest(name=name, ended=ended)
    while page := run(client.ask(people_calls.sent, request)).sent:
        yield from page
        request.before.CopyFrom(page[-1].key)


def _shape(sent: admin_pb2.Sent) -> dict[str, object]:
    return {
        "path": sent.path,
        "recipient": sent.recipient,
        "state": sent.state,
        "bytes": sent.size,
        "sent": output.moment(sent.sent_ns),
        "expires": output.moment(sent.expires_ns),
        "ended": output.moment(sent.ended_ns),
    }


@click.command("sent", cls=output.PixraftCommand, examples=EXAMPLES)
@name_argument
@click.option(
    "--ended", is_flag=True, help="What was deleted from /send, recalled or has expired: for thirty days."
)
@click.option("--limit", type=click.IntRange(1), help="At most so many, the newest.")
@access_options
@output.output_option
def command(access: Access, name: str, ended: bool, limit: int | None, form: str) -> None:
    """List what a person has sent, newest first, a line for each who got it.

    delivered: it is in the inbox; opened; kept: moved out of the inbox; recalled: deleted by its sender before it was
    opened; expired; refused: somebody in the group takes nothing from this person; bounced: the recipient was removed
    before it was opened. Times are in UTC.
    """
    found = list(itertools.islice(_all(ClusterClient(access), name, ended=ended), limit))
    if form == "json":
        output.print_json({"user": name, "sent": [_shape(sent) for sent in found]})
    elif not found:
        click.echo("There is nothing.")
    else:
        titles = ["sent", "bytes", "recipient", "state", "expires", "path"]
        rows = [
            [
                output.moment(sent.sent_ns) or "-",
                output.human_bytes(sent.size),
                sent.recipient,
                sent.state,
                output.moment(sent.expires_ns) or "-",
                sent.path,
            ]
            for sent in found
        ]
        click.echo("\n".join(output.plain_table(titles, rows, right=("bytes",))))
