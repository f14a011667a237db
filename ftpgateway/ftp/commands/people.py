"""Commands of persons: whom they take nothing from, and what they send without sending its bytes."""

from __future__ import annotations

from ftpgateway.ftp.interface import Session, command
from ftpgateway.serving.refusals import one_line
from raftstore.util.durations import seconds_of

LONGEST_SECONDS = 3650 * 86_400


@command(
    "SITE BLOCK",
    "take nothing more from somebody, who is not told; what came stays",
    source="pixraft",
    syntax="<name>",
)
def site_block(session: Session, argument: str) -> None:
    """SITE BLOCK name."""
    session.wait(session.files.block(argument))
    session.respond(f"200 You take no pictures from {one_line(argument)}.")


@command("SITE UNBLOCK", "take pictures from somebody again", source="pixraft", syntax="<name>")
def site_unblock(session: Session, argument: str) -> None:
    """SITE UNBLOCK name."""
    session.wait(session.files.block(argument, off=True))
    session.respond(f"200 You do not block {one_line(argument)}.")


@command("SITE BLOCKS", "from whom nothing is taken", source="pixraft")
def site_blocks(session: Session, argument: str) -> None:
    """SITE BLOCKS."""
    names = session.wait(session.files.blocks())
    session.push("211-You take no pictures from:\r\n" + "".join(f" {one_line(name)}\r\n" for name in names))
    session.respond("211 End.")


@command(
    "SITE EXPIRES",
    "what this session sends from now on is gone everywhere after 30m, 24h or 7d; off: as the account has it",
    source="pixraft",
    syntax="<time>|off",
)
def site_expires(session: Session, argument: str) -> None:
    """SITE EXPIRES time, of the session."""
    if argument.lower() == "off":
        session.files.expire_after(0)
        session.respond("200 What you send from now on expires as your account has it.")
        return
    seconds = seconds_of(argument.lower(), LONGEST_SECONDS)
    if seconds is None:
        session.respond("501 Syntax: SITE EXPIRES 30m, 24h or 7d (at most 3650d), or off.")
        return
    session.files.expire_after(seconds * 10**9)
    session.respond(f"200 What you send from now on is gone after {argument.lower()}.")


@command(
    "SITE SEND",
    "send a stored file to a person or group; no byte of it is moved",
    source="pixraft",
    syntax="<path> <name>",
    right="r",
)
def site_send(session: Session, argument: str) -> None:
    """SITE SEND path name: the name is what follows the last blank."""
    path, _, name = argument.rpartition(" ")
    if not path or not name:
        session.respond("501 Syntax: SITE SEND path NAME.")
        return
    done = session.wait(session.files.send_file(session.files.resolve(path), name))
    if done.repeated:
        session.respond(f"200 {one_line(name)} has it already.")
    elif done.refused:
        session.respond(f"200 Sent to {done.accepted} of {done.accepted + done.refused} in {one_line(name)}.")
    else:
        session.respond(f"200 Sent to {one_line(name)}.")
