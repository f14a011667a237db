"""The commands of a session, by concern: login, connection and settings here; names and transfers beside it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import ipaddress
from typing import Any, ClassVar

import structlog

from ftpgateway.ftp.filesystem import Workspace
from ftpgateway.ftp.gate import Phase
from ftpgateway.ftp.listings import FACTS
from ftpgateway.ftp.movers import TransferCommands
from ftpgateway.ftp.pyftp import stock_commands
from ftpgateway.ftp.tls import control_side
from raftstore.errors import StoreError, Unavailable
from raftstore.types import User

log = structlog.get_logger()

_TLS_COMMANDS = {
    "AUTH": "Syntax: AUTH <SP> TLS (encrypt the control connection).",
    "PBSZ": "Syntax: PBSZ <SP> 0 (needed before PROT).",
    "PROT": "Syntax: PROT <SP> [C|P] (encrypt data connections or not).",
}


def commands(*, tls: bool) -> dict[str, dict[str, Any]]:
    """Return the commands that a session knows."""
    table = stock_commands()
    if tls:
        for name, text in _TLS_COMMANDS.items():
            table[name] = {"perm": None, "auth": False, "arg": True, "help": text}
    table["OPTS"] = {**table["OPTS"], "auth": False}
    table["ALLO"] = {**table["ALLO"], "help": "Syntax: ALLO <SP> bytes (ask whether they fit)."}
    return table


class Session(TransferCommands):
    """A session with all its commands."""

    proto_cmds: ClassVar[dict[str, dict[str, Any]]] = commands(tls=True)

    # Login.

    def ftp_USER(self, line: str) -> None:
        """USER: begin to log in, forgetting an earlier login."""
        if self.host.settings.require_tls and not self.secured:
            self.respond("530 This server requires encryption: use AUTH TLS first.")
            return
        if self.user is not None:
            self._forget_login()
        self.username = line
        self.respond("331 Username ok, send password.")

    def ftp_PASS(self, line: str) -> None:
        """PASS: log in."""
        if self.user is not None:
            self.respond("503 You are logged in already.")
            return
        if not self.username:
            self.respond("503 Log in with USER first.")
            return
        name, self.username = self.username, ""
        try:
            user = self.wait(self._login(name, line))
        except Unavailable:
            self.end_with("421 Too many logins at once; try again in a moment.")
            return
        except StoreError:
            self.end_with(
                "421 Too few nodes of the cluster can be reached; try again later or at another node."
            )
            return
        if not self.alive:
            return
        if user is None:
            self._refuse_login(name)
            return
        self.user = user
        self.place = Workspace(self.host.store, user)
        self.attempted_logins = 0
        self.set_idle_timer(self.host.settings.idle_timeout)
        self.respond("230 Login successful.")
        log.info("login", session=self.number, user=name, peer=self.peer, tls=self.secured)

    async def _login(self, name: str, password: str) -> User | None:
        user = await self.host.credentials.login(name, password)
        if user is None:
            await asyncio.sleep(self.host.settings.failed_login_delay)
        else:
            await Workspace(self.host.store, user).make_home()
        return user

    def _refuse_login(self, name: str) -> None:
        self.attempted_logins += 1
        log.warning(
            "login refused", session=self.number, user=name, peer=self.peer, attempt=self.attempted_logins
        )
        if self.attempted_logins >= self.host.settings.max_login_attempts:
            self.end_with("421 Wrong user name or password, too often; goodbye.")
        else:
            self.respond("530 Wrong user name or password.")

    def _forget_login(self) -> None:
        self.link.close()
        self.user = None
        self.place = None
        self.username = ""
        self.marker = 0
        self.announced = None
        self.rename_from = None
        self.set_idle_timer(self.host.settings.login_timeout)

    def ftp_REIN(self, line: str) -> None:
        """REIN: back to the state before USER."""
        self._forget_login()
        self.respond("220 Ready for a new user.")

    def ftp_QUIT(self, line: str) -> None:
        """QUIT."""
        self.forget_queue()
        self.end_with("221 Goodbye.")

    # TLS.

    def ftp_AUTH(self, line: str) -> None:
        """AUTH TLS: what was sent in clear after it is thrown away."""
        context = self.host.context
        if self.secured:
            self.respond("503 The control connection is encrypted already.")
        elif line.upper() not in ("TLS", "TLS-C", "TLS-P", "SSL") or context is None:
            self.respond("504 Use AUTH TLS.")
        else:
            self.forget_queue()
            self.respond("234 Ready for the TLS handshake.")
            self.start_tls(functools.partial(control_side, context))

    def ftp_PBSZ(self, line: str) -> None:
        """PBSZ: always 0."""
        if not self.secured:
            self.respond("503 Send AUTH TLS first.")
        else:
            self.buffer_size_set = True
            self.respond("200 PBSZ=0")

    def ftp_PROT(self, line: str) -> None:
        """PROT: encrypt data connections (P) or not (C)."""
        level = line.upper()
        if not self.buffer_size_set:
            self.respond("503 Send AUTH TLS and PBSZ 0 first.")
        elif level in ("C", "P"):
            self.protect_data = level == "P"
            self.respond(f"200 Data connections are {'encrypted' if self.protect_data else 'not encrypted'}.")
        elif level in ("S", "E"):
            self.respond("536 Use PROT P or PROT C.")
        else:
            self.respond("504 Use PROT P or PROT C.")

    # Data connections.

    def _data_allowed(self) -> bool:
        if self.host.settings.require_tls and not self.protect_data:
            self.respond("521 This server requires encrypted data connections: use PBSZ 0 and PROT P first.")
            return False
        return True

    def open_passive(self, extended: bool) -> None:
        """PASV, EPSV: listen for the client's data connection."""
        if not self._data_allowed():
            return
        local = self.local
        if ":" in local and not extended:
            self.respond("425 PASV cannot tell an IPv6 address; use EPSV.")
            return
        try:
            sock = self.link.listener(local, self.host.settings.passive_ports)
        except OSError as error:
            log.warning("no passive port", session=self.number, error=errno.errorcode.get(error.errno or 0))
            self.respond("425 No free port for a data connection; try again in a moment.")
            return
        port = sock.getsockname()[1]
        self.link.listen(sock, self.peer, secure=self.protect_data)
        if extended:
            self.respond(f"229 Entering extended passive mode (|||{port}|).")
            return
        told = (self.host.masquerade or local).replace(".", ",")
        self.respond(f"227 Entering passive mode ({told},{port >> 8},{port & 255}).")

    def ftp_EPSV(self, line: str) -> None:
        """EPSV [1|2|ALL]."""
        own = "2" if ":" in self.local else "1"
        if line.upper() == "ALL":
            self.forbid_other_than_epsv()
            self.respond("200 From now on only EPSV makes data connections.")
        elif line in ("", own):
            self.open_passive(True)
        else:
            self.respond(f"522 Network protocol not supported, use ({own}).")

    def open_active(self, address: str, port: int) -> None:
        """PORT, EPRT: connect to the client itself, never elsewhere (bounce attack, RFC 2577)."""
        if not self._data_allowed():
            return
        try:
            foreign = ipaddress.ip_address(address) != ipaddress.ip_address(self.peer)
        except ValueError:
            self.respond("501 That is not an address.")
            return
        if foreign or port < 1024:
            log.warning(
                "active data connection refused", session=self.number, peer=self.peer, to=address, port=port
            )
            self.respond("501 Data connections are made only to your own address, ports from 1024.")
            return
        self.link.connect(self.local, self.peer, port, self._connected, secure=self.protect_data)

    def _connected(self, success: bool) -> None:
        if success:
            self.respond("200 Data connection established.")
        else:
            self.respond("425 Cannot connect to you; use PASV or EPSV.")
        self._advance()

    # While a transfer is under way.

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
            self.respond("225 No transfer to abort.")

    def status_lines(self) -> list[str]:
        """Return what STAT without argument tells."""
        lines = [f"Logged in as: {self.user.name}" if self.user is not None else "Not logged in."]
        lines.append(f"Control connection: {'encrypted' if self.secured else 'not encrypted'}.")
        transfer = self.transfer
        if transfer is None:
            lines.append("No transfer under way.")
        elif transfer.phase is Phase.SETTLING:
            lines.append(
                f"{transfer.command}: {transfer.moved} bytes moved, waiting for the cluster to confirm."
            )
        else:
            lines.append(f"{transfer.command}: {transfer.moved} bytes moved so far.")
        return lines

    # Settings.

    def ftp_TYPE(self, line: str) -> None:
        """TYPE: accepted and without effect; pictures are never converted."""
        kind = line.upper().replace(" ", "")
        if kind in ("A", "AN", "L7"):
            self.respond("200 Type set to ASCII; files are transferred unchanged all the same.")
        elif kind in ("I", "L8"):
            self.respond("200 Type set to binary.")
        else:
            self.respond("504 Unsupported type; use I.")

    def ftp_NOOP(self, line: str) -> None:
        """NOOP."""
        self.respond("200 Nothing done.")

    def ftp_OPTS(self, line: str) -> None:
        """OPTS UTF8 [ON], OPTS MLST facts."""
        command, _, argument = line.partition(" ")
        if command.upper() in ("UTF8", "UTF-8"):
            if argument.upper() in ("", "ON"):
                self.respond("200 Always in UTF8 mode.")
            else:
                self.respond("504 Names are always UTF-8.")
        elif command.upper() == "MLST":
            wanted = {fact.lower() for fact in argument.split(";")}
            self.facts = [fact for fact in FACTS if fact in wanted]
            self.respond("200 MLST OPTS " + "".join(f"{fact};" for fact in self.facts))
        else:
            self.respond("501 Only UTF8 and MLST have options.")

    def ftp_FEAT(self, line: str) -> None:
        """FEAT: what is there beyond RFC 959."""
        facts = "".join(f"{fact}{'*' if fact in self.facts else ''};" for fact in FACTS)
        features = ["EPRT", "EPSV", "MDTM", "MFMT", f"MLST {facts}", "REST STREAM", "SIZE", "TVFS", "UTF8"]
        if self.host.context is not None:
            features += ["AUTH TLS", "PBSZ", "PROT"]
        self.push("211-Features supported:\r\n" + "".join(f" {feature}\r\n" for feature in sorted(features)))
        self.respond("211 End FEAT.")

    def ending(self) -> None:
        """See the base class."""
        with contextlib.suppress(AttributeError):
            self.password = ""
        super().ending()
