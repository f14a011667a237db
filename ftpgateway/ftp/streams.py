"""Data connections as byte streams, plain or TLS, with one meaning for both.

`recv_into` returns 0 only for a clean end of data (FIN; with TLS close_notify), raises BlockingIOError when
nothing is there and another OSError when the connection broke: reset, or TLS cut off without close_notify.
`send` returns how much went out, raises BlockingIOError when nothing could.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Protocol

from OpenSSL import SSL

_RECORD = 16384
_RESET = struct.pack("ii", 1, 0)


class Stream(Protocol):
    """A connected, non-blocking stream."""

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        ...

    def recv_into(self, view: memoryview) -> int:
        """Receive into `view`; see the module."""
        ...

    def send(self, view: memoryview) -> int:
        """Send from `view`; see the module."""
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

    def __init__(self, sock: socket.socket, context: SSL.Context) -> None:
        self._socket = sock
        self._tls = SSL.Connection(context, sock)
        self._tls.set_accept_state()
        self._ended: OSError | None = None
        self._clean = False

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._socket.fileno()

    def handshake(self) -> None:
        """Go on with the handshake; return when it is done. Raises BlockingIOError, ConnectionError."""
        try:
            self._tls.do_handshake()
        except (SSL.WantReadError, SSL.WantWriteError) as error:
            raise BlockingIOError from error
        except SSL.Error as error:
            raise ConnectionAbortedError("TLS handshake failed") from error

    def recv_into(self, view: memoryview) -> int:
        """Receive as many records as are there and fit."""
        if self._clean:
            return 0
        if self._ended is not None:
            raise self._ended
        total, size = 0, len(view)
        while size - total >= _RECORD:
            try:
                total += self._tls.recv_into(view[total:], _RECORD)
            except (SSL.WantReadError, SSL.WantWriteError) as error:
                if total:
                    return total
                raise BlockingIOError from error
            except SSL.ZeroReturnError:
                self._clean = True
                return total
            except SSL.Error as error:
                self._ended = ConnectionResetError("TLS connection cut off without close_notify")
                if total:
                    return total
                raise self._ended from error
        return total

    def send(self, view: memoryview) -> int:
        """Send as many records as go out."""
        total, size = 0, len(view)
        while total < size:
            try:
                total += self._tls.send(view[total : total + _RECORD])
            except (SSL.WantReadError, SSL.WantWriteError) as error:
                if total:
                    return total
                raise BlockingIOError from error
            except SSL.Error as error:
                raise ConnectionResetError("TLS connection broken") from error
        return total

    def finish(self) -> bool:
        """Send close_notify and FIN; what the peer still sends is read, or it would see a reset."""
        with contextlib.suppress(SSL.Error):
            self._tls.shutdown()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        return self.linger()

    def linger(self) -> bool:
        """Discard what comes until the peer closes too."""
        try:
            while self._socket.recv(65536):
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


def reset(sock: socket.socket) -> None:
    """Close `sock` with RST."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
