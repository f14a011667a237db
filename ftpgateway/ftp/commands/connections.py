"""Data connections: PASV, EPSV, PORT, EPRT, and ABOR that ends them."""

from __future__ import annotations

import errno
import ipaddress
from dataclasses import dataclass

from ftpgateway.access.ledger import Resource
from ftpgateway.ftp.gate import Beside, Phase
from ftpgateway.ftp.interface import Session, command


@dataclass(slots=True)
class _Method:
    """How data connections may be made."""

    only_extended_passive: bool = False
    """EPSV ALL was sent."""


def _data_allowed(session: Session, name: str) -> bool:
    if session.settings.require_tls and not session.link.protected:
        session.respond("521 This server requires encrypted data connections: use PBSZ 0 and PROT P first.")
        return False
    if name != "EPSV" and session.state(_Method).only_extended_passive:
        session.respond(f"501 {name} is not allowed after EPSV ALL.")
        return False
    return True


# Passive: the client connects to us.


@command("PASV", "tell where to connect to for the next transfer, IPv4", inline=True, data=True)
def pasv(session: Session, argument: str) -> None:
    """PASV."""
    if not _data_allowed(session, "PASV"):
        return
    if ":" in session.local:
        session.respond("425 PASV cannot tell an IPv6 address; use EPSV.")
        return
    reported = session.passive_address
    if reported is None:
        session.respond("425 The address to tell is not known yet; try again in a moment, or use EPSV.")
        return
    port = _listen(session)
    if port:
        reported = reported.replace(".", ",")
        session.respond(f"227 Entering passive mode ({reported},{port >> 8},{port & 255}).")


@command(
    "EPSV",
    "tell the port to connect to for the next transfer",
    source="RFC 2428",
    syntax="[1|2|ALL]",
    inline=True,
    data=True,
    feature="EPSV",
)
def epsv(session: Session, argument: str) -> None:
    """EPSV; after ALL, nothing else makes data connections (translating routers need not look any more)."""
    own = "2" if ":" in session.local else "1"
    if argument.upper() == "ALL":
        session.state(_Method).only_extended_passive = True
        session.respond("200 From now on only EPSV makes data connections.")
    elif argument not in ("", own):
        session.respond(f"522 Network protocol not supported, use ({own}).")
    elif _data_allowed(session, "EPSV") and (port := _listen(session)):
        session.respond(f"229 Entering extended passive mode (|||{port}|).")


def _listen(session: Session) -> int:
    """Listen for the client's data connection; return the port, 0 after a refusal."""
    session.link.close()
    charge = session.logged_in.charge(Resource.PORTS, 1)
    try:
        sock = session.link.listener(session.local, session.settings.passive_ports)
    except OSError as error:
        charge.release()
        session.events.warning("no passive port", error=errno.errorcode.get(error.errno or 0))
        session.respond("425 No free port for a data connection; try again in a moment.")
        return 0
    port = int(sock.getsockname()[1])
    session.link.listen(sock, session.peer, charge)
    return port


# Active: we connect to the client, when it sends the transfer command.


@command(
    "PORT",
    "connect to the client for the next transfer, IPv4",
    syntax="h1,h2,h3,h4,p1,p2",
    inline=True,
    data=True,
)
def port(session: Session, argument: str) -> None:
    """PORT."""
    if not _data_allowed(session, "PORT"):
        return
    fields = argument.split(",")
    if len(fields) != 6 or not all(_is_byte(field) for field in fields):
        session.respond("501 Syntax: PORT h1,h2,h3,h4,p1,p2, each from 0 to 255.")
        return
    _agree(session, ".".join(str(int(field)) for field in fields[:4]), int(fields[4]) << 8 | int(fields[5]))


@command(
    "EPRT",
    "connect to the client for the next transfer, IPv4 or IPv6",
    source="RFC 2428",
    syntax="|1|address|port|",
    inline=True,
    data=True,
    feature=lambda session: "EPRT" if session.settings.active_mode else "",
)
def eprt(session: Session, argument: str) -> None:
    """EPRT; any character may delimit."""
    if not _data_allowed(session, "EPRT"):
        return
    fields = argument.split(argument[0])
    if len(fields) != 5 or fields[4] or not fields[3].isascii() or not fields[3].isdigit():
        session.respond("501 Syntax: EPRT |protocol|address|port|.")
    elif fields[1] not in ("1", "2"):
        session.respond("522 Network protocol not supported, use (1,2).")
    elif (fields[1] == "2") != (":" in session.peer):
        session.respond(f"522 You came with the other protocol, use ({'2' if ':' in session.peer else '1'}).")
    else:
        _agree(session, fields[2], int(fields[3][:6]))


def _agree(session: Session, address: str, port: int) -> None:
    """Take where the client listens: at its own address, never elsewhere (bounce attack, RFC 2577)."""
    if not session.settings.active_mode:
        session.respond("502 Active mode is switched off here; use PASV or EPSV.")
        return
    try:
        given = ipaddress.ip_address(address)
        # lftp gives :: when it listens everywhere; it means itself.
        foreign = not given.is_unspecified and given != ipaddress.ip_address(session.peer)
    except ValueError:
        session.respond("501 That is not an address.")
        return
    if foreign or not 1024 <= port < 65536:
        session.events.warning("active data connection refused", to=address, port=port)
        session.respond("501 Data connections are made only to your own address, ports from 1024 to 65535.")
        return
    session.link.target(session.local, session.peer, port)
    session.respond("200 The next transfer connects to you there.")


@command(
    "ABOR", "end the transfer under way: 426, then 226; without one 225", inline=True, beside=Beside.PASSES
)
def abor(session: Session, argument: str) -> None:
    """ABOR: end a transfer under way (426, 226), or just the data connection (225)."""
    if session.transfer is not None and session.transfer.phase is Phase.MOVING:
        transfer = session.transfer
        if not transfer.connected:
            session.link.close()
        transfer.abort()
    elif session.link.exists:
        session.link.close()
        session.respond("225 Data connection closed.")
    else:
        session.link.close()  # it may still take what comes of a refused upload
        session.respond("225 No transfer to abort.")


def _is_byte(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text[:4]) < 256
