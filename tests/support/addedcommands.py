"""FTP commands that a front-end is given beside its own: all that there is of them is in this file."""

from __future__ import annotations

from dataclasses import dataclass

from ftpgateway.ftp.data.sending import Sending
from ftpgateway.ftp.interface import OfLogin, Session, command


@dataclass(slots=True)
class _Count(OfLogin):
    step: int = 1
    reached: int = 0


def _feature(session: Session) -> str:
    return f"XCOUNT {session.state(_Count).step}"


def _choose_step(session: Session, argument: str) -> None:
    session.state(_Count).step = int(argument)
    session.respond(f"200 By {argument}.")


@command(
    "XCOUNT", "count", source="a test", inline=True, feature=_feature, options=_choose_step, also=("XTALLY",)
)
def xcount(session: Session, argument: str) -> None:
    """XCOUNT: remembers how far it came."""
    count = session.state(_Count)
    count.reached += count.step
    session.respond(f"200 {count.reached}")


@command("SITE OWNER", "whose a file is", source="a test", syntax="<path>", right="l", feature="SITE OWNER")
def site_owner(session: Session, argument: str) -> None:
    """SITE OWNER: waits for the store."""
    entry = session.wait(session.files.entry(session.files.resolve(argument)))
    session.respond(f"200 {entry.owner}")


@command("XNAMES", "the names in a directory", source="a test", syntax="[<path>]", right="l", data=True)
def xnames(session: Session, argument: str) -> None:
    """XNAMES: sends on the data connection."""
    if session.no_data_connection():
        return
    path = session.files.resolve(argument)
    cursor = session.wait(session.files.directory(path))
    session.announce("Names come.")
    session.attach(Sending(session, "XNAMES", path, b"".join(f"{e.name}\n".encode() for e in cursor.entries)))
    cursor.close()
