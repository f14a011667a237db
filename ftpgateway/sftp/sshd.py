"""SSH through paramiko: the only module that touches its inside (a test fails when the library changes there).

Public: `Transport`, `ServerInterface`, `Channel`. Beyond that: the packetizer is replaced by one that reads ahead
(instead of three times a packet) and refuses packets nobody may send before anything of them is kept; a channel's
buffer is replaced by one that passes on what comes in the thread that has decrypted it. Handing it to another thread,
as paramiko does, and reading by the packet took more than half of the time.
"""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence

import paramiko
from paramiko.common import cMSG_CHANNEL_WINDOW_ADJUST, cMSG_KEXINIT
from paramiko.packet import NeedRekeyException, Packetizer

VERSION = "SSH-2.0-pixraft"
MAX_SSH_PACKET = 256 * 1024
"""Longest SSH packet that is taken; RFC 4253 asks for 35,000 bytes."""
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


class _Packets(Packetizer):  # type: ignore[misc]
    """Reads from the socket ahead, in large portions, and takes packets up to a length only."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.before_reading: Callable[[], None] = lambda: None
        self.greeted: Callable[[bytes], None] = lambda packet: None
        self._sock = sock
        self._ahead = bytearray()
        self._start = 0

    def readline(self, timeout: float) -> str:
        """Read a line of the greeting."""
        while (end := self._ahead.find(b"\n")) < 0:
            if len(self._ahead) > _LONGEST_LINE:
                raise paramiko.SSHException("the greeting is too long")
            self._ahead += self._read_timeout(timeout)
        line = bytes(self._ahead[:end]).removesuffix(b"\r")
        del self._ahead[: end + 1]
        if line.startswith(b"SSH-"):
            self.greeted(self._first_packet())
        return line.decode("utf-8", "replace")

    def _first_packet(self) -> bytes:
        """Return the client's first packet, if it sends it without having seen ours, as nearly all do; it stays."""
        deadline = time.monotonic() + _FIRST_PACKET
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < deadline and len(self._ahead) <= _LONGEST_LINE:
                size = int.from_bytes(self._ahead[:4], "big") if len(self._ahead) >= 4 else _LONGEST_LINE
                if len(self._ahead) >= 4 + size:
                    return bytes(self._ahead[: 4 + size])
                self._ahead += self._read_timeout(deadline - time.monotonic())
        return b""

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Read `n` bytes. With `check_rekey`, the first of a packet."""
        if n > MAX_SSH_PACKET or n < 0:
            raise paramiko.SSHException(f"a packet of {n} bytes")
        if check_rekey:
            self.before_reading()
        end = self._start + n
        while len(self._ahead) < end:
            if self._start:
                del self._ahead[: self._start]
                end -= self._start
                self._start = 0
            self._fill(idle=check_rekey and not self._ahead)
        data = bytes(memoryview(self._ahead)[self._start : end])
        self._start = end
        return data

    def _fill(self, *, idle: bool) -> None:
        """Wait for bytes. Raises EOFError at the end, NeedRekeyException when new keys are due between packets."""
        while True:
            if self.handshake_timed_out():
                raise EOFError
            try:
                data = self._sock.recv(_READ_AHEAD)
            except TimeoutError:
                if self.closed:
                    raise EOFError from None
                if idle and self.need_rekey():
                    raise NeedRekeyException from None
                continue
            if not data:
                raise EOFError
            self._ahead += data
            return


class Inlet:
    """Takes the place of a channel's buffer: what the client sends goes on at once, in the connection's thread.

    While the other side takes nothing, the connection's thread waits: then TCP holds back the client.
    """

    def __init__(self, channel: paramiko.Channel, sock: socket.socket) -> None:
        self._channel = channel
        self._transport: ServerTransport = channel.get_transport()
        self._sock = sock
        channel.in_buffer = self

    def __len__(self) -> int:
        return 0

    def feed(self, data: bytes) -> None:
        """Pass bytes on; allow the client to send as many more."""
        try:
            self._sock.sendall(data)
        except OSError:
            return  # the node has ended the session; its other thread closes the channel
        allowed = self._channel._check_add_window(len(data))
        if allowed:
            self._transport.allow(self._channel, allowed)

    def close(self) -> None:
        """The client has ended."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)


class ServerTransport(paramiko.Transport):  # type: ignore[misc]
    """One connection, as the server. `on_end` is called by its thread when it is over, with the reason."""

    def __init__(
        self,
        sock: socket.socket,
        keys: Sequence[paramiko.PKey],
        on_end: Callable[[str], None],
    ) -> None:
        super().__init__(sock, default_window_size=WINDOW, default_max_packet_size=32 * 1024)
        packetizer = _Packets(sock)
        packetizer.set_log(self.logger)
        packetizer.before_reading = self._do_later
        packetizer.greeted = self._prefer_fast_ciphers
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
