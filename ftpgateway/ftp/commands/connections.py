"""Data connections: PASV, EPSV, PORT, EPRT, and ABOR that ends them."""

from __future__ import annotations

import errno
import ipaddress

from ftpgateway.access.ledger import Resource
from ftpgateway.ftp.gate import Phase
from ftpgateway.ftp.session import BaseSession
from ftpgateway.ftp.table import command


class ConnectionCommands(BaseSession):
    """The commands that make and break data connections."""

    _only_extended_passive = False

    def _data_allowed(self, name: str) -> bool:
        if self.host.settings.require_tls and not self.protect_data:
            self.respond("521 This server requires encrypted data connections: use PBSZ 0 and PROT P first.")
            return False
        if self._only_extended_passive and name != "EPSV":
            self.respond(f"501 {name} is not allowed after EPSV ALL.")
            return False
        return True

    # Passive: the client connects to us.

    @command("PASV", "tell where to connect to for the next transfer, IPv4")
    def ftp_PASV(self, line: str) -> None:
        """PASV."""
        if not self._data_allowed("PASV"):
            return
        if ":" in self.local:
            self.respond("425 PASV cannot tell an IPv6 address; use EPSV.")
            return
        reported = self.local if self.host.masquerade is None else self.host.masquerade.address
        if reported is None:
            self.respond("425 The address to tell is not known yet; try again in a moment, or use EPSV.")
            return
        port = self._listen()
        if port:
            reported = reported.replace(".", ",")
            self.respond(f"227 Entering passive mode ({reported},{port >> 8},{port & 255}).")

    @command("EPSV", "tell the port to connect to for the next transfer", source="RFC 2428", syntax="[1|2|ALL]")
    def ftp_EPSV(self, line: str) -> None:
        """EPSV; after ALL, nothing else makes data connections (translating routers need not look any more)."""
        own = "2" if ":" in self.local else "1"
        if line.upper() == "ALL":
            self._only_extended_passive = True
            self.respond("200 From now on only EPSV makes data connections.")
        elif line not in ("", own):
            self.respond(f"522 Network protocol not supported, use ({own}).")
        elif self._data_allowed("EPSV") and (port := self._listen()):
            self.respond(f"229 Entering extended passive mode (|||{port}|).")

    def _listen(self) -> int:
        """Listen for the client's data connection; return the port, 0 after a refusal."""
        self.link.close()
        charge = self.session.charge(Resource.PORTS, 1)
        try:
            sock = self.link.listener(self.local, self.host.settings.passive_ports)
        except OSError as error:
            charge.release()
            self.events.warning("no passive port", error=errno.errorcode.get(error.errno or 0))
            self.respond("425 No free port for a data connection; try again in a moment.")
            return 0
        port = int(sock.getsockname()[1])
        self.link.listen(sock, self.peer, charge, secure=self.protect_data)
        return port

    # Active: we connect to the client, when it sends the transfer command.

    @command("PORT", "connect to the client for the next transfer, IPv4", syntax="h1,h2,h3,h4,p1,p2")
    def ftp_PORT(self, line: str) -> None:
        """PORT."""
        if not self._data_allowed("PORT"):
            return
        fields = line.split(",")
        if len(fields) != 6 or not all(_is_byte(field) for field in fields):
            self.respond("501 Syntax: PORT h1,h2,h3,h4,p1,p2, each from 0 to 255.")
            return
        self._agree(".".join(str(int(field)) for field in fields[:4]), int(fields[4]) << 8 | int(fields[5]))

    @command(
        "EPRT",
        "connect to the client for the next transfer, IPv4 or IPv6",
        source="RFC 2428",
        syntax="|1|address|port|",
    )
    def ftp_EPRT(self, line: str) -> None:
        """EPRT; any character may delimit."""
        if not self._data_allowed("EPRT"):
            return
        fields = line.split(line[0])
        if len(fields) != 5 or fields[4] or not fields[3].isascii() or not fields[3].isdigit():
            self.respond("501 Syntax: EPRT |protocol|address|port|.")
        elif fields[1] not in ("1", "2"):
            self.respond("522 Network protocol not supported, use (1,2).")
        elif (fields[1] == "2") != (":" in self.peer):
            self.respond(f"522 You came with the other protocol, use ({'2' if ':' in self.peer else '1'}).")
        else:
            self._agree(fields[2], int(fields[3][:6]))

    def _agree(self, address: str, port: int) -> None:
        """Take where the client listens: at its own address, never elsewhere (bounce attack, RFC 2577)."""
        if not self.host.settings.active_mode:
            self.respond("502 Active mode is switched off here; use PASV or EPSV.")
            return
        try:
            given = ipaddress.ip_address(address)
            # lftp gives :: when it listens everywhere; it means itself.
            foreign = not given.is_unspecified and given != ipaddress.ip_address(self.peer)
        except ValueError:
            self.respond("501 That is not an address.")
            return
        if foreign or not 1024 <= port < 65536:
            self.events.warning("active data connection refused", to=address, port=port)
            self.respond("501 Data connections are made only to your own address, ports from 1024 to 65535.")
            return
        self.link.target(self.local, self.peer, port, secure=self.protect_data)
        self.respond("200 The next transfer connects to you there.")

    @command("ABOR", "end the transfer under way: 426, then 226; without one 225")
    def ftp_ABOR(self, line: str) -> None:
        """ABOR: end a transfer under way (426, 226), or just the data connection (225)."""
        if self.transfer is not None and self.transfer.phase is Phase.MOVING:
            transfer = self.transfer
            if not transfer.connected:
                self.link.close()
            transfer.abort()
        elif self.link.exists:
            self.link.close()
            self.respond("225 Data connection closed.")
        else:
            self.link.close()  # it may still take what comes of a refused upload
            self.respond("225 No transfer to abort.")


def _is_byte(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text[:4]) < 256
