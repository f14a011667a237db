"""`pixraft webhook`: where events are sent to."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from raftstore.cluster.calls import webhooks as webhook_calls
from raftstore.wire import admin_pb2

_name = click.argument("name", metavar="NAME")


@click.group("webhook", cls=output.ListingGroup)
def command() -> None:
    """Where events are sent to, signed, until they are accepted: add, list, test, retry, remove. By itself: list."""


def _shape(state: admin_pb2.WebhookState, *, letters: bool) -> dict[str, object]:
    known = state.HasField("attempts")
    shape: dict[str, object] = {
        "name": state.name,
        "url": state.url,
        "events": list(state.kinds) or None,
        "private": state.private,
        "position": state.position,
        "newest": state.newest,
        "accepted": state.accepted,
        "dead": state.dead,
        "failures": state.attempts.failures if known else None,
        "error": (state.attempts.error or None) if known else None,
        "retry_in": state.attempts.wait_ms / 1000 if known else None,
    }
    if letters:
        shape["letters"] = [
            {
                "number": letter.number,
                "first": letter.first,
                "last": letter.last,
                "time": output.moment(letter.time_ns),
                "detail": letter.detail,
                "asked": letter.asked,
                "lost": letter.lost,
            }
            for letter in state.letters
        ]
    return shape


def condition(state: admin_pb2.WebhookState) -> str:
    """Say in words how it goes with a webhook. Pure."""
    if not state.HasField("attempts"):
        return "not known: no leader tells"
    if not state.attempts.failures:
        return "good"
    wait = state.attempts.wait_ms // 1000
    return f"failed {state.attempts.failures} times, again in {wait} s: {state.attempts.error}"


def _show_letters(state: admin_pb2.WebhookState) -> None:
    if not state.letters:
        click.echo("no dead letters")
    for letter in state.letters:
        note = (
            "events not kept any more" if letter.lost else "to be sent again" if letter.asked else letter.detail
        )
        moment = output.moment(letter.time_ns) or "-"
        click.echo(f"dead letter {letter.number}: events {letter.first} to {letter.last}, {moment}: {note}")


@command.command(
    "list",
    cls=output.PixraftCommand,
    examples="pixraft webhook list --cluster pictures\npixraft webhook list shop --cluster pictures",
)
@click.argument("name", metavar="[NAME]", required=False, default="")
@access_options
@output.output_option
def list_(access: Access, name: str, form: str) -> None:
    """List webhooks: how far each has come, and whether the last attempt failed; with NAME its dead letters, too."""
    request = admin_pb2.WebhooksRequest(name=name)
    found = run(ClusterClient(access).ask(webhook_calls.webhooks, request)).webhooks
    if form == "json":
        output.print_json({"webhooks": [_shape(state, letters=bool(name)) for state in found]})
        return
    if not found:
        click.echo("There are none.")
        return
    titles = ["name", "url", "events", "accepted", "behind", "dead", "condition"]
    rows = [
        [
            *(state.name, state.url, ", ".join(state.kinds) or "all", f"{state.accepted:,}"),
            *(f"{state.newest - state.position:,}", f"{state.dead:,}", condition(state)),
        ]
        for state in found
    ]
    click.echo("\n".join(output.plain_table(titles, rows, right=("accepted", "behind", "dead"))))
    if name:
        _show_letters(found[0])


ADD_EXAMPLES = """
pixraft webhook add shop https://shop.example/pixraft --cluster pictures
pixraft webhook add desk https://desk.example/hook --event delivered --event bounced --cluster pictures
pixraft webhook add lab http://10.0.0.7:8080/hook --allow-private --cluster pictures
"""


@command.command("add", cls=output.PixraftCommand, examples=ADD_EXAMPLES)
@_name
@click.argument("url", metavar="URL")
@click.option(
    "--event",
    "kinds",
    multiple=True,
    type=click.Choice(webhook_calls.KINDS),
    help="Only these; may be repeated.",
)
@click.option(
    "--allow-private",
    is_flag=True,
    help="Addresses that are not public may be connected to (this machine, the local network), also without TLS.",
)
@access_options
@output.output_option
def add(access: Access, name: str, url: str, kinds: tuple[str, ...], allow_private: bool, form: str) -> None:
    """Send events to URL from now on, and print the secret by which the receiver knows them. It is shown this once.

    Messages are POSTs as Standard Webhooks has them (docs/webhooks.md), in the order of the log, each until it is
    accepted. Redirects are not followed; certificates are verified.
    """
    request = admin_pb2.WebhookAdd(name=name, url=url, kinds=kinds, private=allow_private)
    added = run(ClusterClient(access).ask(webhook_calls.add, request))
    if form == "json":
        output.print_json({"name": name, "secret": added.secret, "done": "added"})
    else:
        click.echo(f"Webhook {name} added. Its secret, shown this once:\n{added.secret}")


def _done(form: str, name: str, done: str, said: str) -> None:
    if form == "json":
        output.print_json({"name": name, "done": done})
    else:
        click.echo(said)


@command.command("remove", cls=output.PixraftCommand, examples="pixraft webhook remove shop --cluster pictures")
@_name
@access_options
@output.output_option
def remove(access: Access, name: str, form: str) -> None:
    """Send nothing more there; its dead letters go with it."""
    run(ClusterClient(access).ask(webhook_calls.remove, admin_pb2.WebhookRemove(name=name)))
    _done(form, name, "removed", f"Webhook {name} removed.")


@command.command(
    "retry",
    cls=output.PixraftCommand,
    examples="pixraft webhook retry shop --cluster pictures\npixraft webhook retry shop 3 --cluster pictures",
)
@_name
@click.argument("letter", metavar="[NUMBER]", required=False, default=0, type=click.IntRange(0, 2**62))
@access_options
@output.output_option
def retry(access: Access, name: str, letter: int, form: str) -> None:
    """Send dead letters once more (all, or the one with that number), and what waits for another attempt now."""
    request = admin_pb2.WebhookRetry(name=name, letter=letter)
    run(ClusterClient(access).ask(webhook_calls.retry, request))
    _done(
        form, name, "retried", f"Webhook {name} is tried again; `pixraft webhook list {name}` says how it goes."
    )


@command.command("test", cls=output.PixraftCommand, examples="pixraft webhook test shop --cluster pictures")
@_name
@access_options
@output.output_option
def test(access: Access, name: str, form: str) -> None:
    """Send a message of type pixraft.test, once, from the node that is asked. Exits with 1 if it is not accepted."""
    found = run(ClusterClient(access).ask(webhook_calls.try_once, admin_pb2.WebhookTest(name=name)))
    took = found.took_ms / 1000
    if form == "json":
        shape = {"name": name, "status": found.status or None, "error": found.error or None, "took": took}
        output.print_json(shape)
    elif found.status:
        click.echo(f"Accepted with {found.status} within {took:.2f} s.")
    else:
        click.echo(f"Not accepted: {found.error}", err=True)
    if not found.status:
        raise click.exceptions.Exit(1)
