"""Checksums of files: HASH (a draft of the FTPEXT working group), and the older X commands."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ftpgateway.access.backend import Download
from ftpgateway.access.ledger import Resource
from ftpgateway.ftp.commands.ranges import take_range
from ftpgateway.ftp.hashing import ALGORITHMS, Hashing, checked_range
from ftpgateway.ftp.interface import Session, command
from ftpgateway.serving.refusals import one_line
from raftstore.errors import NotFound
from raftstore.types import CHUNK_SIZE

_QUOTED = re.compile(r'"((?:[^"]|"")*)"(?: +(\d{1,19}))?(?: +(\d{1,19}))? *', re.ASCII)
_NUMBERS = re.compile(r"(.+?) (\d{1,19})(?: (\d{1,19}))?", re.ASCII)


def requests(argument: str) -> list[tuple[str, int, int | None]]:
    """Return what the argument of XCRC can mean, in the order to try: name, first byte, byte after the last.

    `"name" [start [stop]]` is clear. Without quotes the whole is a name, or a name with one or two numbers.
    """
    quoted = _QUOTED.fullmatch(argument)
    if quoted is not None:
        name = quoted[1].replace('""', '"')
        return [(name, int(quoted[2] or 0), int(quoted[3]) if quoted[3] else None), (argument, 0, None)]
    found: list[tuple[str, int, int | None]] = [(argument, 0, None)]
    numbers = _NUMBERS.fullmatch(argument)
    if numbers is not None:
        found.append((numbers[1], int(numbers[2]), int(numbers[3]) if numbers[3] else None))
    return found


@dataclass(slots=True)
class _Algorithm:
    """What OPTS HASH chose."""

    name: str = next(iter(ALGORITHMS))


def _algorithms(session: Session) -> str:
    chosen = session.state(_Algorithm).name
    return "HASH " + ";".join(f"{name}{'*' if name == chosen else ''}" for name in ALGORITHMS)


def _choose_algorithm(session: Session, argument: str) -> None:
    """OPTS HASH [algorithm]."""
    if argument and argument.upper() not in ALGORITHMS:
        session.respond(f"501 Algorithms are {', '.join(ALGORITHMS)}.")
        return
    algorithm = session.state(_Algorithm)
    algorithm.name = argument.upper() or algorithm.name
    session.respond(f"200 {algorithm.name}")


@command(
    "HASH",
    "the checksum of a file, or of the part that RANG or REST set, by the algorithm that OPTS HASH chose",
    source="draft-bryan-ftpext-hash",
    syntax="<path>",
    right="r",
    feature=_algorithms,
    options=_choose_algorithm,
)
def hash_(session: Session, argument: str) -> None:
    """HASH: `213 <algorithm> <first>-<last> <checksum> <path>`."""
    start, stop = take_range(session)
    path = session.files.resolve(argument)
    algorithm = session.state(_Algorithm).name
    first, end, checksum = _checksum(session, path, algorithm, start, stop)
    session.respond(f"213 {algorithm} {first}-{max(first, end - 1)} {checksum} {one_line(path)}")


def _older(session: Session, algorithm: str, argument: str) -> None:
    """Answer an X command: `250 <checksum>`."""
    take_range(session)
    missing: NotFound | None = None
    for name, start, stop in requests(argument):
        try:
            checksum = _checksum(session, session.files.resolve(name), algorithm, start, stop)[2]
        except NotFound as error:
            missing = missing or error
            continue
        session.respond(f"250 {checksum.upper()}")
        return
    assert missing is not None
    raise missing


@command(
    "XCRC",
    "CRC-32 of a file, or of its bytes from start to before end",
    source="usage",
    syntax='"<path>" [<start> [<end>]]',
    right="r",
    feature="XCRC",
)
def xcrc(session: Session, argument: str) -> None:
    """XCRC."""
    _older(session, "CRC32", argument)


@command("XMD5", "MD5, as XCRC", source="usage", syntax='"<path>" [<start> [<end>]]', right="r", feature="XMD5")
def xmd5(session: Session, argument: str) -> None:
    """XMD5."""
    _older(session, "MD5", argument)


@command(
    "XSHA1",
    "SHA-1, as XCRC",
    source="usage",
    syntax='"<path>" [<start> [<end>]]',
    right="r",
    also=("XSHA",),
    feature="XSHA1",
)
def xsha1(session: Session, argument: str) -> None:
    """XSHA1."""
    _older(session, "SHA-1", argument)


@command(
    "XSHA256",
    "SHA-256, as XCRC",
    source="usage",
    syntax='"<path>" [<start> [<end>]]',
    right="r",
    feature="XSHA256",
)
def xsha256(session: Session, argument: str) -> None:
    """XSHA256."""
    _older(session, "SHA-256", argument)


@command(
    "XSHA512",
    "SHA-512, as XCRC",
    source="usage",
    syntax='"<path>" [<start> [<end>]]',
    right="r",
    feature="XSHA512",
)
def xsha512(session: Session, argument: str) -> None:
    """XSHA512."""
    _older(session, "SHA-512", argument)


def _checksum(
    session: Session, path: str, algorithm: str, start: int, stop: int | None
) -> tuple[int, int, str]:
    """Return first byte, byte after the last, and the checksum between. Raises StoreError."""
    with session.logged_in.charge(Resource.MEMORY, CHUNK_SIZE):
        return _computed(session, path, algorithm, start, stop)


def _computed(
    session: Session, path: str, algorithm: str, start: int, stop: int | None
) -> tuple[int, int, str]:
    download: Download = session.wait(session.files.download(path))
    close = download.close
    try:
        first, end = checked_range(download.size, start, stop)
        hashing = Hashing(download, algorithm, first, end, session.hashers)
        close = hashing.close
        while (checksum := session.wait(hashing.some())) is None:
            pass
        return first, end, checksum
    finally:
        # Not waited for: the session may have ended.
        session.host.spawn(close())
