"""Data connections as byte streams, plain or TLS, with one meaning for both.

`recv_into` returns 0 only for a clean end of data (FIN; with TLS close_notify), raises BlockingIOError when
nothing is there and another OSError when the connection broke: reset, or TLS cut off without close_notify.
`send` and `send_file` return how much went out, raise BlockingIOError when nothing could.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import struct
from typing import Protocol

from ftpgateway.ftp.tls import refused_as_new

_RECORD = 16384
_FILE_BLOCK = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


class Stream(Protocol):
    """A connected, non-blocking stream."""

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        ...

    def no_delay(self) -> None:
        """Send what there is at once (TCP_NODELAY)."""
        ...

    def acknowledge_at_once(self) -> None:
        """Let no client wait for the kernel to acknowledge what came."""
        ...

    def recv_into(self, view: memoryview) -> int:
        """Receive into `view`; see the module."""
        ...

    def send(self, view: memoryview) -> int:
        """Send from `view`; see the module."""
        ...

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Send up to `count` bytes at `offset` of the file `fd`; see the module."""
        ...

    def pending(self) -> bool:
        """Whether `recv_into` has something to tell that the descriptor does not show."""
        ...

    def finish(self) -> bool:
        """End our side in order. True: nothing more is to come, the socket is closed. False: `linger` on it."""
        ...

    def linger(self) -> bool:
        """After `finish`: discard what comes; True when the socket is closed."""
        ...

    def reset(self) -> None:
        """Close so that the peer cannot take what it got for the whole (RST)."""
        ...


class PlainStream:
    """A TCP connection."""

    __slots__ = ("_socket", "fileno", "recv_into", "send")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.fileno = sock.fileno
        self.recv_into = sock.recv_into
        self.send = sock.send

    def no_delay(self) -> None:
        """Send what there is at once."""
        no_delay(self._socket)

    def acknowledge_at_once(self) -> None:
        """Nobody waits: a client has sent nothing that it keeps its data back for."""

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Send from a file without a copy in between."""
        sent = os.sendfile(self._socket.fileno(), fd, offset, count)
        if not sent:
            raise OSError(errno.EIO, "the file is shorter than it should be")
        return sent

    def pending(self) -> bool:
        """Nothing is hidden."""
        return False

    def finish(self) -> bool:
        """Close: the kernel sends what is left, then FIN."""
        self._socket.close()
        return True

    def linger(self) -> bool:
        """Nothing to wait for."""
        return True

    def reset(self) -> None:
        """Close with RST."""
        reset(self._socket)


class TlsStream:
    """A TCP connection with TLS on it, as the server side."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._socket = sock
        self._ended: OSError | None = None
        self._clean = False
        self.fileno = sock.fileno

    def handshake(self) -> None:
        """Go on with the handshake; return when it is done. Raises BlockingIOError, ConnectionError."""
        try:
            self._socket.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error
        except OSError as error:
            raise ConnectionAbortedError("TLS handshake failed") from error

    @property
    def resumed(self) -> bool:
        """Whether the handshake resumed a session of an earlier connection."""
        return bool(self._socket.session_reused)

    @property
    def refused_as_new(self) -> bool:
        """Whether the handshake failed since it resumed no session, as it had to."""
        return refused_as_new(self._socket)

    def no_delay(self) -> None:
        """Send what there is at once."""
        no_delay(self._socket)

    def acknowledge_at_once(self) -> None:
        """Do without the kernel's 40 ms of waiting for something to send with an acknowledgement (TCP_QUICKACK).

        Without session tickets nothing answers a client's last handshake message, and by Nagle's algorithm (RFC 896)
        the client keeps back its data, and then its close_notify, until that is acknowledged.
        """
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def recv_into(self, view: memoryview) -> int:
        """Receive as many records as are there and fit, of the first perhaps a part."""
        if not view:
            raise ValueError("no room to receive into: 0 would mean the end")
        if self._clean:
            return 0
        if self._ended is not None:
            raise self._ended
        total, size = 0, len(view)
        while not total or size - total >= _RECORD:
            try:
                count = self._socket.recv_into(view[total:])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                if total:
                    return total
                raise BlockingIOError from error
            except OSError as error:
                self._ended = error
                if total:
                    return total
                raise
            if not count:
                self._clean = True
                return total
            total += count
        return total

    def send(self, view: memoryview) -> int:
        """Send as many records as go out."""
        total, size = 0, len(view)
        while total < size:
            try:
                total += self._socket.send(view[total:])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                if total:
                    return total
                raise BlockingIOError from error
        return total

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Send from a file, through memory."""
        with memoryview(os.pread(fd, min(count, _FILE_BLOCK), offset)) as view:
            if not view:
                raise OSError(errno.EIO, "the file is shorter than it should be")
            return self.send(view)

    def pending(self) -> bool:
        """Whether data or the end was read from the socket already."""
        return self._clean or self._ended is not None or self._socket.pending() > 0

    def finish(self) -> bool:
        """Send close_notify and FIN; what the peer still sends is read, or it would see a reset."""
        with contextlib.suppress(OSError, ValueError):
            self._socket.unwrap()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
        return self.linger()

    def linger(self) -> bool:
        """Discard what comes until the peer closes too; beneath TLS, whose end does not matter any more."""
        try:
            while socket.socket.recv(self._socket, 65536):
                pass
        except BlockingIOError:
            return False
        except OSError:
            pass
        self._socket.close()
        return True

    def reset(self) -> None:
        """Close with RST and without close_notify."""
        reset(self._socket)


def no_delay(sock: socket.socket) -> None:
    """Turn off Nagle's algorithm."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reset(sock: socket.socket) -> None:
    """Close `sock` with RST."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
