"""pyftpdlib's control connection: lines in, replies out, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from pyftpdlib.exceptions import _RetryError

from ftpgateway.ftp.pyftp.loop import READ, WRITE, NestedIOLoop  # before the handler: see there
from ftpgateway.serving.listening import plain_address
from raftstore.util.sockets import first_byte

# isort: split
from pyftpdlib.handlers.ftp.control import FTPHandler

log = structlog.get_logger()

MAX_LINE = 8192
"""Longest command line in bytes; a path may have 4096."""

CONTROL_SEND = 128 * 1024
"""Bytes of replies that the kernel takes for a client that does not read them; left to itself it takes megabytes."""

CONTROL_READ = 16384
"""Bytes read from a control connection at once: a whole TLS record, so that none stays behind unseen."""

PARTING_TIME = 10.0
"""Seconds that a client has to read the last reply."""


class _Server:
    """Stands in for pyftpdlib's FTPServer, of which a control connection uses only the list of addresses."""

    ip_map: tuple[str, ...] = ()


def newline_of(begun: bytes) -> bytes | None:
    """Return what ends the lines of a client, by the first that it has sent; None: none has ended yet.

    The standard has CR LF, small devices and people with netcat send LF. It is settled once: were either taken for
    every line, a name with a LF in it that a careless program passes on could smuggle a command in.
    """
    end = begun.find(b"\n")
    if end < 0:
        return None
    return b"\r\n" if begun[end - 1 : end] == b"\r" else b"\n"


class ControlConnection(FTPHandler):  # type: ignore[misc]
    """One control connection: lines in, replies out, TLS; no FTP meaning.

    `peer` and `local` are the addresses of the client and ours, `secured` tells whether TLS is on. Subclasses
    implement `line_received` and `ending` and may override `idle`.
    """

    ac_in_buffer_size = CONTROL_READ
    handshake_timeout = 30.0
    """Seconds for a TLS handshake."""

    _idler: Any

    def __init__(self, sock: socket.socket, loop: NestedIOLoop, peer: str = "") -> None:
        """`peer` is the client's address where that is another than who has connected: a balancer."""
        self._ending = False
        self.alive = True
        """Whether the session is open."""
        self._begun = b""
        self._newline: bytes | None = None
        self._corked: bytes | None = None
        self._overlong = False
        self._reading_paused = False
        self._shaking = False
        self._parting = False
        self._input_over = False
        self._broken = False
        self._heard = False
        self.secured = False
        self.peer = ""
        super().__init__(sock, _Server(), ioloop=loop)
        self.peer = peer or plain_address(self.remote_ip)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CONTROL_SEND)
        self.local = plain_address(sock.getsockname()[0]) if self.connected else ""

    # What the library asks for.

    def close(self) -> None:
        """Close the session, once; TLS in order where possible."""
        if self._closed:
            return
        self._uncork()
        if self._closed:  # by a failure just now
            return
        self.remote_ip = ""  # on_disconnect is not used, addresses are counted by our server
        self.ending()
        if self.secured:
            with contextlib.suppress(OSError, ValueError):
                self.socket.unwrap()  # type: ignore[has-type]
        if self.backed_up:
            self._reset_at_close()
        else:
            self._discard_unread()
        super().close()
        self.alive = False
        self.data_channel = None

    def _reset_at_close(self) -> None:
        """Who reads no replies would else be told of the end when all are read; the kernel keeps them for minutes."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _discard_unread(self) -> None:
        """A socket closed with unread data is reset, and the client may never see our last reply."""
        with contextlib.suppress(OSError):
            for _ in range(8):
                if not socket.socket.recv(self.socket, 65536, socket.MSG_DONTWAIT):
                    break

    def handle_close(self) -> None:
        """The client has ended its side, or the connection broke.

        Who has said goodbye in order may go before it is answered: what it asked for is carried out all the same.
        """
        if self._closing or not self.outlives_client():
            self.close()
        elif not self._input_over:
            self._input_over = True  # it may have closed one direction, and still read
            self._choose_events()
        elif not self._broken:
            self._broken = True
            self.producer_fifo.clear()
            # Later: it may have been found out within the library's `initiate_send`, which goes on with the socket.
            asyncio.get_running_loop().call_soon(self._leave_socket)

    def _leave_socket(self) -> None:
        """Hear no more of a broken connection, which would be told again and again."""
        if not self._closed:
            self.ioloop.unregister(self._fileno)
            self.replies_taken()

    def close_when_done(self) -> None:
        """Close when all replies are sent."""
        if self.producer_fifo:
            super().close_when_done()
        else:
            self.close()

    def ending(self) -> None:
        """Called once, just before the session's socket is closed."""

    def recv(self, buffer_size: int) -> bytes:
        """Receive, also through TLS."""
        try:
            data: bytes = self.socket.recv(buffer_size)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise _RetryError from error
        except OSError:
            data = b""
        if not data:
            self.handle_close()
        return data

    def send(self, data: bytes) -> int:
        """Send, also through TLS; return how much went out."""
        try:
            return int(self.socket.send(data))
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError:
            self.handle_close()
            return 0

    def handle_read_event(self) -> None:
        """Go on with a TLS handshake, or read commands."""
        if not self._heard:
            self._heard = True
            self.heard()
        if self._shaking:
            self._shake_hands()
        else:
            self.handle_read()

    def handle_write_event(self) -> None:
        """Go on with a TLS handshake, or send replies."""
        if self._shaking:
            self._shake_hands()
        else:
            super().handle_write_event()

    def readable(self) -> bool:
        """Whether anything is to be read: nothing of it is left to the library."""
        return bool(self.connected)

    def writable(self) -> bool:
        """Whether there is anything to send."""
        return self._shaking or bool(super().writable())

    def start_tls(self, secure: Callable[[socket.socket], ssl.SSLSocket]) -> None:
        """Begin the TLS handshake; what was read before must not pass for part of what comes after it."""
        self.discard_input()
        if self._input_over:  # whoever has ended its side cannot shake hands
            self.close()
            return
        try:
            self.socket = secure(self.socket)  # type: ignore[has-type]
        except OSError:
            self.close()
            return
        self._shaking = True
        self.set_idle_timer(self.handshake_timeout)

    def _shake_hands(self) -> None:
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self.ioloop.modify(self._fileno, READ)
        except ssl.SSLWantWriteError:
            self.ioloop.modify(self._fileno, READ | WRITE)
        except OSError as error:
            self.events.info("tls handshake failed", error=str(error))
            self.close()
        else:
            self._shaking = False
            self.secured = True
            self._choose_events()
            self.handshake_over()

    def handle_read(self) -> None:
        """Read what is there and pass whole lines on, without the detours of asynchat."""
        try:
            data = self.recv(CONTROL_READ)
        except _RetryError:
            return
        data = self._begun + data if self._begun else data
        if self._newline is None:
            self._newline = newline_of(data)
        lines = data.split(self._newline or b"\r\n")
        self._begun = lines.pop()
        for line in lines:
            whole = not self._overlong and len(line) <= MAX_LINE
            self._overlong = False
            if self._newline == b"\n":
                line = line.removesuffix(b"\r")
            self.line_received(line if whole else None)
            if self._shaking or self._closed:
                return
        if len(self._begun) > MAX_LINE:
            self._overlong = True
            self._begun = self._begun[-1:]  # it may be the CR before the LF

    def handle_timeout(self) -> None:
        """The idle timer ran out."""
        if self._shaking or self._parting or self.backed_up:
            self.close()  # nobody listens
        elif not self.idle():
            self.end_with("421 Control connection timed out.")

    def handle_error(self) -> None:
        """An exception escaped: the session cannot go on."""
        self.events.warning("ftp session failed", exc_info=True)
        self.close()

    def initiate_send(self) -> None:
        """Send what is queued, without turning paused reading on again."""
        held_up = self.backed_up
        super().initiate_send()
        if self._broken:
            self.producer_fifo.clear()
        if (self._reading_paused or self._input_over) and not self._closed:
            self._choose_events()
        if held_up and not self.backed_up and self.alive:
            self.replies_taken()

    def respond(self, resp: str, logfun: object = None) -> None:
        """Send the last line of a reply."""
        if not self.alive or self._broken:
            return
        self._last_response = resp
        encoded = f"{resp}\r\n".encode("utf-8", "replace")
        if self._corked is not None:
            self._corked += encoded
        else:
            self._send_or_queue(encoded)

    def push(self, data: str) -> None:
        """Send text."""
        if not self.alive or self._broken:
            return
        encoded = data.encode("utf-8", "replace")
        if self._corked is not None:
            self._corked += encoded
            return
        self._send_or_queue(encoded)

    @contextlib.contextmanager
    def corked(self) -> Iterator[None]:
        """What is said within goes out at its end, at once: the replies before and after a short download."""
        self._corked = b""
        try:
            yield
        finally:
            self._uncork()

    def _uncork(self) -> None:
        said, self._corked = self._corked, None
        if said and not self._closed:
            self._send_or_queue(said)

    def _send_or_queue(self, encoded: bytes) -> None:
        if self._broken:
            return
        if not self.producer_fifo:
            try:
                sent = self.send(encoded)
            except OSError:
                self.handle_error()
                return
            if sent == len(encoded) or self._closed or self._broken:
                return
            encoded = encoded[sent:]
        super(FTPHandler, self).push(encoded)

    def log(self, *_: object, **__: object) -> None:
        """Library log lines are replaced by our own."""

    logline = log_cmd = log

    def log_exception(self, instance: object) -> None:
        """Log an exception that the library caught."""
        self.events.warning("ftp session failed", exc_info=True)

    # What subclasses fill in.

    def line_received(self, line: bytes | None) -> None:
        """Handle a line without its CR LF; None stands for one that was too long."""
        raise NotImplementedError

    @property
    def events(self) -> Any:
        """The log, where each line tells whose session this is."""
        return log.bind(peer=self.peer)

    def heard(self) -> None:
        """The first bytes of the client are there."""

    def handshake_over(self) -> None:
        """TLS stands: set the idle timer again."""
        raise NotImplementedError

    def outlives_client(self) -> bool:
        """Whether the session goes on to its end without the client: it has said goodbye."""
        return False

    def replies_taken(self) -> None:
        """The client has read the replies that held up the session."""
        raise NotImplementedError

    def idle(self) -> bool:
        """The idle timer ran out: return True to let the session live on."""
        return False

    # What subclasses use.

    @property
    def backed_up(self) -> bool:
        """Whether replies wait for the client to read: no further command should run."""
        return bool(self.producer_fifo)

    @property
    def unsent(self) -> int:
        """Bytes of replies that the client has yet to take."""
        return sum(len(part) for part in self.producer_fifo if part)

    def mark_ending(self) -> None:
        """Send no more replies."""
        self._ending = True
        self.alive = False

    def discard_input(self) -> None:
        """Forget what was read but not handled: it came before TLS and must not pass for part of it."""
        self._begun = b""
        self._overlong = False

    def set_idle_timer(self, seconds: float) -> None:
        """(Re)start the idle timer."""
        if self._idler is not None and not self._idler.cancelled:
            self._idler.cancel()
        self._idler = self.ioloop.call_later(seconds, self.handle_timeout, _errback=self.handle_error)

    def touch(self) -> None:
        """The session is not idle: the timer starts over."""
        if self._idler is not None and not self._idler.cancelled and not self._parting:
            self._idler.reset()

    def pause_reading(self, paused: bool) -> None:
        """Stop or go on reading commands; replies go out all the same."""
        if paused != self._reading_paused and not self._closed:
            self._reading_paused = paused
            self._choose_events()

    def _choose_events(self) -> None:
        if self._broken:
            return
        wanted = 0 if self._reading_paused or self._input_over else READ
        if self.producer_fifo:
            wanted |= WRITE
        self.ioloop.modify(self._fileno, wanted)
        self._wanted_io_events = wanted
        self._current_io_events = wanted

    def hung_up(self) -> bool:
        """Return whether the client has closed the control connection, and we have not noticed yet."""
        return not self.alive or first_byte(self.socket) == b""

    def end_with(self, reply: str) -> None:
        """Send a last reply, "" for none, and close; in the middle of a TLS handshake there is nobody to read it."""
        if self._shaking:
            self.close()
            return
        if reply:
            self.respond(reply)
        if self.alive:
            self._uncork()
            self.close_when_done()
        if self.alive:  # not all is sent yet
            self._parting = True
            self.set_idle_timer(PARTING_TIME)
