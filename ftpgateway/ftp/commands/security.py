"""TLS: AUTH, PBSZ, PROT (RFC 4217)."""

from __future__ import annotations

from dataclasses import dataclass

from ftpgateway.ftp.gate import Beside
from ftpgateway.ftp.interface import Session, command
from ftpgateway.ftp.tls import TOO_MANY_HANDSHAKES


@dataclass(slots=True)
class _BufferSize:
    """PBSZ."""

    is_set: bool = False


@command(
    "AUTH",
    "encrypt the control connection",
    source="RFC 4217",
    syntax="TLS",
    login=False,
    tls=True,
    inline=True,
    beside=Beside.WAITS,
    feature="AUTH TLS",
)
def auth(session: Session, argument: str) -> None:
    """AUTH TLS: what was sent in clear after it is thrown away."""
    if session.secured:
        session.respond("503 The control connection is encrypted already.")
    elif argument.upper() not in ("TLS", "TLS-C", "TLS-P", "SSL"):
        session.respond("504 Use AUTH TLS.")
    elif not session.may_shake_hands():
        session.end_with(f"421 {TOO_MANY_HANDSHAKES}")
    elif (context := session.tls_context()) is None:
        session.respond("431 TLS cannot be set up now; try again in a moment.")
    else:
        session.forget_queue()
        session.respond("234 Ready for the TLS handshake.")
        session.secure(context)


@command(
    "PBSZ",
    "accepted before PROT; PROT works without it",
    source="RFC 4217",
    syntax="0",
    login=False,
    tls=True,
    inline=True,
    beside=Beside.WAITS,
    feature="PBSZ",
)
def pbsz(session: Session, argument: str) -> None:
    """PBSZ: always 0."""
    if not session.secured:
        session.respond("503 Send AUTH TLS first.")
    elif not (argument.isascii() and argument.isdigit()):
        session.respond("501 Syntax: PBSZ 0.")
    else:
        session.state(_BufferSize).is_set = True
        session.respond("200 PBSZ=0")


@command(
    "PROT",
    "encrypt data connections (P) or not (C)",
    source="RFC 4217",
    syntax="P|C",
    login=False,
    tls=True,
    inline=True,
    beside=Beside.WAITS,
    feature="PROT",
)
def prot(session: Session, argument: str) -> None:
    """PROT: encrypt data connections (P) or not (C)."""
    level = argument.upper()
    if not session.secured:
        session.respond("503 Send AUTH TLS first.")
    elif level == "C" and session.settings.require_tls:
        session.respond("534 This server requires encrypted data connections.")
    elif level in ("C", "P"):
        buffer_size = session.state(_BufferSize)
        if not (buffer_size.is_set or session.implicit_tls):
            # RFC 4217 wants PBSZ first, which can only say 0; devices leave it out, other servers do not mind.
            buffer_size.is_set = True
            session.events.info("PROT without PBSZ accepted")
        session.link.protect(level == "P")
        session.respond(f"200 Data connections are {'encrypted' if level == 'P' else 'not encrypted'}.")
    elif level in ("S", "E"):
        session.respond("536 Use PROT P or PROT C.")
    else:
        session.respond("504 Use PROT P or PROT C.")


@command(
    "CCC",
    "refused: the control connection stays encrypted",
    source="RFC 4217",
    login=False,
    tls=True,
    inline=True,
)
def ccc(session: Session, argument: str) -> None:
    """CCC: never."""
    if session.secured:
        session.respond("534 The control connection stays encrypted.")
    else:
        session.respond("533 The control connection is not encrypted.")
