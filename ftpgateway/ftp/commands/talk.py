"""What a session says about itself and the server: FEAT, OPTS, HELP, and settings without effect."""

from __future__ import annotations

import re

from ftpgateway.ftp.gate import Beside
from ftpgateway.ftp.interface import Session, command
from ftpgateway.serving.refusals import one_line

_HELP_COLUMNS = 8
_HOST = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Fa-f:.]{2,45}|[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")


# Settings that have no effect: pictures are byte streams, never converted.


@command("TYPE", "accepted for A, I and L 8; files are transferred unchanged", syntax="A|I|L 8", inline=True)
def type_(session: Session, argument: str) -> None:
    """TYPE: accepted and without effect; pictures are never converted."""
    kind = argument.upper().replace(" ", "")
    if kind in ("A", "AN", "L7"):
        session.respond("200 Type set to ASCII; files are transferred unchanged all the same.")
    elif kind in ("I", "L8"):
        session.respond("200 Type set to binary.")
    else:
        session.respond("504 Unsupported type; use I.")


@command("STRU", "accepted for F, files without records", syntax="F", inline=True)
def stru(session: Session, argument: str) -> None:
    """STRU."""
    if argument.upper() == "F":
        session.respond("200 Structure set to F.")
    elif argument.upper() in ("P", "R"):
        session.respond("504 Only structure F is there.")
    else:
        session.respond("501 Syntax: STRU F.")


@command("MODE", "accepted for S, a stream of bytes", syntax="S", inline=True)
def mode(session: Session, argument: str) -> None:
    """MODE."""
    if argument.upper() == "S":
        session.respond("200 Mode set to S.")
    elif argument.upper() in ("B", "C", "Z"):
        session.respond("504 Only mode S is there.")
    else:
        session.respond("501 Syntax: MODE S.")


# Who the client is.


@command(
    "CLNT",
    "the client's name, for the log",
    source="usage",
    syntax="<name>",
    login=False,
    inline=True,
    feature="CLNT",
)
def clnt(session: Session, argument: str) -> None:
    """CLNT."""
    _note_client(session, argument)
    session.respond("200 Noted.")


@command(
    "CSID",
    "who the client is, and who the server",
    source="draft-peterson-streamlined-ftp-command-extensions",
    syntax="Name=<name>; Version=<version>;",
    login=False,
    inline=True,
    feature="CSID",
)
def csid(session: Session, argument: str) -> None:
    """CSID."""
    _note_client(session, argument)
    session.respond("200 Name=pixraft; CaseSensitive=1; DirSep=/;")


def _note_client(session: Session, text: str) -> None:
    session.events.info("client", client=one_line(text[:200]))


@command(
    "HOST",
    "the name by which the client knows the server; all names are the same here",
    source="RFC 7151",
    syntax="<name>",
    login=False,
    inline=True,
    beside=Beside.WAITS,
    feature="HOST",
)
def host(session: Session, argument: str) -> None:
    """HOST: before the login."""
    if session.login is not None:
        session.respond("503 HOST comes before USER.")
    elif not _HOST.fullmatch(argument):
        session.respond("501 That is not the name of a host.")
    else:
        session.respond("220 Ready for a user.")


@command(
    "LANG",
    "the language of replies: English only",
    source="RFC 2640",
    syntax="[EN]",
    login=False,
    inline=True,
    feature="LANG EN*",
)
def lang(session: Session, argument: str) -> None:
    """LANG."""
    if argument.upper() == "EN" or not argument or argument.upper().startswith("EN-"):
        session.respond("200 English.")
    else:
        session.respond("504 There is only EN.")


@command("ACCT", "accepted; there are no accounts beside users", syntax="<text>", login=False, inline=True)
def acct(session: Session, argument: str) -> None:
    """ACCT."""
    session.respond("202 Not needed here.")


@command("NOOP", "nothing, but the session is not idle", login=False, inline=True)
def noop(session: Session, argument: str) -> None:
    """NOOP."""
    session.respond("200 Nothing done.")


# What there is.


@command("SYST", "what LIST looks like: that of UNIX", login=False, inline=True)
def syst(session: Session, argument: str) -> None:
    """SYST."""
    session.respond("215 UNIX Type: L8")


@command("FEAT", "what is there beyond RFC 959", source="RFC 2389", login=False, inline=True, feature="TVFS")
def feat(session: Session, argument: str) -> None:
    """FEAT: what is there beyond RFC 959."""
    declared = (one.feature for one in session.commands.values())
    lines = (feature if isinstance(feature, str) else feature(session) for feature in declared)
    session.push("211-Features:\r\n" + "".join(f" {line}\r\n" for line in sorted(filter(None, lines))))
    session.respond("211 End.")


@command(
    "OPTS",
    "settings of a command: UTF8 ON; MLST and the facts that are wanted",
    source="RFC 2389",
    syntax="<command> [<options>]",
    login=False,
    inline=True,
    feature="UTF8",
)
def opts(session: Session, argument: str) -> None:
    """OPTS UTF8 [ON]; OPTS of a command that has options."""
    name, _, option = argument.partition(" ")
    if name.upper() in ("UTF8", "UTF-8"):
        if option.upper() in ("", "ON"):
            session.respond("200 Always in UTF8 mode.")
        else:
            session.respond("504 Names are always UTF-8.")
        return
    found = session.commands.get(name.upper())
    if found is not None and found.options is not None:
        found.options(session, option)
        return
    names = ["UTF8", *(one.name for one in session.commands.values() if one.options is not None)]
    session.respond(f"501 Only {', '.join(names[:-1])} and {names[-1]} have options.")


@command("HELP", "the commands, or the syntax of one", syntax="[<command>]", login=False, inline=True)
def help_(session: Session, argument: str) -> None:
    """HELP."""
    _help(session, argument.upper(), "")


@command(
    "SITE HELP", "the commands of SITE, or the syntax of one", syntax="[<command>]", login=False, inline=True
)
def site_help(session: Session, argument: str) -> None:
    """SITE HELP."""
    _help(session, argument.upper(), "SITE ")


def _help(session: Session, wanted: str, prefix: str) -> None:
    found = session.commands.get(f"{prefix}{wanted}")
    if found is not None:
        session.respond(f"214 {found.help}")
        return
    if wanted and (wanted != "SITE" or prefix):
        session.respond(f"501 There is no command {one_line(wanted[:32])} here.")
        return
    if wanted == "SITE":
        prefix = "SITE "
    names = sorted(
        [name.removeprefix(prefix) for name in session.commands if _under(name, prefix)]
        + ([] if prefix else ["SITE"])
    )
    session.push("214-Commands:\r\n")
    for start in range(0, len(names), _HELP_COLUMNS):
        session.push("".join(f" {name:<7}" for name in names[start : start + _HELP_COLUMNS]).rstrip() + "\r\n")
    session.respond(f"214 {prefix}HELP <command> tells its syntax.")


def _under(name: str, prefix: str) -> bool:
    return name.startswith("SITE ") == bool(prefix)
