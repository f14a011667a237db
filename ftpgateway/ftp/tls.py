"""TLS of the FTPS side: one context for control and data connections, so that clients can resume.

The standard library's `ssl`, not pyOpenSSL as in pyftpdlib, because a data connection must send no TLS 1.3
session tickets: a client that only uploads never reads them, and a kernel that closes a socket with unread
data resets the connection and throws away what it had not sent yet (seen with lftp: uploads cut off after some
records). Only `ssl` can turn tickets off. The control connection still sends them, and they are good for data
connections.

Where data connections must resume, each control connection has a context of its own: the keys of its tickets and its
cache of sessions are then its own, too, so that a session of any other one is as good as none. (`ssl` has no way to set
OpenSSL's session id context, which would tell sessions of one context apart.) A context takes 19 KB and 0.7 ms. A
data connection that resumes nothing is refused within its handshake, before it is given a session that it could resume
on the next one.
"""

from __future__ import annotations

import socket
import ssl

from ftpgateway.serving.certificates import ServerIdentity

TOO_MANY_HANDSHAKES = "Too many TLS handshakes at once; try again in a moment."

_TICKETS = 2


class _DataSocket(ssl.SSLSocket):
    """TLS on a data connection."""

    new_session = False
    """Whether it was refused since it resumed nothing."""


def _only_resumed(
    sock: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext
) -> int | None:
    """Refuse a data connection that resumes no session, at its ClientHello (also where that names no server)."""
    if isinstance(sock, _DataSocket) and not sock.session_reused:
        sock.new_session = True
        return ssl.AlertDescription.ALERT_DESCRIPTION_ACCESS_DENIED
    return None


def tied_context(identity: ServerIdentity) -> ssl.SSLContext:
    """Return a context for one control connection, whose sessions its data connections have to resume."""
    context = identity.separate_context()
    context.sni_callback = _only_resumed
    return context


def refused_as_new(sock: ssl.SSLSocket) -> bool:
    """Return whether a data connection failed since it resumed no session of its control connection."""
    return isinstance(sock, _DataSocket) and sock.new_session


def control_side(context: ssl.SSLContext, sock: socket.socket) -> ssl.SSLSocket:
    """Return TLS on a control connection, before its handshake. Raises OSError when the client is gone."""
    sock.getpeername()  # wrap_socket leaks a socket that is not connected any more
    context.num_tickets = _TICKETS
    context.sslsocket_class = ssl.SSLSocket
    return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)


def data_side(context: ssl.SSLContext, sock: socket.socket) -> ssl.SSLSocket:
    """Return TLS on a data connection, before its handshake. Raises OSError when the client is gone.

    Its end is told from a cut: without close_notify `recv_into` raises ssl.SSLEOFError.
    """
    sock.getpeername()
    context.num_tickets = 0
    context.sslsocket_class = _DataSocket
    return context.wrap_socket(
        sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
    )
