"""`pixraft user`: the accounts of users, replicated on all nodes."""

from __future__ import annotations

import sys
from typing import Any

import argon2
import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers import userview
from ftpgateway.cli.helpers.asking import yes_option
from ftpgateway.cli.helpers.personal import block, confirm_purge, purged, unblock
from ftpgateway.cli.helpers.userkeys import key
from ftpgateway.cli.helpers.useroptions import (
    Role,
    account_options,
    directory,
    filled,
    name_argument,
    new_name_argument,
    password_option,
    too_many_copies,
)
from ftpgateway.cli.helpers.userorphans import adopt, orphans
from raftstore import paths
from raftstore.cluster.calls import accounts as accounts_calls
from raftstore.errors import NotFound
from raftstore.rights import ROLES, word_of
from raftstore.wire import admin_pb2

_MAX_PASSWORD = 1024


def read_password(*, from_stdin: bool) -> str:
    """Ask twice on the terminal, or read a line from standard input; a usage error when it is no password."""
    if from_stdin:
        password = sys.stdin.readline(_MAX_PASSWORD + 2).rstrip("\r\n")
    elif not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password; use --password-stdin")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    if not password:
        raise click.UsageError("the password is empty")
    if len(password) > _MAX_PASSWORD:
        raise click.UsageError(f"the password has more than {_MAX_PASSWORD} characters")
    if any(ord(character) < 32 for character in password):
        raise click.UsageError("the password has control characters; FTP cannot carry them")
    return password


def hash_password(password: str) -> str:
    """Return the argon2id hash as a PHC string; takes some 50 ms and 64 MiB."""
    return argon2.PasswordHasher().hash(password)


@click.group("user")
def command() -> None:
    """Accounts of users: add, change, list, remove, their rights in directories and their keys."""


command.add_command(key)
command.add_command(orphans)
command.add_command(adopt)
command.add_command(block)
command.add_command(unblock)


def _put(access: Access, request: admin_pb2.UserPut, form: str, done: str, *, purge: bool = False) -> None:
    client = ClusterClient(access)
    run(client.ask(accounts_calls.put_user, request))
    removed = purged(client, request.name) if purge else None
    _done(form, request.name, done, removed)
    if request.replicas > 1 and form == "text":
        output.warn(too_many_copies(request.replicas, len(run(client.status()).nodes)))


def _done(form: str, name: str, done: str, removed: int | None = None) -> None:
    """Tell what was done; `removed`: so many names were purged."""
    if form == "json":
        output.print_json({"user": name, "done": done} | ({} if removed is None else {"purged": removed}))
    else:
        click.echo(f"User {name!r} {done}{'' if removed is None else f', {removed} names of it deleted'}.")


ADD_EXAMPLES = """
pixraft user add anna --person --cluster pictures
pixraft user add scanner --home /scans --cluster pictures
pixraft user add camera7 --home /incoming/7 --role drop-box --quota 20G --cluster pictures
echo "$PASSWORD" | pixraft user add web --role read-only --password-stdin --cluster pictures
"""


@command.command("add", cls=output.PixraftCommand, examples=ADD_EXAMPLES)
@new_name_argument
@access_options
@password_option
@click.option(
    "--person",
    is_flag=True,
    default=None,
    help="It has an inbox, its home is /people/NAME, and it sends pictures to others: docs/people.md.",
)
@account_options
@output.output_option
def add(access: Access, name: str, password_stdin: bool, form: str, **options: Any) -> None:
    """Make an account. The password is asked for; only its argon2id hash leaves this process.

    Without --home and --role it is a member in /: it may do everything with everybody's files.
    """
    request = admin_pb2.UserPut(name=name, home="/", rights=ROLES["member"], create=True)
    filled(request, options)
    request.password_hash = hash_password(read_password(from_stdin=password_stdin))
    _put(access, request, form, "added")


SET_EXAMPLES = """
pixraft user set anna --quota 50G --quota-files none --cluster pictures
pixraft user set camera7 --upload-rate 5M --max-sessions 2 --cluster pictures
pixraft user set anna --disable --cluster pictures
pixraft user set bob --people --expires 30d --cluster pictures
pixraft user set camera7 --trash 7d --cluster pictures
pixraft user set bob --no-people --home /bob --purge --cluster pictures
"""


@command.command("set", cls=output.PixraftCommand, examples=SET_EXAMPLES)
@name_argument
@access_options
@account_options
@click.option(
    "--disable/--enable",
    "disabled",
    default=None,
    help="Let the user log in no more, ending its sessions at every node, or again.",
)
@click.option(
    "--people/--no-people",
    "person",
    default=None,
    help="Make it a person, with an inbox and the home /people/NAME, or none any more, with the --home that is given. "
    "What its earlier home has stays there; of who is none any more an admin sees it, if it is not purged.",
)
@click.option(
    "--purge",
    is_flag=True,
    help="With --no-people: delete what it has in its home, its inbox and what it sent.",
)
@yes_option
@output.output_option
def set_(access: Access, name: str, purge: bool, yes: bool, form: str, **options: Any) -> None:
    """Change an account: what is not given stays. Sessions go on with it, but end with another home or disabled."""
    request = admin_pb2.UserPut(name=name, update=True)
    if not filled(request, options):
        raise click.UsageError("give at least one option that says what to change")
    if purge and not (request.HasField("person") and not request.person):
        raise click.UsageError("--purge goes with --no-people")
    if purge and not yes:
        confirm_purge(ClusterClient(access), name)
    _put(access, request, form, "changed", purge=purge)


GRANT_EXAMPLES = """
pixraft user grant anna /team read-only --cluster pictures
pixraft user grant anna /team/private none --cluster pictures
"""


@command.command("grant", cls=output.PixraftCommand, examples=GRANT_EXAMPLES)
@name_argument
@click.argument("path", metavar="DIRECTORY", callback=directory)
@click.argument("role", type=Role(), metavar="ROLE|LETTERS")
@access_options
@output.output_option
def grant(access: Access, name: str, path: str, role: str, form: str) -> None:
    """Say what a user may do in a directory and beneath it, in place of its other rights.

    DIRECTORY is a path of the store, not of the user's view. Of several rules the one with the longest path that fits
    counts. A rule follows its directory when that is renamed, and stays when it is removed.
    """
    request = admin_pb2.UserPut(name=name, set_rules=[admin_pb2.Rule(path=path, rights=role)], update=True)
    _put(access, request, form, f"is {word_of(role) or 'none'} in {path}")
    if form == "text" and (home := _home_elsewhere(access, name, path)):
        output.warn(f"{name!r} sees only its home, {home}, and {path} is not in it")


def _home_elsewhere(access: Access, name: str, path: str) -> str:
    """Return the home of a user that cannot see `path` because of it, "" otherwise."""
    answer = run(ClusterClient(access).ask(accounts_calls.users, admin_pb2.UsersRequest()))
    home = next((user.home for user in answer.users if user.name == name), "/")
    # A rule for a directory above its home counts, too: the home is in that.
    return "" if paths.within(path, home) or paths.within(home, path) else home


@command.command(
    "revoke", cls=output.PixraftCommand, examples="pixraft user revoke anna /team/private --cluster pictures"
)
@name_argument
@click.argument("path", metavar="DIRECTORY", callback=directory)
@access_options
@output.output_option
def revoke(access: Access, name: str, path: str, form: str) -> None:
    """Remove the rule that a user has for a directory."""
    request = admin_pb2.UserPut(name=name, drop_rules=[path], update=True)
    _put(access, request, form, f"has no rule for {path} any more")


@command.command("passwd", cls=output.PixraftCommand, examples="pixraft user passwd anna --cluster pictures")
@name_argument
@access_options
@password_option
@output.output_option
def passwd(access: Access, name: str, password_stdin: bool, form: str) -> None:
    """Change an account's password. Sessions that are logged in end."""
    hashed = hash_password(read_password(from_stdin=password_stdin))
    request = admin_pb2.UserPut(name=name, password_hash=hashed, update=True)
    _put(access, request, form, "has a new password")


REMOVE_EXAMPLES = """
pixraft user remove anna --cluster pictures
pixraft user remove bob --purge --cluster pictures
"""


@command.command("remove", cls=output.PixraftCommand, examples=REMOVE_EXAMPLES)
@name_argument
@access_options
@click.option(
    "--purge", is_flag=True, help="Of a person: delete what it has in its home, its inbox and what it sent."
)
@yes_option
@output.output_option
def remove(access: Access, name: str, purge: bool, yes: bool, form: str) -> None:
    """Remove an account and end its sessions. The pictures stay: `pixraft user adopt` hands them over.

    Who is made under the same name later is somebody else, and has nothing of them. What a person has not opened yet
    counts as bounced for who has sent it.
    """
    client = ClusterClient(access)
    if purge and not yes:
        confirm_purge(client, name)
    try:
        run(client.ask(accounts_calls.remove_user, admin_pb2.UserRemove(name=name)))
    except NotFound:
        # A purge that was broken off goes on.
        if not purge or not (rest := purged(client, name)):
            raise
        _done(form, name, "removed", rest)
    else:
        _done(form, name, "removed", purged(client, name) if purge else None)


@command.command(
    "show", cls=output.PixraftCommand, examples="pixraft user show anna --cluster pictures -o json"
)
@name_argument
@access_options
@output.output_option
def show(access: Access, name: str, form: str) -> None:
    """Show all about one account: role, home, rights, quotas and limits with what is used, keys, inbox and trash."""
    account = run(ClusterClient(access).ask(accounts_calls.account, admin_pb2.AccountRequest(name=name)))
    if form == "json":
        output.print_json(userview.whole_as_json(account))
    else:
        click.echo("\n".join(map(paths.shown, userview.whole(account))))


@command.command("list", cls=output.PixraftCommand, examples="pixraft user list --cluster pictures -o json")
@access_options
@output.output_option
def list_(access: Access, form: str) -> None:
    """List the accounts: what each has of its quota, its limits, and its rules beneath it.

    `pixraft user show NAME` has all about one, its keys among it.
    """
    answer = run(ClusterClient(access).ask(accounts_calls.users, admin_pb2.UsersRequest()))
    users = sorted(answer.users, key=lambda user: user.name)
    if form == "json":
        output.print_json({"users": [userview.as_json(user) for user in users]})
        return
    titles = ["user", "home", "role", "used", "files", "limits", "enabled"]
    rows = [row for user in users for row in userview.rows(user)]
    if not users:
        click.echo("There are no users: make one with `pixraft user add NAME`.")
    elif (console := output.console()).is_terminal:
        console.print(output.table(titles, rows, right=("used", "files")))
    else:
        click.echo("\n".join(output.plain_table(titles, rows, right=("used", "files"))))
