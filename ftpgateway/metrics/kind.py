"""Metrics and health as a kind of front-end: what the node is told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ftpgateway.metrics.settings import MetricsSettings
from ftpgateway.serving.frontends import FrontendContext, FrontendKind, PrivateFile
from raftstore.util.addresses import Address
from raftstore.util.settings import Mistake

if TYPE_CHECKING:
    from ftpgateway.metrics.server import MetricsServer


class MetricsKind(FrontendKind[MetricsSettings]):
    """Metrics and health; not offered without an address."""

    name = "metrics"
    settings = MetricsSettings
    for_clients = False

    def services(self, settings: MetricsSettings) -> Mapping[str, Address | None]:
        """Return where it listens."""
        return {"metrics": settings.listen}

    def build(self, context: FrontendContext, settings: MetricsSettings) -> MetricsServer | None:
        """Return the server, None without an address. Raises OSError, ValueError when a file cannot be used."""
        from ftpgateway.metrics.access import read_token, server_context
        from ftpgateway.metrics.answers import Answers
        from ftpgateway.metrics.server import MetricsServer
        from ftpgateway.serving.exposition import Exposition
        from raftstore.peers.security.expiry import CertificateEnd

        if settings.listen is None or context.checks is None:
            return None
        if settings.accounts:
            context.metrics.add(context.access.account_sessions())
        token = read_token(settings.credentials_file) if settings.credentials_file is not None else None
        tls = None
        if (certificate := settings.tls_certificate) is not None:
            tls = server_context(certificate)
            pem = certificate.read_bytes()
            context.metrics.add(CertificateEnd(lambda: pem), certificate=self.name)
        answers = Answers(Exposition(context.metrics, process=True), context.checks, token)
        return MetricsServer(settings.listen, answers, settings, tls)

    def private_files(self, settings: MetricsSettings) -> Iterator[PrivateFile]:
        """Yield token and certificate, in whose file the key is."""
        if settings.credentials_file is not None:
            yield PrivateFile("credentials_file", settings.credentials_file, "the token for metrics")
        if settings.tls_certificate is not None:
            what = "the certificate for metrics"
            yield PrivateFile("tls_certificate", settings.tls_certificate, what, certificate=True)

    def problems(self, settings: MetricsSettings) -> Iterator[Mistake]:
        """Yield what is wrong with the files."""
        from ftpgateway.metrics.access import read_token, server_context

        if settings.listen is None:
            return
        try:
            if settings.credentials_file is not None:
                read_token(settings.credentials_file)
        except (OSError, ValueError) as error:
            yield Mistake("credentials_file", str(error), "openssl rand -hex 32 > FILE; chmod 600 FILE")
        try:
            if settings.tls_certificate is not None:
                server_context(settings.tls_certificate)
        except OSError as error:
            remedy = "put key, certificate and intermediate certificates into it, as PEM"
            yield Mistake("tls_certificate", str(error), remedy)
