"""TLS: AUTH, PBSZ, PROT (RFC 4217)."""

from __future__ import annotations

import functools
import ssl

from ftpgateway.ftp.session import BaseSession
from ftpgateway.ftp.table import command
from ftpgateway.ftp.tls import control_side

TOO_MANY_HANDSHAKES = "Too many TLS handshakes at once; try again in a moment."


class SecurityCommands(BaseSession):
    """The commands that encrypt control and data connections."""

    _greeting_due = False

    @command("AUTH", "encrypt the control connection", source="RFC 4217", syntax="TLS", login=False, tls=True)
    def ftp_AUTH(self, line: str) -> None:
        """AUTH TLS: what was sent in clear after it is thrown away."""
        if self.secured:
            self.respond("503 The control connection is encrypted already.")
        elif line.upper() not in ("TLS", "TLS-C", "TLS-P", "SSL"):
            self.respond("504 Use AUTH TLS.")
        elif not self.host.may_shake_hands(self):
            self.end_with(f"421 {TOO_MANY_HANDSHAKES}")
        elif (context := self._control_context()) is None:
            self.respond("431 TLS cannot be set up now; try again in a moment.")
        else:
            self.forget_queue()
            self.respond("234 Ready for the TLS handshake.")
            self._secure(context)

    def begin_secured(self) -> None:
        """TLS at once, on the port for that: then the greeting. Data connections are encrypted, too."""
        if not self.host.may_shake_hands(self):
            self.events.warning("session refused", reason=TOO_MANY_HANDSHAKES)
            self.close()
            return
        self._greeting_due = True
        self.buffer_size_set = self.protect_data = True
        context = self._control_context()
        if context is None:
            self.close()
        else:
            self._secure(context)

    def _control_context(self) -> ssl.SSLContext | None:
        try:
            return self.host.control_context()
        except (OSError, ValueError) as error:
            self.events.warning("tls cannot be set up", error=str(error))
            return None

    def _secure(self, context: ssl.SSLContext) -> None:
        # Later connections of this session go on with the same: only that can resume its TLS sessions.
        self.link.context = context
        self.start_tls(functools.partial(control_side, context))

    def handshake_over(self) -> None:
        """See the base class."""
        super().handshake_over()
        if self._greeting_due:
            self._greeting_due = False
            self.handle()

    @command(
        "PBSZ",
        "accepted before PROT; PROT works without it",
        source="RFC 4217",
        syntax="0",
        login=False,
        tls=True,
    )
    def ftp_PBSZ(self, line: str) -> None:
        """PBSZ: always 0."""
        if not self.secured:
            self.respond("503 Send AUTH TLS first.")
        elif not (line.isascii() and line.isdigit()):
            self.respond("501 Syntax: PBSZ 0.")
        else:
            self.buffer_size_set = True
            self.respond("200 PBSZ=0")

    @command(
        "PROT",
        "encrypt data connections (P) or not (C)",
        source="RFC 4217",
        syntax="P|C",
        login=False,
        tls=True,
    )
    def ftp_PROT(self, line: str) -> None:
        """PROT: encrypt data connections (P) or not (C)."""
        level = line.upper()
        if not self.secured:
            self.respond("503 Send AUTH TLS first.")
        elif level == "C" and self.host.settings.require_tls:
            self.respond("534 This server requires encrypted data connections.")
        elif level in ("C", "P"):
            if not self.buffer_size_set:
                # RFC 4217 wants PBSZ first, which can only say 0; devices leave it out, other servers do not mind.
                self.buffer_size_set = True
                self.events.info("PROT without PBSZ accepted")
            self.protect_data = level == "P"
            self.link.protect(self.protect_data)
            self.respond(f"200 Data connections are {'encrypted' if self.protect_data else 'not encrypted'}.")
        elif level in ("S", "E"):
            self.respond("536 Use PROT P or PROT C.")
        else:
            self.respond("504 Use PROT P or PROT C.")

    @command(
        "CCC",
        "refused: the control connection stays encrypted",
        source="RFC 4217",
        login=False,
        tls=True,
    )
    def ftp_CCC(self, line: str) -> None:
        """CCC: never."""
        if self.secured:
            self.respond("534 The control connection stays encrypted.")
        else:
            self.respond("533 The control connection is not encrypted.")
