"""SFTP as a kind of front-end: what the node is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ftpgateway.serving.frontends import ClusterCalls, FrontendContext, FrontendKind
from ftpgateway.sftp.settings import SftpSettings
from raftstore.util.addresses import Address

if TYPE_CHECKING:
    from ftpgateway.sftp.frontend import SftpFrontend


class SftpKind(FrontendKind[SftpSettings]):
    """SFTP; not offered without an address."""

    name = "sftp"
    settings = SftpSettings

    def services(self, settings: SftpSettings) -> Mapping[str, Address | None]:
        """Return where SFTP listens."""
        return {"sftp": settings.listen}

    def build(self, context: FrontendContext, settings: SftpSettings) -> SftpFrontend | None:
        """Return the front-end, None without an address."""
        from ftpgateway.sftp.frontend import SftpFrontend

        if settings.listen is None:
            return None
        made = SftpFrontend(
            context.cluster,
            context.access,
            settings,
            context.spools,
            transfers=context.transfers,
            proxy_networks=context.proxy_networks,
            sessions=context.sessions,
        )
        context.metrics.add(made.connections, protocol=self.name)
        return made

    def serve_calls(self, cluster: ClusterCalls) -> None:
        """Register the calls about host keys."""
        from ftpgateway.sftp.hostkeys import host_keys, rotate_host_keys

        cluster.answer((host_keys, rotate_host_keys), cluster)
