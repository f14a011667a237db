"""When certificates end, as a metric and for the status."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from cryptography import x509

from raftstore.util.metrics import gauge

LOOK_EVERY = 10.0
"""The status is asked for by every node once a second."""


class CertificateEnd:
    """The end of one certificate; the label `certificate` says which."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        """`read` returns it as PEM, first of what may follow; it may raise OSError."""
        self._read = read

    @gauge(
        "pixraft_certificate_expiry_seconds",
        "Seconds until the certificate ends, negative after that; NaN where it cannot be read.",
        also=("certificate",),
    )
    def left(self) -> float:
        """Seconds."""
        try:
            certificate = x509.load_pem_x509_certificates(self._read())[0]
        except (OSError, ValueError):
            return math.nan
        return certificate.not_valid_after_utc.timestamp() - time.time()


class CertificateEnds:
    """When the certificates of a node end, by name: for the status. They are looked at every LOOK_EVERY seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reads: dict[str, Callable[[], bytes]] = {}
        self._ends: dict[str, int] = {}
        self._looked = -math.inf

    def add(self, name: str, read: Callable[[], bytes]) -> None:
        """Tell of another one: `read` as of CertificateEnd."""
        self._reads[name] = read
        self._looked = -math.inf

    def __call__(self) -> dict[str, int]:
        """Return seconds since the epoch by name; 0 where it cannot be read."""
        if self._clock() - self._looked >= LOOK_EVERY:
            self._looked = self._clock()
            self._ends = {name: end_of(read) for name, read in self._reads.items()}
        return self._ends


def end_of(read: Callable[[], bytes]) -> int:
    """Return when the first certificate of a PEM ends, in seconds since the epoch; 0: it cannot be read."""
    try:
        return int(x509.load_pem_x509_certificates(read())[0].not_valid_after_utc.timestamp())
    except (OSError, ValueError):
        return 0
