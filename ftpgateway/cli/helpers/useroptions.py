"""Arguments and options that the commands about users share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from raftstore import paths
from raftstore.errors import BadName
from raftstore.metadata.tables.accounts.accounts import MAX_REPLICAS, MAX_SESSIONS, RIGHTS
from raftstore.rights import ROLES
from raftstore.util.durations import seconds_of
from raftstore.wire import admin_pb2

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MOST = 1 << 62
_PORTION = re.compile(r"(\d{1,18})\s*([KMGT]?)(?:i?B)?(?:/s)?", re.ASCII | re.IGNORECASE)

UNLIMITED = ("none", "unlimited", "off")


class Size(click.ParamType[int]):
    """Bytes, such as 500M or 20G; none is 0."""

    name = "SIZE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes; a usage error otherwise."""
        if isinstance(value, int):
            return value
        if value in UNLIMITED:
            return 0
        match = _PORTION.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is not a size such as 500M or 20G (or none)", param, ctx)
        size = int(match[1]) * _UNITS[match[2].upper()]
        if size > _MOST:
            self.fail(f"{value!r} is too large", param, ctx)
        return size


class Expiry(click.ParamType[int]):
    """A time of at most ten years, in ns; none is 0."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the ns; a usage error otherwise."""
        if isinstance(value, int):
            return value
        if value in UNLIMITED:
            return 0
        seconds = seconds_of(str(value), 3650 * 86_400)
        if seconds is None:
            self.fail(f"{value!r} is neither none nor a time such as 24h or 30d (at most 3650d)", param, ctx)
        return seconds * 10**9


class Count(click.ParamType[int]):
    """A number from 1, or none for 0."""

    name = "NUMBER"

    def __init__(self, most: int) -> None:
        self._most = most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; a usage error otherwise."""
        if isinstance(value, int):
            return value
        if value in UNLIMITED:
            return 0
        text = str(value)
        if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= self._most:
            self.fail(f"{value!r} is neither none nor a number up to {self._most}", param, ctx)
        return int(text)


PERSON = "person"
"""The role of a member that is a person; it has no letters of its own."""


class Role(click.ParamType[str]):
    """A role, or letters, as letters; for accounts also PERSON, as it is."""

    name = "ROLE"

    def __init__(self, *, persons: bool = False) -> None:
        self._persons = persons

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the letters; a usage error otherwise."""
        text = str(value)
        if self._persons and text == PERSON:
            return text
        letters = ROLES.get(text, text)
        if (not text or not RIGHTS.issuperset(letters)) or len(set(letters)) < len(letters):
            known = "".join(sorted(RIGHTS))
            self.fail(f"{value!r} is none of {', '.join(ROLES)}, nor letters out of {known}", param, ctx)
        return letters


def _name(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        paths.check_name(value)
    except BadName as error:
        raise click.BadParameter(str(error)) from None
    return value


def directory(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return a path of the store in its normal form; a usage error when it is none.

    It begins with /: who leaves that out may mean a directory in the user's home.
    """
    if value is None:
        return None
    if not value.startswith("/"):
        raise click.BadParameter(
            f"{value!r} is no path of the store: those begin with /, as in {'/' + value!r}"
        )
    try:
        paths.split(normal := paths.join("/", value))
    except BadName as error:
        raise click.BadParameter(str(error)) from None
    return normal


def _new_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value != value.strip():
        raise click.BadParameter(f"{value!r} begins or ends with a blank, which clients leave out")
    try:
        paths.check_new(value)
    except BadName as error:
        raise click.BadParameter(str(error)) from None
    return _name(context, parameter, value)


name_argument = click.argument("name", callback=_name)
new_name_argument = click.argument("name", callback=_new_name)
password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking."
)

_ACCOUNT: list[Callable[..., Any]] = [
    click.option(
        "--role",
        "rights",
        type=Role(persons=True),
        metavar="ROLE|LETTERS",
        help="admin (everything everywhere), member (everything but where rules say otherwise; the default), person (a "
        "member with an inbox, as --person says), "
        "read-only, drop-box (upload, and change what it has uploaded, but list and read nothing), none, or letters: "
        "e enter, l list, r read, a append, d delete, f rename, m make directories, w store, M mode, T times, "
        "o over its own files, A whatever the rules say.",
    ),
    click.option(
        "--home",
        callback=directory,
        metavar="DIRECTORY",
        help="Directory that the user sees as /; made at the first login. By default /, of a person /people/NAME.",
    ),
    click.option(
        "--quota", "quota_bytes", type=Size(), help="Bytes that the user's files may have: 20G, none."
    ),
    click.option(
        "--quota-files",
        type=Count(_MOST),
        help="How many files and directories the user may have: 10000, none (then 10 million).",
    ),
    click.option("--upload-rate", type=Size(), help="Bytes a second of all its uploads at one node: 5M, none."),
    click.option("--download-rate", type=Size(), help="The same of its downloads."),
    click.option(
        "--max-sessions", type=Count(MAX_SESSIONS), help="Sessions at the same time at one node: 4, none."
    ),
    click.option(
        "--replicas",
        type=click.IntRange(0, MAX_REPLICAS),
        help="Copies of each picture that the user puts, on different nodes; 0, the default: as many as the cluster "
        "makes. One copy is lost with its disk.",
    ),
    click.option(
        "--expires",
        "expires_ns",
        type=Expiry(),
        help="After how long what a person sends is gone everywhere, if it does not say: 30d, none.",
    ),
    click.option(
        "--trash",
        "trash_ns",
        type=Expiry(),
        help="How long what it had put is kept when that is deleted or replaced, in /trash and on its quota: 30d, off. "
        "A new person has 30d, others none, if it is not given.",
    ),
    click.option(
        "--inbox", "inbox_bytes", type=Size(), help="Bytes that a person's inbox takes: 20G; none: 100G."
    ),
    click.option(
        "--inbox-files",
        type=Count(_MOST),
        help="Files and directories that it takes: 5000; none: 20000.",
    ),
    click.option("--sender", "sender_bytes", type=Size(), help="Of that, bytes from one sender; none: 50G."),
    click.option("--sender-files", type=Count(_MOST), help="Of that, files from one sender; none: 10000."),
]


def too_many_copies(replicas: int, nodes: int) -> str:
    """Say what comes of more copies than there are nodes; "" when there are enough."""
    if replicas <= nodes:
        return ""
    there = "there is 1 node" if nodes == 1 else f"there are {nodes} nodes"
    return f"{replicas} copies are wanted, but {there}: a picture has {nodes} until more join"


def account_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command with the options that say how an account is."""
    for option in reversed(_ACCOUNT):
        command = option(command)
    return command


def filled(request: admin_pb2.UserPut, options: dict[str, Any]) -> bool:
    """Put those options that were given into `request`; return whether there were any."""
    given = {name: value for name, value in options.items() if value is not None}
    if given.get("rights") == PERSON:
        if given.get("person") is False:
            raise click.UsageError("who is no person has another role")
        given |= {"rights": ROLES["member"], "person": True}
    if given.get("person") and "home" not in given:
        request.ClearField("home")
    for name, value in given.items():
        setattr(request, name, value)
    return bool(given)
