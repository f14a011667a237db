"""Commands about names: directories, renaming, deleting, times. They wait for the store in greenlets."""

from __future__ import annotations

from dataclasses import dataclass

from ftpgateway.ftp.interface import OfLogin, Session, command
from ftpgateway.ftp.listings import parse_timestamp, parse_utime, timestamp
from ftpgateway.ftp.removal import Removal
from ftpgateway.ftp.replies import quoted, refusal
from ftpgateway.serving.refusals import one_line
from raftstore.errors import NotFound, StoreError
from raftstore.rights import Action


@dataclass(slots=True)
class _Renaming(OfLogin):
    """What RNFR has named."""

    source: str | None = None


@command("PWD", "the current directory", also=("XPWD",), inline=True)
def pwd(session: Session, argument: str) -> None:
    """PWD."""
    session.respond(f"257 {quoted(session.files.cwd)} is the current directory.")


@command(
    "CWD",
    "change the current directory; without argument to the home",
    syntax="[<path>]",
    right="e",
    also=("XCWD",),
)
def cwd(session: Session, argument: str) -> None:
    """CWD; without argument to the home directory."""
    files = session.files
    session.wait(files.enter(files.resolve(argument or "/")))
    session.respond(f"250 {quoted(files.cwd)} is the current directory.")


@command("CDUP", "change to the parent directory", right="e", also=("XCUP",))
def cdup(session: Session, argument: str) -> None:
    """CDUP."""
    cwd.run(session, "..")


@command("MKD", "make a directory", syntax="<path>", right="m", also=("XMKD",))
def mkd(session: Session, argument: str) -> None:
    """MKD."""
    path = session.files.resolve(argument)
    session.wait(session.files.make_directory(path))
    session.respond(f"257 {quoted(path)} directory created.")


@command("RMD", "remove an empty directory", syntax="<path>", right="d", also=("XRMD",))
def rmd(session: Session, argument: str) -> None:
    """RMD."""
    path = session.files.resolve(argument)
    if path == "/":
        session.respond("550 The home directory cannot be removed.")
        return
    session.wait(session.files.remove_directory(path))
    session.respond("250 Directory removed.")


@command(
    "RMDA",
    "remove a directory with all that is in it; each name by itself, so after a failure some may be gone",
    source="usage",
    syntax="<path>",
    right="d",
    feature="RMDA <path>",
)
def rmda(session: Session, argument: str) -> None:
    """RMDA."""
    path = session.files.resolve(argument)
    if path == "/":
        session.respond("550 The home directory cannot be removed.")
        return
    session.files.check_change(path)
    removal = Removal(session.files, path)
    try:
        while not session.wait(removal.some()):
            session.events.info("removing", path=path, removed=removal.removed)
    except StoreError as error:
        code, _, text = refusal(error).partition(" ")
        session.respond(f"{code} {removal.removed} names were removed, the next was not: {text}")
    else:
        session.respond(f"250 {removal.removed} names removed.")


@command("DELE", "remove a file, and what its owner could have resumed", syntax="<path>", right="d")
def dele(session: Session, argument: str) -> None:
    """DELE."""
    path = session.files.resolve(argument)
    if path == "/":
        session.respond("550 It is a directory, not a file.")
        return
    session.wait(session.files.remove(path))
    session.respond("250 File removed.")


@command("RNFR", "what is to be renamed", syntax="<path>", right="f")
def rnfr(session: Session, argument: str) -> None:
    """RNFR: what is to be renamed."""
    renaming = session.state(_Renaming)
    renaming.source = None
    path = session.files.resolve(argument)
    if path == "/":
        session.respond("550 The home directory cannot be renamed.")
        return
    session.wait(session.files.entry(path, to=Action.RENAME))
    renaming.source = path
    session.respond("350 Ready for the new name.")


@command("RNTO", "rename, over an existing file too", syntax="<path>", right="f")
def rnto(session: Session, argument: str) -> None:
    """RNTO: rename, over an existing file too."""
    renaming = session.state(_Renaming)
    source, renaming.source = renaming.source, None
    if source is None:
        session.respond("503 Send RNFR first.")
        return
    target = session.files.resolve(argument)
    if target == "/":
        session.respond("553 The home directory cannot be replaced.")
        return
    session.wait(session.files.rename(source, target))
    session.respond("250 Renamed.")


@command(
    "MDTM",
    "time of last modification, UTC; with a time before the path, set it",
    source="RFC 3659",
    syntax="<path>",
    right="lr",
    feature="MDTM",
    probe=True,
)
def mdtm(session: Session, argument: str) -> None:
    """MDTM of a file, UTC; or, as older clients write it, of which file to set it."""
    path = session.files.resolve(argument)
    try:
        entry = session.wait(session.files.entry(path))
    except NotFound:
        when, _, name = argument.partition(" ")
        mtime_ns = parse_timestamp(when)
        if mtime_ns is None or not name:
            raise
        session.wait(session.files.set_modified(session.files.resolve(name), mtime_ns))
        session.respond(f"213 {when}")
        return
    if entry.is_directory:
        session.respond(f"550 {one_line(path)} is a directory.")
    else:
        session.respond(f"213 {timestamp(entry.mtime_ns)}")


@command(
    "MFMT",
    "set the time of last modification",
    source="draft-somers-ftp-mfxx",
    syntax="YYYYMMDDHHMMSS <path>",
    right="T",
    feature="MFMT",
)
def mfmt(session: Session, argument: str) -> None:
    """MFMT time path: set the time of last modification."""
    when, _, name = argument.partition(" ")
    mtime_ns = parse_timestamp(when)
    if mtime_ns is None or not name:
        session.respond("501 Syntax: MFMT YYYYMMDDHHMMSS path.")
        return
    path = session.files.resolve(name)
    session.wait(session.files.set_modified(path, mtime_ns))
    session.respond(f"213 Modify={when}; {one_line(path)}")


@command(
    "MFF",
    "set facts; Modify is the one that can be",
    source="draft-somers-ftp-mfxx",
    syntax="Modify=YYYYMMDDHHMMSS; <path>",
    right="T",
    feature="MFF Modify;",
)
def mff(session: Session, argument: str) -> None:
    """MFF: all facts or none."""
    facts, _, name = argument.partition(" ")
    fact, _, when = facts.rstrip(";").partition("=")
    mtime_ns = parse_timestamp(when)
    if fact.lower() != "modify" or not name or not facts.endswith(";"):
        session.respond("504 Syntax: MFF Modify=YYYYMMDDHHMMSS; path.")
    elif mtime_ns is None:
        session.respond("501 That is no time: YYYYMMDDHHMMSS, UTC.")
    else:
        path = session.files.resolve(name)
        session.wait(session.files.set_modified(path, mtime_ns))
        session.respond(f"213 Modify={when}; {one_line(path)}")


@command(
    "SITE UTIME",
    "set the time of last modification, UTC; also with the path first and three times: access, change, status",
    source="usage",
    syntax="YYYYMMDDhhmm[ss] <path>",
    right="T",
    feature="SITE UTIME",
)
def site_utime(session: Session, argument: str) -> None:
    """SITE UTIME, as ProFTPD and as Pure-FTPd have it."""
    for name, mtime_ns in parse_utime(argument):
        try:
            session.wait(session.files.set_modified(session.files.resolve(name), mtime_ns))
        except NotFound:
            continue
        session.respond("200 Time set.")
        return
    session.respond("550 No such file or directory, or no time: SITE UTIME YYYYMMDDhhmm[ss] path.")


@command("SITE CHMOD", "accepted; modes are not kept", source="usage", syntax="<mode> <path>", right="lr")
def site_chmod(session: Session, argument: str) -> None:
    """SITE CHMOD mode path: accepted, so that clients that always send it go on; modes are not kept."""
    mode, _, name = argument.partition(" ")
    if not name or not 3 <= len(mode) <= 4 or not set(mode) <= set("01234567"):
        session.respond("501 Syntax: SITE CHMOD mode path.")
        return
    session.wait(session.files.entry(session.files.resolve(name)))
    session.respond("200 Accepted; this server keeps no modes.")
