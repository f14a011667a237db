"""TLS: AUTH, PBSZ, PROT (RFC 4217)."""

from __future__ import annotations

import functools

from ftpgateway.ftp.session import BaseSession
from ftpgateway.ftp.table import command
from ftpgateway.ftp.tls import control_side


class SecurityCommands(BaseSession):
    """The commands that encrypt control and data connections."""

    @command("AUTH", "encrypt the control connection", source="RFC 4217", syntax="TLS", login=False, tls=True)
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

    @command("PBSZ", "needed before PROT", source="RFC 4217", syntax="0", login=False, tls=True)
    def ftp_PBSZ(self, line: str) -> None:
        """PBSZ: always 0."""
        if not self.secured:
            self.respond("503 Send AUTH TLS first.")
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
        if not self.buffer_size_set:
            self.respond("503 Send AUTH TLS and PBSZ 0 first.")
        elif level in ("C", "P"):
            self.protect_data = level == "P"
            self.respond(f"200 Data connections are {'encrypted' if self.protect_data else 'not encrypted'}.")
        elif level in ("S", "E"):
            self.respond("536 Use PROT P or PROT C.")
        else:
            self.respond("504 Use PROT P or PROT C.")
