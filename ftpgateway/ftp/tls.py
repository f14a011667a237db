"""The TLS context of the FTPS side."""

from __future__ import annotations

from pathlib import Path

from OpenSSL import SSL

_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!eNULL:!SHA1"


def server_context(certificate: Path) -> SSL.Context:
    """Return a context for TLS 1.2 and later from a PEM file with key and chain.

    Raises OSError when the file cannot be read, ValueError when it holds no matching key and certificate.
    Clients may resume the control connection's TLS session on data connections; they need not.
    """
    certificate.read_bytes()
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_cipher_list(_CIPHERS)
    context.set_session_id(b"pixraft-ftp")
    context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
    try:
        context.use_certificate_chain_file(str(certificate))
        context.use_privatekey_file(str(certificate))
        context.check_privatekey()
    except SSL.Error as error:
        raise ValueError(f"{certificate} must hold a private key and its certificate chain") from error
    return context
