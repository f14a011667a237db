"""`pixraft events`: what becomes of what persons send to each other, as it happens."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from raftstore.cluster.calls import events as event_calls
from raftstore.wire import admin_pb2

EXAMPLES = """
pixraft events --cluster pictures
pixraft events --cluster pictures --follow
pixraft events --cluster pictures --after 1200 -o json
"""

_SAID = {
    "delivered": "{actor} sent {name} to {to}",
    "opened": "{actor} opened {name} from {subject}",
    "kept": "{actor} kept {name} from {subject}",
    "recalled": "{actor} recalled {name} from {subject}",
    "expired": "{name}, which {actor} sent to {subject}, expired",
    "bounced": "what {subject} had not opened bounced: the account is no person any more",
    "restored": "{path} of {subject} was restored from the trash",
    "trash_ended": "{files:,} in the trash of {subject} expired",
    "retained": "retention removed {files:,} of {path}",
    "uploaded": "{subject} uploaded {path}",
    "node_down": "node {subject} cannot be reached",
    "node_up": "node {subject} can be reached again",
}


def _pages(client: ClusterClient, after: int | None, wait_ms: int) -> Iterator[list[admin_pb2.Event]]:
    """Yield events behind a number; without `wait_ms` to the last, else for ever."""
    request = admin_pb2.EventsRequest(after=after, wait_ms=wait_ms)
    while True:
        page = run(client.ask(event_calls.events, request))
        if page.events:
            yield list(page.events)
        elif not wait_ms:
            return
        request.after = page.last


def _shape(event: admin_pb2.Event) -> dict[str, object]:
    return {
        "number": event.number,
        "index": event.index,
        "time": output.moment(event.time_ns),
        "event": event.kind,
        "actor": event.actor or None,
        "subject": event.subject or None,
        "files": event.files,
        "path": event.path or None,
    }


def sentence(event: admin_pb2.Event) -> str:
    """Say what has happened. Pure."""
    to, _, name = event.path.partition("/")
    return _SAID.get(event.kind, event.kind).format(
        actor=event.actor or "nobody",
        subject=event.subject or "nobody",
        path=event.path or "what is gone",
        to=(to or event.subject or "a group") + (f" ({event.files:,} inboxes)" if event.files > 1 else ""),
        name=name or "what is gone",
        files=event.files,
    )


@click.command("events", cls=output.PixraftCommand, examples=EXAMPLES)
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option(
    "--after",
    type=click.IntRange(0, 2**62),
    help="Only what comes behind this number. Otherwise all that is kept, of 65,536 events the newest.",
)
@access_options
@output.output_option
def command(access: Access, follow: bool, after: int | None, form: str) -> None:
    """List what became of what persons sent, of trash and of retention: number, cluster time (UTC), event.

    All nodes have the same events, in the order of the log. Paths of what was sent are those that its sender sees below
    /send. With -o json each event is a line. It fails with 57 when what follows --after is not kept any more,
    or --after was not reached yet.
    """
    wait_ms = max(100, int(min(access.timeout / 2, event_calls.MAX_WAIT) * 1000)) if follow else 0
    for page in _pages(ClusterClient(access), after, wait_ms):
        for event in page:
            if form == "json":
                output.print_json(_shape(event))
            else:
                click.echo(f"{event.number:>8}  {output.moment(event.time_ns) or '-'}  {sentence(event)}")
