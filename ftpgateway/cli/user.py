"""`pixraft user`: the accounts of FTP users, replicated on all nodes."""

from __future__ import annotations

import re
import sys

import argon2
import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from raftstore import paths
from raftstore.errors import BadName
from raftstore.wire import admin_pb2

RIGHTS = {"full": "elradfmwMT", "read-only": "elr", "upload-only": "elamwMT"}
_LETTERS = frozenset("elradfmwMT")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MAX_QUOTA = 1 << 62
_MAX_PASSWORD = 1024
_PORTION = re.compile(r"(\d{1,18})\s*([KMGT]?)(?:i?B)?", re.ASCII | re.IGNORECASE)


class _Quota(click.ParamType[int]):
    name = "SIZE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if value in ("none", "unlimited"):
            return 0
        match = _PORTION.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is not a size such as 500M or 20G (or none)", param, ctx)
        size = int(match[1]) * _UNITS[match[2].upper()]
        if size > _MAX_QUOTA:
            self.fail(f"{value!r} is too large", param, ctx)
        return size


class _Rights(click.ParamType[str]):
    name = "full|read-only|upload-only|LETTERS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = RIGHTS.get(str(value), str(value))
        if not text or not _LETTERS.issuperset(text):
            self.fail(f"{value!r} is none of {', '.join(RIGHTS)}, nor letters out of elradfmwMT", param, ctx)
        return text


def _name(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        paths.check_name(value)
    except BadName as error:
        raise click.BadParameter(str(error)) from None
    return value


def _home(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        paths.split(home := paths.join("/", value))
    except BadName as error:
        raise click.BadParameter(str(error)) from None
    return home


name_argument = click.argument("name", callback=_name)
password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking."
)


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
    """Accounts of FTP users: add, list, change the password, remove."""


def _done(form: str, name: str, done: str) -> None:
    if form == "json":
        output.print_json({"user": name, "done": done})
    else:
        click.echo(f"User {name!r} {done}.")


ADD_EXAMPLES = """
pixraft user add anna --cluster pictures
pixraft user add camera7 --home /incoming/7 --rights upload-only --quota 20G --cluster pictures
echo "$PASSWORD" | pixraft user add web --read-only --password-stdin --cluster pictures
"""


@command.command("add", cls=output.PixraftCommand, examples=ADD_EXAMPLES)
@name_argument
@access_options
@password_option
@click.option(
    "--home", default="/", show_default=True, callback=_home, help="Directory that the user sees as /."
)
@click.option(
    "--rights",
    type=_Rights(),
    metavar="WORD|LETTERS",
    help="full (the default), read-only, upload-only (neither read nor delete), or letters: "
    "e enter, l list, r read, a append, d delete, f rename, m make directories, w store, M mode, T times.",
)
@click.option("--read-only", is_flag=True, help="Short for --rights read-only.")
@click.option("--quota", type=_Quota(), default="none", show_default=True, help="Such as 500M or 20G.")
@click.option(
    "--replicas",
    type=click.IntRange(0, 5),
    default=0,
    help="Copies of each picture that the user puts, on different nodes; by default as many as the cluster makes. "
    "One copy is lost with its disk.",
)
@output.output_option
def add(
    access: Access,
    name: str,
    password_stdin: bool,
    home: str,
    rights: str | None,
    read_only: bool,
    quota: int,
    replicas: int,
    form: str,
) -> None:
    """Make an account. The password is asked for; only its argon2id hash leaves this process."""
    if read_only and rights is not None:
        raise click.UsageError("give --read-only or --rights, not both")
    request = admin_pb2.UserPut(
        name=name,
        home=home,
        rights=RIGHTS["read-only"] if read_only else rights or RIGHTS["full"],
        quota_bytes=quota,
        replicas=replicas,
        password_hash=hash_password(read_password(from_stdin=password_stdin)),
        create=True,
    )
    run(ClusterClient(access).ask("admin.user_put", request, admin_pb2.UserReply, changes=True))
    _done(form, name, "added")


@command.command("passwd", cls=output.PixraftCommand, examples="pixraft user passwd anna --cluster pictures")
@name_argument
@access_options
@password_option
@output.output_option
def passwd(access: Access, name: str, password_stdin: bool, form: str) -> None:
    """Change an account's password. Sessions that are logged in go on."""
    request = admin_pb2.UserPut(
        name=name, password_hash=hash_password(read_password(from_stdin=password_stdin)), update=True
    )
    run(ClusterClient(access).ask("admin.user_put", request, admin_pb2.UserReply, changes=True))
    _done(form, name, "has a new password")


@command.command("remove", cls=output.PixraftCommand, examples="pixraft user remove anna --cluster pictures")
@name_argument
@access_options
@output.output_option
def remove(access: Access, name: str, form: str) -> None:
    """Remove an account. The pictures stay."""
    request = admin_pb2.UserRemove(name=name)
    run(ClusterClient(access).ask("admin.user_remove", request, admin_pb2.UserReply, changes=True))
    _done(form, name, "removed")


@command.command("list", cls=output.PixraftCommand, examples="pixraft user list --cluster pictures -o json")
@access_options
@output.output_option
def list_(access: Access, form: str) -> None:
    """List the accounts."""
    answer = run(ClusterClient(access).ask("admin.users", admin_pb2.UsersRequest(), admin_pb2.Users))
    users = sorted(answer.users, key=lambda user: user.name)
    if form == "json":
        keys = ("name", "home", "rights", "quota_bytes", "used_bytes", "replicas", "disabled")
        output.print_json({"users": [{key: getattr(user, key) for key in keys} for user in users]})
        return
    words = {letters: word for word, letters in RIGHTS.items()}
    titles = ["user", "home", "rights", "used", "quota", "copies", "enabled"]
    rows = [
        [
            user.name,
            user.home,
            words.get(user.rights, user.rights),
            output.human_bytes(user.used_bytes),
            output.human_bytes(user.quota_bytes) if user.quota_bytes else "none",
            str(user.replicas) if user.replicas else "default",
            "no" if user.disabled else "yes",
        ]
        for user in users
    ]
    if not users:
        click.echo("There are no users: make one with `pixraft user add NAME`.")
    elif (console := output.console()).is_terminal:
        console.print(output.table(titles, rows, right=("used", "quota")))
    else:
        click.echo("\n".join(output.plain_table(titles, rows, right=("used", "quota"))))
