"""When certificates end, as a metric."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from cryptography import x509

from raftstore.util.metrics import gauge


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
