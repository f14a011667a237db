"""What metrics and health must be told: the section [metrics]."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raftstore.util.addresses import Address
from raftstore.util.settings import Mistake, declared, kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Metrics for Prometheus (`/metrics`) and health for balancers (`/livez`, `/readyz`), over HTTP.

    Times are in seconds, sizes in bytes.
    """

    listen: Address | None = declared(
        kinds.ADDRESS_OR_EMPTY,
        'Address of the HTTP server for metrics and health; "" offers neither. `pixraft init` takes 127.0.0.1:9420 for '
        "nodes on machines of their own. Anything but loopback needs `credentials_file` or `tls_certificate`.",
        "",
    )
    credentials_file: Path | None = declared(
        kinds.FILE_OR_EMPTY,
        "File with a token of 16 to 512 letters, digits and signs. Then `/metrics`, and details of health, are for who "
        "sends it (`Authorization: Bearer TOKEN`); whether the node is alive and ready everybody is told.",
        "",
    )
    tls_certificate: Path | None = declared(
        kinds.FILE_OR_EMPTY, "PEM file with private key and certificate chain: then it is HTTPS.", ""
    )
    accounts: bool = declared(kinds.BOOLEAN, "Also say how many sessions each account has, by its name.", False)
    max_connections: int = 32
    head_bytes: int = 8192
    request_timeout: float = 5.0
    reply_timeout: float = 10.0

    def mistakes(self) -> Iterator[Mistake]:
        """Yield that strangers could read it."""
        open_to_all = self.listen is not None and not self.listen.is_loopback
        if open_to_all and self.credentials_file is None and self.tls_certificate is None:
            yield Mistake(
                "listen",
                f"{self.listen} is not loopback: strangers could read how the cluster is",
                "set metrics.credentials_file or metrics.tls_certificate, or listen on 127.0.0.1",
            )
