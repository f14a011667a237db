"""TLS of the FTPS side: one context for control and data connections, so that clients can resume.

The standard library's `ssl`, not pyOpenSSL as in pyftpdlib, because a data connection must send no TLS 1.3
session tickets: a client that only uploads never reads them, and a kernel that closes a socket with unread
data resets the connection and throws away what it had not sent yet (seen with lftp: uploads cut off after some
records). Only `ssl` can turn tickets off. The control connection still sends them, and they are good for data
connections.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import structlog

log = structlog.get_logger()

_TICKETS = 2
_UNREAD = (-1,)
"""Stands for a file that could not be read: it is tried again, though it has not changed."""


def server_context(certificate: Path) -> ssl.SSLContext:
    """Return a context for TLS 1.2 and later from a PEM file with key and chain.

    Raises OSError when the file cannot be read, ValueError when it holds no matching key and certificate.
    """
    if not stat.S_ISREG(certificate.stat().st_mode):
        raise ValueError(f"{certificate} is not a regular file")  # to read a pipe may take for ever
    certificate.read_bytes()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        # An encrypted key is refused. Without a password given, OpenSSL would ask the terminal for one, and wait.
        context.load_cert_chain(certificate, password="")
    except ssl.SSLError as error:
        raise ValueError(
            f"{certificate} must hold a private key, not encrypted, and its certificate chain"
        ) from error
    return context


class Certificate:
    """The certificate in use, and the file that it comes from: a new one there is taken without a restart.

    Connections that are there keep the context with which they began. A file that is no use, for example one that is
    half written, changes nothing: it is told once, and looked at again when it changes, or until it can be read.
    """

    def __init__(self, file: Path, interval: float, renewed: Callable[[ssl.SSLContext], None]) -> None:
        """Read the file. `interval` (seconds): how often it is looked at. Raises as `server_context`."""
        self._file = file
        self._interval = interval
        self._renewed = renewed
        self._seen = _signature(file)
        self._told = ""
        self._task: asyncio.Task[None] | None = None
        renewed(server_context(file))

    def start(self) -> None:
        """Begin to look at the file, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="certificate")

    async def stop(self) -> None:
        """Look no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self.look()

    async def look(self) -> bool:
        """Take the file if it has changed; return whether there is a new context."""
        signature = await asyncio.to_thread(_signature, self._file)
        if signature == self._seen:
            return False
        try:
            context = await asyncio.to_thread(server_context, self._file)
        except (OSError, ValueError) as error:
            self._seen = _UNREAD if isinstance(error, OSError) and signature is not None else signature
            if self._told != str(error):
                self._told = str(error)
                log.error(
                    "new certificate is no use, the old one stays", file=str(self._file), error=self._told
                )
            return False
        self._seen, self._told = signature, ""
        self._renewed(context)
        log.info("new certificate", file=str(self._file))
        return True


def _signature(file: Path) -> tuple[int, ...] | None:
    """Return what changes when the file does; None when it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


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
