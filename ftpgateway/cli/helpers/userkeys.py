"""`pixraft user key`: the public keys with which users log in to SFTP."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ftpgateway.access.login import keys
from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers.useroptions import name_argument
from ftpgateway.cli.helpers.userview import described
from raftstore.cluster.calls import accounts as accounts_calls
from raftstore.errors import NotFound
from raftstore.wire import admin_pb2

_MAX_FILE = 64 * 1024


@click.group("key")
def key() -> None:
    """Public keys of users: add, list, remove."""


def _lines(source: str) -> list[str]:
    """Return the keys that `source` means, normalised: a key itself, a file of them, or - for standard input."""
    if source == "-":
        text = sys.stdin.read(_MAX_FILE + 1)
    elif source.partition(" ")[0] in keys.TYPES:
        text = source
    else:
        try:
            with Path(source).open(encoding="utf-8", errors="replace") as file:
                text = file.read(_MAX_FILE + 1)
        except OSError as error:
            raise click.UsageError(f"{source!r} is neither a public key nor a file: {error.strerror}") from None
    if "PRIVATE KEY" in text:
        raise click.UsageError("that is a private key: keep it to yourself, and give the one in the .pub file")
    found = []
    for line in text[:_MAX_FILE].splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            found.append(keys.normalised(line))
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    if not found:
        raise click.UsageError(f"there is no key in {source!r}")
    return found


def _known(access: Access, name: str) -> list[str]:
    answer = run(ClusterClient(access).ask(accounts_calls.users, admin_pb2.UsersRequest()))
    for user in answer.users:
        if user.name == name:
            return list(user.authorized_keys)
    raise NotFound(f"user {name}")


def _change(access: Access, request: admin_pb2.UserPut) -> None:
    run(ClusterClient(access).ask(accounts_calls.put_user, request))


ADD_EXAMPLES = """
pixraft user key add anna ~/.ssh/id_ed25519.pub --cluster pictures
ssh-add -L | pixraft user key add anna - --cluster pictures
"""


@key.command("add", cls=output.PixraftCommand, examples=ADD_EXAMPLES)
@name_argument
@click.argument("key", metavar="KEY|FILE|-")
@access_options
@output.output_option
def add(access: Access, name: str, key: str, form: str) -> None:
    """Let a user log in to SFTP with a public key: a line as in a .pub file, a file of such lines, or - for standard
    input.
    """
    found = _lines(key)
    _change(access, admin_pb2.UserPut(name=name, add_keys=found, update=True))
    if form == "json":
        output.print_json({"user": name, "added": [described(line) for line in found]})
        return
    for line in found:
        click.echo(f"User {name!r} may log in with {described(line)['fingerprint']}.")


@key.command(
    "list", cls=output.PixraftCommand, examples="pixraft user key list anna --cluster pictures -o json"
)
@name_argument
@access_options
@output.output_option
def list_(access: Access, name: str, form: str) -> None:
    """List the public keys of a user."""
    keys = [described(line) for line in _known(access, name)]
    if form == "json":
        output.print_json({"user": name, "keys": keys})
        return
    if not keys:
        click.echo(f"User {name!r} has no keys: add one with `pixraft user key add`.")
        return
    rows = [[each["type"], each["fingerprint"], each["comment"]] for each in keys]
    click.echo("\n".join(output.plain_table(["type", "fingerprint", "comment"], rows)))


@key.command(
    "remove", cls=output.PixraftCommand, examples="pixraft user key remove anna anna@laptop --cluster pictures"
)
@name_argument
@click.argument("which", metavar="FINGERPRINT|COMMENT")
@access_options
@output.output_option
def remove(access: Access, name: str, which: str, form: str) -> None:
    """Remove a public key of a user; sessions that were opened with it end."""
    found = [line for line in _known(access, name) if which in tuple(described(line).values())]
    if not found:
        raise NotFound(f"key {which!r} of user {name}")
    if len(found) > 1:
        raise click.UsageError(f"{len(found)} keys have the comment {which!r}: give the fingerprint of one")
    _change(access, admin_pb2.UserPut(name=name, drop_keys=found, update=True))
    if form == "json":
        output.print_json({"user": name, "removed": [described(found[0])]})
    else:
        click.echo(f"User {name!r} can no longer log in with {described(found[0])['fingerprint']}.")
