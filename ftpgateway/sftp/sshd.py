"""SSH through paramiko: the only module that touches its inside (a test fails when the library changes there).

Public: `ServerTransport`, `Inlet`, `carry`. The packetizer is replaced by one that reads ahead (instead of three times a
packet) and refuses packets nobody may send before anything of them is kept. With AES-GCM, which all of today's clients
know, it opens and seals packets itself, all that are at hand with one call to the system and few copies: what comes
for an SFTP session goes from there to the node without passing through paramiko's loop, in the thread that has decrypted it.
Other ciphers take paramiko's own way.
"""

from __future__ import annotations

import contextlib
import io
import logging
import mmap
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import paramiko
from paramiko.common import (
    MSG_CHANNEL_DATA,
    cMSG_CHANNEL_DATA,
    cMSG_CHANNEL_WINDOW_ADJUST,
    cMSG_KEXINIT,
    xffffffff,
)
from paramiko.packet import NeedRekeyException, Packetizer

VERSION = "SSH-2.0-pixraft"
MAX_SSH_PACKET = 256 * 1024
"""Longest SSH packet that is taken; RFC 4253 asks for 35,000 bytes."""
LARGEST_DATA = 128 * 1024
"""Most bytes of a channel in one packet, in either direction, if the client allows it."""
BLOCK = 256 * 1024
"""Bytes that are read from the node at a time, and sent to the client with one call to the system."""
_READ_AHEAD = 256 * 1024
_LONGEST_LINE = 16 * 1024
_FIRST_PACKET = 0.3
"""Seconds to wait for the client's own list of algorithms before ours is sent."""
WINDOW = 2 * 1024 * 1024
"""Bytes that a client may send ahead in one channel."""

_GCM = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_CIPHERS = (*_GCM, "aes128-ctr", "aes192-ctr", "aes256-ctr")
_MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1",
)
_TAG = 16
_GCM_BLOCK = 16
_LEAST_PADDING = 4
_LENGTH = struct.Struct("!I")
_DATA_HEAD = struct.Struct("!BBII")  # padding, kind, channel, length of the data
_AROUND_DATA = _LENGTH.size + _DATA_HEAD.size + _LEAST_PADDING + _GCM_BLOCK + _TAG


def _memory(size: int) -> memoryview:
    """Return a buffer that takes memory only as far as it is used."""
    return memoryview(mmap.mmap(-1, size))


class _Key:
    """AES-GCM in one direction (RFC 5647): a packet's number counts up in the nonce."""

    def __init__(self, engine: Any, nonce: bytes) -> None:
        self._engine = engine
        self._fixed = nonce[:4]
        self._counter = int.from_bytes(nonce[4:], "big")

    def _nonce(self) -> bytes:
        counter = self._counter
        self._counter = (counter + 1) & 0xFFFFFFFFFFFFFFFF
        return self._fixed + counter.to_bytes(8, "big")

    def seal(self, plain: memoryview, length: memoryview, out: memoryview) -> None:
        """Encrypt a packet; `out` has room for its tag."""
        self._engine.encrypt_into(self._nonce(), plain, length, out)

    def open(self, sealed: memoryview, length: memoryview, out: memoryview) -> None:
        """Decrypt a packet with its tag. Raises InvalidTag: nothing of it may be used."""
        self._engine.decrypt_into(self._nonce(), sealed, length, out)


class _Outgoing:
    """Bytes of one channel, for which its window has room; stands where paramiko passes a message on."""

    __slots__ = ("channel", "data", "most")

    def __init__(self, channel: int, data: memoryview, most: int) -> None:
        self.channel = channel
        self.data = data
        self.most = most  # bytes in one packet


class _Packets(Packetizer):  # type: ignore[misc]
    """Reads from the socket ahead, in large portions, and takes packets up to a length only."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.before_reading: Callable[[], None] = lambda: None
        self.greeted: Callable[[bytes], None] = lambda packet: None
        self.expects: Callable[[], bool] = lambda: False
        """Whether paramiko waits for a certain packet, so that it has to see each."""
        self.inlets: dict[int, Inlet] = {}
        self._sock = sock
        self._memory = mmap.mmap(-1, MAX_SSH_PACKET + _READ_AHEAD)
        self._ahead = memoryview(self._memory)
        self._start = self._end = 0
        self._opening: _Key | None = None
        self._opened = memoryview(b"")
        self._sealing: _Key | None = None
        self._plain = self._sealed = memoryview(b"")
        self._padding = os.urandom(_LEAST_PADDING + _GCM_BLOCK)

    # Bytes from the client.

    def readline(self, timeout: float) -> str:
        """Read a line of the greeting."""
        while (end := self._memory.find(b"\n", self._start, self._end)) < 0:
            if self._end - self._start > _LONGEST_LINE:
                raise paramiko.SSHException("the greeting is too long")
            self._add(self._read_timeout(timeout))
        line = bytes(self._ahead[self._start : end]).removesuffix(b"\r")
        self._start = end + 1
        if line.startswith(b"SSH-"):
            self.greeted(self._first_packet())
        return line.decode("utf-8", "replace")

    def _first_packet(self) -> bytes:
        """Return the client's first packet, if it sends it without having seen ours, as nearly all do; it stays."""
        deadline = time.monotonic() + _FIRST_PACKET
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < deadline and (have := self._end - self._start) <= _LONGEST_LINE:
                size = _LENGTH.unpack_from(self._memory, self._start)[0] if have >= 4 else _LONGEST_LINE
                if have >= 4 + size:
                    return bytes(self._ahead[self._start : self._start + 4 + size])
                self._add(self._read_timeout(deadline - time.monotonic()))
        return b""

    def _add(self, data: bytes) -> None:
        if self._end + len(data) > len(self._memory):
            self._move()
        self._memory[self._end : self._end + len(data)] = data
        self._end += len(data)

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Read `n` bytes. With `check_rekey`, the first of a packet."""
        if n > MAX_SSH_PACKET or n < 0:
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
            elif self._start + max(count, _READ_AHEAD) > len(self._memory):
                self._move()
            self._fill(idle=idle and not left)

    def _move(self) -> None:
        """Move what is left to the front."""
        left = self._end - self._start
        self._memory.move(0, self._start, left)
        self._start, self._end = 0, left

    def _fill(self, *, idle: bool) -> None:
        """Wait for bytes. Raises EOFError at the end, NeedRekeyException when new keys are due between packets."""
        while True:
            if self.handshake_timed_out():
                raise EOFError
            try:
                count = self._sock.recv_into(self._ahead[self._end : self._end + _READ_AHEAD])
            except TimeoutError:
                if self.closed:
                    raise EOFError from None
                if idle and self.need_rekey():
                    raise NeedRekeyException from None
                continue
            if not count:
                raise EOFError
            self._end += count
            return

    # Packets from the client.

    def set_inbound_cipher(self, block_engine: Any, *rest: Any, **options: Any) -> None:
        """Take the keys for what comes."""
        super().set_inbound_cipher(block_engine, *rest, **options)
        self._opening = _Key(block_engine, options["iv_in"]) if options.get("aead") else None
        if self._opening is not None and not self._opened:
            self._opened = _memory(MAX_SSH_PACKET)

    def read_message(self) -> tuple[int, paramiko.Message]:
        """Return the next packet that is not for an SFTP session; those are passed on."""
        if self._opening is None:
            message: tuple[int, paramiko.Message] = super().read_message()
            return message
        inlet: Inlet | None = None
        parts: list[memoryview] = []
        used = 0
        while True:
            size = self._next_size(wait=inlet is None)
            if inlet is not None and (size is None or used + size > MAX_SSH_PACKET):
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
        size = int(_LENGTH.unpack_from(self._memory, self._start)[0])
        if size % _GCM_BLOCK or not 0 < size <= MAX_SSH_PACKET - _LENGTH.size - _TAG:
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

    def _inlet(self, payload: memoryview) -> Inlet | None:
        """Return where the bytes of a channel go; None: to the library, which also sees to what is not in order."""
        if payload[0] != MSG_CHANNEL_DATA or len(payload) < 9:
            return None
        inlet = self.inlets.get(_LENGTH.unpack_from(payload, 1)[0])
        return inlet if len(payload) == 9 + _LENGTH.unpack_from(payload, 5)[0] else None

    # Packets to the client.

    def set_outbound_cipher(self, block_engine: Any, *rest: Any, **options: Any) -> None:
        """Take the keys for what goes."""
        super().set_outbound_cipher(block_engine, *rest, **options)
        self._sealing = _Key(block_engine, options["iv_out"]) if options.get("aead") else None
        if self._sealing is not None and not self._plain:
            self._plain = _memory(LARGEST_DATA + _AROUND_DATA)
            self._sealed = _memory(BLOCK + 16 * _AROUND_DATA)

    def send_message(self, message: paramiko.Message | _Outgoing) -> None:
        """Send a packet, or the bytes of a channel in as many as it takes."""
        with self._Packetizer__write_lock:
            if isinstance(message, _Outgoing):
                self._send_data(message)
            elif self._sealing is None:
                super().send_message(message)
            else:
                content = message.asbytes()
                if len(content) > LARGEST_DATA:
                    raise paramiko.SSHException(f"a message of {len(content)} bytes")
                self._plain[1 : 1 + len(content)] = content
                self._write(self._seal(1 + len(content), 0), 1)

    def _send_data(self, outgoing: _Outgoing) -> None:
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


class Inlet:
    """Takes the place of a channel's buffer: what the client sends goes on at once, in the connection's thread.

    While the other side takes nothing, the connection's thread waits: then TCP holds back the client.
    """

    def __init__(self, channel: paramiko.Channel, sock: socket.socket) -> None:
        self._channel = channel
        self._transport: ServerTransport = channel.get_transport()
        self._sock = sock
        channel.in_buffer = self
        channel.in_window_threshold = WINDOW // 4
        self._transport.packetizer.inlets[channel.chanid] = self

    def __len__(self) -> int:
        return 0

    def feed(self, data: bytes | Sequence[memoryview]) -> None:
        """Pass bytes on; allow the client to send as many more."""
        parts = [data] if isinstance(data, bytes) else data
        size = sum(map(len, parts))
        try:
            sent = self._sock.sendmsg(parts)
            if sent < size:
                self._sock.sendall(b"".join(parts)[sent:])
        except OSError:
            return  # the node has ended the session; its other thread closes the channel
        allowed = self._channel._check_add_window(size)
        if allowed:
            self._transport.allow(self._channel, allowed)

    def close(self) -> None:
        """The client has ended."""
        self._transport.packetizer.inlets.pop(self._channel.chanid, None)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)


def carry(sock: socket.socket, channel: paramiko.Channel) -> None:
    """Send what comes from `sock` to the client, until it ends. Raises OSError, EOFError, SSHException."""
    memory = _memory(BLOCK)
    transport = channel.get_transport()
    while count := sock.recv_into(memory):
        data = memory[:count]
        while data:
            with channel.lock:
                if channel.closed:
                    raise ConnectionError("the channel is closed")
                size = channel._wait_for_send_window(len(data))
                if not size:
                    return
                more = min(len(data) - size, channel.out_window_size)
                channel.out_window_size -= more
            most = min(channel.out_max_packet_size - 64, LARGEST_DATA)
            # Without the channel's lock, which the library's thread needs while keys are exchanged.
            transport._send_user_message(_Outgoing(channel.remote_chanid, data[: size + more], most))
            data = data[size + more :]


class ServerTransport(paramiko.Transport):  # type: ignore[misc]
    """One connection, as the server. `on_end` is called by its thread when it is over, with the reason."""

    def __init__(
        self,
        sock: socket.socket,
        keys: Sequence[paramiko.PKey],
        on_end: Callable[[str], None],
    ) -> None:
        super().__init__(sock, default_window_size=WINDOW, default_max_packet_size=LARGEST_DATA)
        packetizer = _Packets(sock)
        packetizer.set_log(self.logger)
        packetizer.before_reading = self._do_later
        packetizer.greeted = self._prefer_fast_ciphers
        packetizer.expects = lambda: bool(self._expected_packet)
        self.packetizer = packetizer
        self._later: deque[Callable[[], None]] = deque()
        self._allowed: dict[paramiko.Channel, int] = {}
        self.local_version = VERSION
        options = self.get_security_options()
        options.ciphers = _CIPHERS
        options.digests = _MACS
        for key in keys:
            self.add_server_key(key)
        self._on_end = on_end

    def _prefer_fast_ciphers(self, packet: bytes) -> None:
        """Offer only AES-GCM to clients that know it. It takes half the time, but the client's order counts."""
        if knows_gcm(packet):
            self.get_security_options().ciphers = _GCM

    def after_reply(self, work: Callable[[], None]) -> None:
        """Call `work`, in this transport's thread, when the reply to the present request is sent."""
        self._later.append(work)

    def allow(self, channel: paramiko.Channel, count: int) -> None:
        """Let the client send `count` bytes more; only for this transport's thread."""
        self._allowed[channel] = self._allowed.get(channel, 0) + count
        self._do_later()

    def _do_later(self) -> None:
        while self._later:
            self._later.popleft()()
        # While keys are exchanged nothing else may be sent, and this thread must not wait for it.
        if self._allowed and self.clear_to_send.is_set():
            allowed, self._allowed = self._allowed, {}
            for channel, count in allowed.items():
                message = paramiko.Message()
                message.add_byte(cMSG_CHANNEL_WINDOW_ADJUST)
                message.add_int(channel.remote_chanid)
                message.add_int(count)
                self._send_user_message(message)

    def run(self) -> None:
        """Serve until the connection is over."""
        try:
            super().run()
        finally:
            error = self.saved_exception
            self._on_end(f"{type(error).__name__}: {error}" if error is not None else "")


def knows_gcm(packet: bytes) -> bool:
    """Whether a client's list of algorithms (KEXINIT, RFC 4253, 7.1) has AES-GCM for both directions."""
    at = 4 + 1 + 1 + 16  # lengths of packet and padding, kind, cookie
    if packet[5:6] != cMSG_KEXINIT:
        return False
    lists = []
    for _ in range(4):
        size = int.from_bytes(packet[at : at + 4], "big")
        lists.append(packet[at + 4 : at + 4 + size].decode("ascii", "replace").split(","))
        at += 4 + size
    return all(not set(_GCM).isdisjoint(ciphers) for ciphers in lists[2:])


def host_key(text: bytes) -> paramiko.PKey:
    """Read a private key in OpenSSH's format. Raises ValueError."""
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text.decode()))
        except (paramiko.SSHException, ValueError):
            continue
    raise ValueError("not a host key of a kind that is known here")


def quiet() -> None:
    """Keep the library's own log lines, which have no context, out of the node's log."""
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    logging.getLogger("paramiko").propagate = False
