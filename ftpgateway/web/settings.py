"""What the web front-end must be told: the section [web], and what only code and tests set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raftstore.util.addresses import Address
from raftstore.util.networks import Network
from raftstore.util.settings import Mistake, declared, kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Pages to look at pictures, upload and send them, over HTTP or HTTPS.

    Times are in seconds, sizes in bytes. A request's head must be whole within `head_timeout`; an idle connection ends
    after `idle_timeout`. Of a body, or of a reply, 4 KiB must go on within `stall_timeout`, as far as that is up to the
    client. A form without files comes within `form_timeout`. A session that nobody uses is kept at this node for
    `session_kept`, then it is opened again when it is needed.
    """

    listen: Address | None = declared(
        kinds.ADDRESS_OR_EMPTY,
        'Address of the web server; "" offers no web. Anything but loopback needs `tls_certificate`, or '
        "`trusted_proxies` that speak TLS to the clients.",
        "",
    )
    public_url: str = declared(
        kinds.URL_OR_EMPTY,
        'How browsers reach the web when that is not the address itself, "https://pictures.example.org". Requests that '
        "change something are taken from its pages only.",
        "",
    )
    trusted_proxies: tuple[Network, ...] = declared(
        kinds.NETWORKS,
        "Networks of reverse proxies, separated by commas: what they say of the client in X-Forwarded-For and "
        "X-Forwarded-Proto is believed. Nobody else is.",
        "",
    )
    tls_certificate: Path | None = declared(
        kinds.FILE_OR_EMPTY,
        "PEM file with private key and certificate chain: then it is HTTPS. A new one is taken within half a minute.",
        "",
    )
    session_time: int = declared(
        kinds.integer(300, 366 * 86_400),
        "Seconds after which somebody has to sign in again. A session holds at every node.",
        7 * 86_400,
    )
    max_connections: int = declared(
        kinds.integer(1, 100_000),
        "Connections at once on this node. An account has at most three quarters of them.",
        2000,
    )
    max_connections_per_address: int = declared(
        kinds.integer(0, 100_000), "Of these, connections of one address. 0: as many as there may be.", 0
    )
    max_signing_in: int = declared(
        kinds.integer(1, 100_000),
        "Of these, connections on which nobody has signed in, three quarters of them from one address. One more "
        "replaces the oldest that has sent nothing, of the address that has most.",
        500,
    )
    head_timeout: float = 15.0
    idle_timeout: int = 60
    stall_timeout: float = 120.0
    form_timeout: float = 20.0
    head_bytes: int = 32 * 1024
    session_kept: float = 300.0
    pictures_at_once: int = 8
    """Pictures that are sent to one session together; more of them wait."""
    certificate_interval: float = 30.0
    wait_limit: float = 60.0

    def mistakes(self) -> Iterator[Mistake]:
        """Yield that passwords and pictures would go through the network as they are."""
        plain = self.tls_certificate is None and not self.trusted_proxies
        if self.listen is not None and not self.listen.is_loopback and plain:
            yield Mistake(
                "listen",
                f"{self.listen} is not loopback: passwords would go through the network unencrypted",
                "set web.tls_certificate, or web.trusted_proxies for proxies with TLS, or listen on 127.0.0.1",
            )
