"""Copies on the server, as ProFTPD's mod_copy has them: no byte goes to the client and back, or is stored anew."""

from __future__ import annotations

from dataclasses import dataclass

from ftpgateway.ftp.interface import OfLogin, Session, command
from ftpgateway.ftp.replies import refusal
from raftstore.errors import IsADirectory
from raftstore.rights import Action


@dataclass(slots=True)
class _Copying(OfLogin):
    """What CPFR has named."""

    source: str | None = None


@command("SITE CPFR", "which file is to be copied", source="ProFTPD", syntax="<path>", right="r")
def site_cpfr(session: Session, argument: str) -> None:
    """SITE CPFR path."""
    copying = session.state(_Copying)
    copying.source = None
    path = session.files.resolve(argument)
    if session.wait(session.files.entry(path, to=Action.READ)).is_directory:
        session.respond(_DIRECTORY)
        return
    copying.source = path
    session.respond("350 File exists, ready for destination name.")


@command(
    "SITE CPTO",
    "copy the file of CPFR, over an existing file too; no byte of it is moved",
    source="ProFTPD",
    syntax="<path>",
    right="w",
)
def site_cpto(session: Session, argument: str) -> None:
    """SITE CPTO path."""
    copying = session.state(_Copying)
    source, copying.source = copying.source, None
    if source is None:
        session.respond("503 Send SITE CPFR first.")
        return
    _copy(session, source, session.files.resolve(argument))


@command(
    "SITE COPY",
    "CPFR and CPTO at once, of names without blanks",
    source="ProFTPD",
    syntax="<path> <path>",
    right="r",
    feature="SITE COPY",
)
def site_copy(session: Session, argument: str) -> None:
    """SITE COPY source target."""
    names = argument.split(" ")
    if len(names) != 2 or not all(names):
        session.respond(
            "501 Syntax: SITE COPY path path; of names with blanks SITE CPFR path, then SITE CPTO path."
        )
        return
    source, target = map(session.files.resolve, names)
    _copy(session, source, target)


_DIRECTORY = "550 Directories are not copied; copy their files one by one."


def _copy(session: Session, source: str, target: str) -> None:
    try:
        session.wait(session.files.copy(source, target))
    except IsADirectory as error:
        there = session.wait(session.files.entry(source)).is_directory
        session.respond(_DIRECTORY if there else refusal(error))
    else:
        session.respond("250 Copied.")
