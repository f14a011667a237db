"""The web as a kind of front-end: what the node is told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ftpgateway.serving.frontends import FrontendContext, FrontendKind, PrivateFile
from ftpgateway.web.settings import WebSettings
from raftstore.util.addresses import Address
from raftstore.util.settings import Mistake

if TYPE_CHECKING:
    from ftpgateway.web.server import WebFrontend


class WebKind(FrontendKind[WebSettings]):
    """The web; not offered without an address."""

    name = "web"
    settings = WebSettings

    def services(self, settings: WebSettings) -> Mapping[str, Address | None]:
        """Return where the web listens."""
        return {"web": settings.listen}

    def build(self, context: FrontendContext, settings: WebSettings) -> WebFrontend | None:
        """Return the front-end, None without an address."""
        from ftpgateway.web.server import WebFrontend
        from raftstore.peers.security.expiry import CertificateEnd

        if settings.listen is None:
            return None
        made = WebFrontend(
            context.cluster,
            context.access,
            settings,
            transfers=context.transfers,
            proxy_networks=context.proxy_networks,
            open_sessions=context.sessions,
        )
        context.metrics.add(made.connections, protocol=self.name)
        if (certificate := settings.tls_certificate) is not None:
            context.metrics.add(CertificateEnd(certificate.read_bytes), certificate=self.name)
        return made

    def private_files(self, settings: WebSettings) -> Iterator[PrivateFile]:
        """Yield the certificate, in whose file the key is."""
        if settings.tls_certificate is not None:
            yield PrivateFile(
                "tls_certificate", settings.tls_certificate, "the certificate of the web", certificate=True
            )

    def problems(self, settings: WebSettings) -> Iterator[Mistake]:
        """Yield what is wrong with the certificate."""
        from ftpgateway.serving.certificates import mistakes

        if settings.listen is not None and settings.tls_certificate is not None:
            yield from mistakes("tls_certificate", settings.tls_certificate)
