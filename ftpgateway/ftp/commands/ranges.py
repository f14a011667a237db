"""Where a transfer begins and ends: REST, RANG, and SIZE, which tells where it can be resumed."""

from __future__ import annotations

from dataclasses import dataclass

from ftpgateway.ftp.interface import OfLogin, Session, command
from ftpgateway.serving.refusals import one_line

MAX_OFFSET = 2**63 - 1
NO_RANGE = (0, None)


@dataclass(slots=True)
class _Range(OfLogin):
    """What REST or RANG have set: the first byte, and the one after the last (None: all)."""

    first: int = 0
    until: int | None = None


@dataclass(slots=True)
class _ReportedSize(OfLogin):
    """What the last SIZE said, if that was of an interrupted upload: its path, and how many bytes are kept of it."""

    path: str | None = None
    size: int | None = None


def take_range(session: Session) -> tuple[int, int | None]:
    """Return the first byte and the byte after the last (None: all) that REST or RANG have set, for this once."""
    wanted = session.state(_Range)
    taken, wanted.first, wanted.until = (wanted.first, wanted.until), 0, None
    return taken


def is_offset(text: str) -> bool:
    """Return whether `text` is a number of bytes."""
    return text.isascii() and text.isdigit() and int(text[:20]) <= MAX_OFFSET


def begun_as_reported(session: Session, path: str) -> int | None:
    """Return what the last SIZE said of an interrupted upload of `path`, if it is still true. Raises StoreError."""
    reported = session.state(_ReportedSize)
    if reported.path != path or session.wait(session.files.begun(path)) != reported.size:
        return None
    return reported.size


@command(
    "REST",
    "the byte at which the next RETR or STOR begins",
    source="RFC 3659",
    syntax="<bytes>",
    inline=True,
    feature="REST STREAM",
)
def rest(session: Session, argument: str) -> None:
    """REST: byte to start at; holds for the next transfer command only."""
    if not is_offset(argument):
        session.respond("501 REST needs a number of bytes.")
        return
    wanted = session.state(_Range)
    wanted.first, wanted.until = int(argument), None
    session.respond(f"350 Restarting at position {wanted.first}.")


@command(
    "RANG",
    "the first and the last byte of the next RETR or HASH; 1 0 takes that back",
    source="draft-bryan-ftp-range",
    syntax="<first> <last>",
    inline=True,
    feature="RANG STREAM",
)
def rang(session: Session, argument: str) -> None:
    """RANG: both bytes belong to the range."""
    numbers = argument.split(" ")
    if len(numbers) != 2 or not all(is_offset(number) for number in numbers):
        session.respond("501 Syntax: RANG first last, numbers of bytes.")
        return
    first, last = int(numbers[0]), int(numbers[1])
    if (first, last) == (1, 0):
        take_range(session)
        session.respond("350 No range is set.")
    elif last < first:
        session.respond("501 The last byte is before the first one.")
    else:
        wanted = session.state(_Range)
        wanted.first, wanted.until = first, last + 1
        session.respond(f"350 The next RETR or HASH takes bytes {first} to {last}.")


@command(
    "SIZE",
    "size in bytes, in every TYPE; to the owner of an interrupted upload what is kept of it",
    source="RFC 3659",
    syntax="<path>",
    right="lr",
    feature="SIZE",
    probe=True,
)
def size(session: Session, argument: str) -> None:
    """SIZE: where a transfer can be resumed, in every TYPE, as nothing is converted."""
    path = session.files.resolve(argument)
    found, begun = session.wait(session.files.size(path))
    reported = session.state(_ReportedSize)
    reported.path, reported.size = (path, found) if begun else (None, None)
    if found is None:
        session.respond(f"550 {one_line(path)} is a directory.")
    else:
        session.respond(f"213 {found}")
