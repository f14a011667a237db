"""TLS of the FTPS side: one context for control and data connections, so that clients can resume.

The standard library's `ssl`, not pyOpenSSL as in pyftpdlib, because a data connection must send no TLS 1.3
session tickets: a client that only uploads never reads them, and a kernel that closes a socket with unread
data resets the connection and throws away what it had not sent yet (seen with lftp: uploads cut off after some
records). Only `ssl` can turn tickets off. The control connection still sends them, and they are good for data
connections.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

_TICKETS = 2


def server_context(certificate: Path) -> ssl.SSLContext:
    """Return a context for TLS 1.2 and later from a PEM file with key and chain.

    Raises OSError when the file cannot be read, ValueError when it holds no matching key and certificate.
    """
    certificate.read_bytes()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.load_cert_chain(certificate)
    except ssl.SSLError as error:
        raise ValueError(f"{certificate} must hold a private key and its certificate chain") from error
    return context


def control_side(context: ssl.SSLContext, sock: socket.socket) -> ssl.SSLSocket:
    """Return TLS on a control connection, before its handshake. Raises OSError when the client is gone."""
    sock.getpeername()  # wrap_socket leaks a socket that is not connected any more
    context.num_tickets = _TICKETS
    return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)


def data_side(context: ssl.SSLContext, sock: socket.socket) -> ssl.SSLSocket:
    """Return TLS on a data connection, before its handshake. Raises OSError when the client is gone.

    Its end is told from a cut: without close_notify `recv_into` raises ssl.SSLEOFError.
    """
    sock.getpeername()
    context.num_tickets = 0
    return context.wrap_socket(
        sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
    )
