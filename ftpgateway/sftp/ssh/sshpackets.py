"""SSH packets: paramiko's packetizer replaced by one that takes and sends many packets at a time.

A test fails when what it replaces changes. It reads ahead instead of three times a packet, and refuses packets nobody
may send before anything of them is kept. With AES-GCM, which all of today's clients know, it opens and seals packets
itself: what comes for an SFTP session goes on to the node without passing through paramiko's loop, all that is at hand
with one call to the system, and so do bytes to the client. Other ciphers take paramiko's own way.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable
from typing import Any

import paramiko
from paramiko.common import MSG_CHANNEL_DATA, cMSG_CHANNEL_DATA, xffffffff
from paramiko.packet import NeedRekeyException, Packetizer

from ftpgateway.sftp.ssh.sshparts import GcmKey, Outgoing, Taker, memory

MAX_SSH_PACKET = 256 * 1024
"""Longest SSH packet that is taken; RFC 4253 asks for 35,000 bytes."""
LONGEST_BEFORE_LOGIN = 35_000
"""The same for who has not logged in: what RFC 4253, 6.1 asks for."""
LARGEST_DATA = 128 * 1024
"""Most bytes of a channel in one packet, in either direction, if the client allows it."""
BLOCK = 256 * 1024
"""Bytes that are sent to the client with one call to the system."""
_READ_AHEAD = 256 * 1024
_MOST_PARTS = 256
"""Packets that are passed on together; the system takes 1,024."""
_LONGEST_LINE = 16 * 1024
_FIRST_PACKET = 0.3
"""Seconds to wait for the client's own list of algorithms before ours is sent."""
_LAST_PACKET = 0.1
"""Seconds to wait for others to have sent before a farewell."""
_TAG = 16
_GCM_BLOCK = 16
_LEAST_PADDING = 4
_LENGTH = struct.Struct("!I")
_DATA_HEAD = struct.Struct("!BBII")  # length of the padding, kind, channel, length of the data
_AROUND_DATA = _LENGTH.size + _DATA_HEAD.size + _LEAST_PADDING + _GCM_BLOCK + _TAG


class Packets(Packetizer):  # type: ignore[misc]
    """The packets of one connection. One thread reads; any may send."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._Packetizer__sequence_number_in: int
        self._Packetizer__sequence_number_out: int
        self.before_reading: Callable[[], None] = lambda: None
        """Called before each wait for the client, and every moment during it."""
        self.expects: Callable[[], bool] = lambda: False
        """Whether paramiko waits for a certain packet, so that it has to see each."""
        self.concerns: Callable[[int, paramiko.Message], bool] = lambda kind, message: True
        """Whether the library is to see a packet; what is not for it was dealt with when that returns."""
        self.longest = MAX_SSH_PACKET
        """Longest packet that is taken now."""
        self.reader: threading.Thread | None = None
        """The thread that reads; when it sends it goes on reading."""
        self._received = 0
        self._last = False
        self.inlets: dict[int, Taker] = {}
        """What takes the bytes of a channel, by its number; others go to the library."""
        self._sock = sock
        self._tcp = sock.family in (socket.AF_INET, socket.AF_INET6)
        self._ahead = memory(MAX_SSH_PACKET + _READ_AHEAD)
        self._start = self._end = 0
        self._opening: GcmKey | None = None
        self._opened = memoryview(b"")
        self._sealing: GcmKey | None = None
        self._plain = self._sealed = memoryview(b"")
        self._padding = os.urandom(_LEAST_PADDING + _GCM_BLOCK)

    def release(self) -> None:
        """Close, and let go of the buffers at once: what is left of a connection waits for the garbage collector."""
        self.close()
        with self._Packetizer__write_lock:
            self._plain = self._sealed = memoryview(b"")
        self._ahead = self._opened = memoryview(b"")

    # Bytes from the client.

    def line(self, timeout: float = threading.TIMEOUT_MAX) -> bytes:
        """Read a line of the greeting. Raises TimeoutError when nothing comes for so many seconds."""
        while (size := bytes(self._ahead[self._start : self._end]).find(b"\n")) < 0:
            if self._end - self._start > _LONGEST_LINE:
                raise paramiko.SSHException("the greeting is too long")
            self._add(self._read_timeout(timeout))
        line = bytes(self._ahead[self._start : self._start + size]).removesuffix(b"\r")
        self._start += size + 1
        return line

    def first_packet(self) -> bytes:
        """Return the client's first packet, if it sends it without having seen ours, as nearly all do; it stays."""
        deadline = time.monotonic() + _FIRST_PACKET
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < deadline and (have := self._end - self._start) <= _LONGEST_LINE:
                size = _LENGTH.unpack_from(self._ahead, self._start)[0] if have >= 4 else _LONGEST_LINE
                if have >= 4 + size:
                    return bytes(self._ahead[self._start : self._start + 4 + size])
                self._add(self._read_timeout(deadline - time.monotonic()))
        return b""

    def _add(self, data: bytes) -> None:
        if self._end + len(data) > len(self._ahead):
            self._move()
        self._ahead[self._end : self._end + len(data)] = data
        self._end += len(data)

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Read `n` bytes. With `check_rekey`, the first of a packet."""
        if n > self.longest or n < 0:
            raise paramiko.SSHException(f"a packet of {n} bytes")
        if check_rekey:
            self.before_reading()
        self._have(n, idle=check_rekey)
        first = self._start
        self._start += n
        return bytes(self._ahead[first : self._start])

    def _have(self, count: int, *, idle: bool) -> None:
        """Wait until `count` bytes are there. `idle`: they begin a packet, so that new keys may be asked for before."""
        while (left := self._end - self._start) < count:
            if not left:
                self._start = self._end = 0
            elif self._start + max(count, _READ_AHEAD) > len(self._ahead):
                self._move()
            self._fill(idle=idle and not left)

    def _move(self) -> None:
        """Move what is left to the front."""
        left = self._end - self._start
        self._ahead[:left] = self._ahead[self._start : self._end]
        self._start, self._end = 0, left

    def _fill(self, *, idle: bool) -> None:
        """Wait for bytes. Raises EOFError at the end, NeedRekeyException when new keys are due between packets."""
        if not idle and self._tcp:
            # A client that writes a packet in two parts sends the second when the first was acknowledged, which
            # would be after 40 ms (Node's do: RFC 896 meets RFC 1122, 4.2.3.2). The system forgets this each time.
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        while True:
            try:
                count = self._sock.recv_into(self._ahead[self._end : self._end + _READ_AHEAD])
            except TimeoutError:
                if self.closed:
                    raise EOFError from None
                if idle and self.need_rekey():
                    raise NeedRekeyException from None
                self.before_reading()
                continue
            if not count:
                raise EOFError
            self._end += count
            self._received += count
            return

    def write_all(self, out: bytes | memoryview) -> None:
        """Send. The thread that reads goes on reading meanwhile: a client may read nothing before that."""
        if self._last:
            self._sock.send(out, socket.MSG_DONTWAIT)
            return
        if threading.current_thread() is not self.reader:
            super().write_all(out)
            return
        rest = memoryview(out)
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except TimeoutError:
                self._read_ahead()
            except OSError:
                raise EOFError from None

    def _read_ahead(self) -> None:
        """Take what is there, if there is space for it. Raises EOFError."""
        if self.closed:
            raise EOFError
        if self._start:
            self._move()
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        if self._end == len(self._ahead) or not poll.poll(0):
            return
        count = self._sock.recv_into(self._ahead[self._end :])
        if not count:
            raise EOFError
        self._end += count
        self._received += count

    def moved(self) -> tuple[int, int]:
        """Return what changes while bytes go either way: those received, and those that the client has not got yet."""
        try:
            waiting = fcntl.ioctl(self._sock, termios.TIOCOUTQ, bytes(4))
        except OSError:  # closed
            return self._received, 0
        return self._received, int.from_bytes(waiting, sys.byteorder)

    def start_handshake(self, timeout: float) -> None:
        """Nothing: the node bounds the time to the login, and a timer is a thread."""

    # Packets from the client.

    def set_inbound_cipher(self, block_engine: Any, *rest: Any, **options: Any) -> None:
        """Take the keys for what comes."""
        super().set_inbound_cipher(block_engine, *rest, **options)
        self._opening = GcmKey(block_engine, options["iv_in"]) if options.get("aead") else None
        if self._opening is not None and not self._opened:
            self._opened = memory(MAX_SSH_PACKET)

    def read_message(self) -> tuple[int, paramiko.Message]:
        """Return the next packet that concerns the library."""
        while True:
            kind, message = self._next_message()
            if self.concerns(kind, message):
                return kind, message

    def _next_message(self) -> tuple[int, paramiko.Message]:
        """Return the next packet that is not for an SFTP session; those are passed on."""
        if self._opening is None:
            taken: tuple[int, paramiko.Message] = super().read_message()
            return taken
        inlet: Taker | None = None
        parts: list[memoryview] = []
        used = 0
        while True:
            size = self._next_size(wait=inlet is None)
            if inlet is not None and (
                size is None or used + size > MAX_SSH_PACKET or len(parts) == _MOST_PARTS
            ):
                inlet.feed(parts)
                if self.need_rekey():
                    raise NeedRekeyException
                inlet, parts, used = None, [], 0
                continue
            assert size is not None
            payload = self._open(size, used)
            target = None if self.expects() else self._inlet(payload)
            if target is not None and inlet in (None, target):
                inlet = target
                parts.append(payload[9:])
                used += size
                continue
            if inlet is not None:
                inlet.feed(parts)
            message = paramiko.Message(bytes(payload[1:]))
            message.seqno = self._Packetizer__sequence_number_in - 1 & xffffffff
            return payload[0], message

    def _next_size(self, *, wait: bool) -> int | None:
        """Return the length of the next packet when all of it is there; without `wait` None if it is not."""
        if wait:
            self.before_reading()
            self._have(_LENGTH.size, idle=True)
        elif self._end - self._start < _LENGTH.size:
            return None
        size = int(_LENGTH.unpack_from(self._ahead, self._start)[0])
        if size % _GCM_BLOCK or not 0 < size <= self.longest - _LENGTH.size - _TAG:
            raise paramiko.SSHException(f"a packet of {size} bytes")
        if wait:
            self._have(_LENGTH.size + size + _TAG, idle=False)
        elif self._end - self._start < _LENGTH.size + size + _TAG:
            return None
        return size

    def _open(self, size: int, at: int) -> memoryview:
        """Decrypt the next packet to `at` in the buffer for it; return what it carries."""
        assert self._opening is not None
        first = self._start + _LENGTH.size
        last = first + size + _TAG
        plain = self._opened[at : at + size]
        self._opening.open(self._ahead[first:last], self._ahead[self._start : first], plain)
        self._start = last
        self._count_received(_LENGTH.size + size + _TAG)
        payload = plain[1 : size - plain[0]]
        if plain[0] < _LEAST_PADDING or not payload:
            raise paramiko.SSHException("a packet without content")
        return payload

    def _count_received(self, size: int) -> None:
        """Count as the library does, so that new keys are asked for, and one who does not give them sent away."""
        self._Packetizer__sequence_number_in = (self._Packetizer__sequence_number_in + 1) & xffffffff
        self._Packetizer__received_bytes += size
        self._Packetizer__received_packets += 1
        if self.need_rekey():
            self._Packetizer__received_bytes_overflow += size
            self._Packetizer__received_packets_overflow += 1
            if (
                self._Packetizer__received_packets_overflow >= self.REKEY_PACKETS_OVERFLOW_MAX
                or self._Packetizer__received_bytes_overflow >= self.REKEY_BYTES_OVERFLOW_MAX
            ):
                raise paramiko.SSHException("the client ignores that new keys are asked for")
        elif (
            self._Packetizer__received_packets >= self.REKEY_PACKETS
            or self._Packetizer__received_bytes >= self.REKEY_BYTES
        ):
            self._ask_for_keys()

    def _ask_for_keys(self) -> None:
        self._Packetizer__received_bytes_overflow = 0
        self._Packetizer__received_packets_overflow = 0
        self._trigger_rekey()

    def _inlet(self, payload: memoryview) -> Taker | None:
        """Return where the bytes of a channel go; None: to the library, which also sees to what is not in order."""
        if payload[0] != MSG_CHANNEL_DATA or len(payload) < 9:
            return None
        inlet = self.inlets.get(_LENGTH.unpack_from(payload, 1)[0])
        return inlet if len(payload) == 9 + _LENGTH.unpack_from(payload, 5)[0] else None

    # Packets to the client.

    def set_outbound_cipher(self, block_engine: Any, *rest: Any, **options: Any) -> None:
        """Take the keys for what goes."""
        super().set_outbound_cipher(block_engine, *rest, **options)
        self._sealing = GcmKey(block_engine, options["iv_out"]) if options.get("aead") else None
        if self._sealing is not None and not self._plain:
            self._plain = memory(LARGEST_DATA + _AROUND_DATA)
            self._sealed = memory(BLOCK + 16 * _AROUND_DATA)

    def send_message(self, message: paramiko.Message | Outgoing) -> None:
        """Send a packet, or the bytes of a channel in as many as it takes."""
        with self._Packetizer__write_lock:
            if self.closed:
                raise EOFError
            if isinstance(message, Outgoing):
                self._send_data(message)
            elif self._sealing is None:
                super().send_message(message)
            else:
                content = message.asbytes()
                if len(content) > LARGEST_DATA:
                    raise paramiko.SSHException(f"a message of {len(content)} bytes")
                self._plain[1 : 1 + len(content)] = content
                self._write(self._seal(1 + len(content), 0), 1)

    def send_last(self, message: paramiko.Message) -> None:
        """Send a packet if that can be done in a moment; nothing waits from then on."""
        if self._Packetizer__write_lock.acquire(timeout=_LAST_PACKET):
            try:
                self._last = True
                with contextlib.suppress(OSError, EOFError):
                    self.send_message(message)
            finally:
                self._Packetizer__write_lock.release()

    def _send_data(self, outgoing: Outgoing) -> None:
        data, most = outgoing.data, outgoing.most
        at = count = 0
        for first in range(0, len(data), most):
            part = data[first : first + most]
            if self._sealing is None:
                message = paramiko.Message()
                message.add_byte(cMSG_CHANNEL_DATA)
                message.add_int(outgoing.channel)
                message.add_string(bytes(part))
                super().send_message(message)
                continue
            if at + len(part) + _AROUND_DATA > len(self._sealed):
                self._write(at, count)
                at = count = 0
            _DATA_HEAD.pack_into(self._plain, 0, 0, MSG_CHANNEL_DATA, outgoing.channel, len(part))
            end = _DATA_HEAD.size + len(part)
            self._plain[_DATA_HEAD.size : end] = part
            at = self._seal(end, at)
            count += 1
        if count:
            self._write(at, count)

    def _seal(self, end: int, at: int) -> int:
        """Encrypt the packet whose content ends at `end`, behind a byte for its padding; return where it ends."""
        assert self._sealing is not None
        padding = _LEAST_PADDING + -(end + _LEAST_PADDING) % _GCM_BLOCK
        size = end + padding
        self._plain[0] = padding
        self._plain[end:size] = self._padding[:padding]
        _LENGTH.pack_into(self._sealed, at, size)
        first = at + _LENGTH.size
        last = first + size + _TAG
        self._sealing.seal(self._plain[:size], self._sealed[at:first], self._sealed[first:last])
        return last

    def _write(self, end: int, packets: int) -> None:
        """Send what was encrypted and count it as the library does. Raises EOFError."""
        self._Packetizer__sequence_number_out = (self._Packetizer__sequence_number_out + packets) & xffffffff
        self.write_all(self._sealed[:end])
        self._Packetizer__sent_bytes += end
        self._Packetizer__sent_packets += packets
        sent_much = (
            self._Packetizer__sent_packets >= self.REKEY_PACKETS
            or self._Packetizer__sent_bytes >= self.REKEY_BYTES
        )
        if sent_much and not self.need_rekey():
            self._ask_for_keys()
