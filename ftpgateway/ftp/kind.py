"""FTP as a kind of front-end: what the node is told of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ftpgateway.ftp.settings import FtpSettings
from ftpgateway.serving.frontends import FrontendContext, FrontendKind, PassivePorts, PrivateFile
from raftstore.util.addresses import Address
from raftstore.util.settings import Mistake

if TYPE_CHECKING:
    from ftpgateway.ftp.server import FtpFrontend


class FtpKind(FrontendKind[FtpSettings]):
    """FTP and FTPS."""

    name = "ftp"
    settings = FtpSettings

    def services(self, settings: FtpSettings) -> Mapping[str, Address | None]:
        """Return where FTP, and FTPS that begins with TLS, listen."""
        return {"ftp": settings.listen, "ftps": settings.implicit_tls_listen}

    def build(self, context: FrontendContext, settings: FtpSettings) -> FtpFrontend:
        """Return the front-end."""
        from ftpgateway.ftp.server import FtpFrontend
        from raftstore.peers.security.expiry import CertificateEnd

        made = FtpFrontend(
            context.access,
            settings,
            transfers=context.transfers,
            proxy_networks=context.proxy_networks,
            sessions=context.sessions,
        )
        context.metrics.add(made.connections, protocol=self.name)
        if (certificate := settings.tls_certificate) is not None:
            context.metrics.add(CertificateEnd(certificate.read_bytes), certificate="ftps")
        return made

    def private_files(self, settings: FtpSettings) -> Iterator[PrivateFile]:
        """Yield the certificate, in whose file the key is."""
        if settings.tls_certificate is not None:
            yield PrivateFile(
                "tls_certificate", settings.tls_certificate, "the FTPS certificate", certificate=True
            )

    def passive_ports(self, settings: FtpSettings) -> PassivePorts | None:
        """Return the ports for passive data connections."""
        return (
            None if settings.passive_ports is None else PassivePorts("passive_ports", *settings.passive_ports)
        )

    def anonymous_root(self, settings: FtpSettings) -> str | None:
        """Return what the user anonymous sees."""
        return settings.anonymous_root if settings.anonymous else None

    def problems(self, settings: FtpSettings) -> Iterator[Mistake]:
        """Yield what is wrong with the certificate."""
        from ftpgateway.serving.certificates import mistakes

        if settings.tls_certificate is not None:
            yield from mistakes("tls_certificate", settings.tls_certificate)

    def warnings(self, settings: FtpSettings) -> Iterator[Mistake]:
        """Yield that the masquerade address is not found."""
        address = settings.masquerade_address
        if address and (reason := _not_found(address)):
            problem = f"{address}: {reason}; clients cannot open passive data connections before it has one"
            yield Mistake("masquerade_address", problem, "correct it, or its entry in the DNS")


def _not_found(host: str) -> str:
    """Look a host up as the FTP server does; return why it has no IPv4 address, "" where it has one."""
    try:
        socket.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return f"no IPv4 address is found ({error.strerror})"
    except UnicodeError:
        return "is no host name"
    return ""
