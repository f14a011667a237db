"""An FTP command: how many names a directory has."""

from __future__ import annotations

from ftpgateway.ftp.interface import Session, command


@command(
    "SITE COUNT",
    "how many names a directory has",
    source="a test",
    syntax="[<path>]",
    right="l",
    feature="COUNT",
)
def site_count(session: Session, argument: str) -> None:
    """SITE COUNT: the names of the first page, which is all of a small directory."""
    cursor = session.wait(session.files.directory(session.files.resolve(argument)))
    session.respond(f"200 {len(cursor.entries)}")
    cursor.close()
