"""Who may read metrics: the token, and TLS."""

from __future__ import annotations

import hmac
import re
import ssl
from pathlib import Path

MOST_TOKEN_FILE = 4096
_TOKEN = re.compile(rb"[\x21-\x7e]{16,512}")


def read_token(file: Path) -> bytes:
    """Return the token of a file. Raises OSError, ValueError when there is none that could be sent."""
    with file.open("rb") as opened:
        text = opened.read(MOST_TOKEN_FILE).strip()
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{file} holds no token of 16 to 512 letters, digits and signs")
    return text


def server_context(certificate: Path) -> ssl.SSLContext:
    """Return a context for TLS 1.2 and later. Raises OSError, also (SSLError) when the file has no matching pair."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate)
    return context


def permits(token: bytes | None, authorization: str) -> bool:
    """Whether a request with this header Authorization has the token, where one is asked for."""
    if token is None:
        return True
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), token)
