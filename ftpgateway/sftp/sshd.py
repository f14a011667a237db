"""SSH through paramiko. Only this module and `sshpackets` touch its inside (a test fails when that changes).

Public: `ServerTransport`, `Inlet`, `carry`. A session's buffer is replaced by one that passes on what comes in the
thread that has decrypted it: handing it to another thread, as paramiko does, and reading by the packet took more than
half of the time. What comes on a channel that is no session is thrown away: paramiko would keep it without a bound.
"""

from __future__ import annotations

import contextlib
import io
import logging
import select
import socket
from collections import deque
from collections.abc import Callable, Sequence

import paramiko
from paramiko.common import cMSG_CHANNEL_WINDOW_ADJUST, cMSG_KEXINIT

from ftpgateway.sftp.sshpackets import BLOCK, LARGEST_DATA, MAX_SSH_PACKET, Outgoing, Packets, memory

VERSION = "SSH-2.0-pixraft"
WINDOW = 2 * 1024 * 1024
"""Bytes that a client may send ahead in one channel."""
PAIR_BUFFER = 512 * 1024
"""Bytes that the system keeps between worker and node, in each direction, if it lets us have that many."""
_MOST_KEPT = WINDOW + MAX_SSH_PACKET
_MOMENT = 100
"""Milliseconds after which a thread that waits looks whether it is waited for."""

_GCM = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_CIPHERS = (*_GCM, "aes128-ctr", "aes192-ctr", "aes256-ctr")
_MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1",
)


class _Nowhere:
    """Takes the place of buffers that nobody reads: throws away, and never allows the client to send more."""

    def __init__(self) -> None:
        self._left = WINDOW

    def __len__(self) -> int:
        return 0

    def feed(self, data: bytes) -> None:
        """Throw away. Raises SSHException, which ends the connection, for more than was allowed."""
        self._left -= len(data)
        if self._left < 0:
            raise paramiko.SSHException("more came than the window allows")

    def close(self) -> None:
        """Nothing is held."""


class _Seen:
    """Stands for the library's set of all channels that ever were, of which the highest number tells."""

    def __init__(self) -> None:
        self._last = -1

    def __setitem__(self, number: int, seen: bool) -> None:
        self._last = max(self._last, number)

    def __contains__(self, number: int) -> bool:
        return number <= self._last


class Inlet:
    """Takes the place of a channel's buffer: what the client sends goes on at once, in the connection's thread.

    While the other side takes nothing, the connection's thread waits: then TCP holds back the client. It must not wait
    when the other side waits for that same thread (for room in the client's window, or for new keys, before its replies
    can go): then what came is kept until it is taken, at most what the client's window allows.
    """

    def __init__(self, channel: paramiko.Channel, sock: socket.socket) -> None:
        self._channel = channel
        self._transport: ServerTransport = channel.get_transport()
        self._sock = sock
        self._kept = bytearray()
        self._ended = False
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PAIR_BUFFER)
        channel.in_buffer = self
        channel.in_window_threshold = WINDOW // 4
        self._transport.packetizer.inlets[channel.chanid] = self

    def __len__(self) -> int:
        return 0

    def feed(self, data: bytes | Sequence[memoryview]) -> None:
        """Pass bytes on; allow the client to send as many more."""
        parts = [data] if isinstance(data, bytes) else data
        sent = 0 if self._kept else self._send(parts)
        if sent == sum(map(len, parts)):
            return
        rest = memoryview(b"".join(parts))[sent:]
        while rest and not self._kept and not self._awaited():
            self._wait()
            rest = rest[self._send([rest]) :]
        if not rest:
            return
        if len(self._kept) + len(rest) > _MOST_KEPT:
            raise paramiko.SSHException("more came than the window allows")
        self._kept += rest
        self._transport.stalled.add(self)

    def retry(self) -> None:
        """Try again to pass on what was kept."""
        with memoryview(self._kept) as kept:  # no copy: this is done for whatever little comes
            sent = self._send([kept])
        del self._kept[:sent]
        if not self._kept:
            self._transport.stalled.discard(self)
            if self._ended:
                self._end()

    def _awaited(self) -> bool:
        """Whether replies cannot go before the connection's thread has seen what the client sends next."""
        return self._channel.out_window_size == 0 or not self._transport.clear_to_send.is_set()

    def _wait(self) -> None:
        """Wait a moment for room in the other side's buffer."""
        poll = select.poll()
        with contextlib.suppress(ValueError):  # closed
            poll.register(self._sock, select.POLLOUT)
            poll.poll(_MOMENT)

    def _send(self, parts: Sequence[bytes | memoryview]) -> int:
        """Send what is taken at once, and allow the client as much; return the number of bytes."""
        try:
            sent = self._sock.sendmsg(parts, [], socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError:
            return sum(map(len, parts))  # the node has ended the session; its other thread closes the channel
        allowed = self._channel._check_add_window(sent)
        if allowed:
            self._transport.allow(self._channel, allowed)
        return sent

    def close(self) -> None:
        """The client has ended."""
        self._transport.packetizer.inlets.pop(self._channel.chanid, None)
        self._ended = True
        if not self._kept:  # the end goes behind it
            self._end()

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)


def carry(sock: socket.socket, channel: paramiko.Channel) -> None:
    """Send what comes from `sock` to the client, until it ends. Raises OSError, EOFError, SSHException."""
    buffer = memory(BLOCK)
    transport = channel.get_transport()
    while count := sock.recv_into(buffer):
        data = buffer[:count]
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
            transport._send_user_message(Outgoing(channel.remote_chanid, data[: size + more], most))
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
        packetizer = Packets(sock)
        packetizer.set_log(self.logger)
        packetizer.before_reading = self._do_later
        packetizer.greeted = self._prefer_fast_ciphers
        packetizer.expects = lambda: bool(self._expected_packet)
        self.packetizer = packetizer
        self._later: deque[Callable[[], None]] = deque()
        self._allowed: dict[paramiko.Channel, int] = {}
        self.stalled: set[Inlet] = set()
        """Those that keep something."""
        self.channel_over: Callable[[int], None] = lambda number: None
        """Told, in this transport's thread, when the client has closed a channel; nothing comes on it any more."""
        self._open: dict[int, paramiko.Channel] = {}
        self.channels_seen = _Seen()
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

    def _queue_incoming_channel(self, channel: paramiko.Channel) -> None:
        """Keep a new channel until it is over; the library would keep all, and what comes on them, for good."""
        channel.in_buffer = channel.in_stderr_buffer = _Nowhere()
        self._open[channel.chanid] = channel

    def _unlink_channel(self, number: int) -> None:
        """Let go of a channel."""
        super()._unlink_channel(number)
        if self._open.pop(number, None) is not None:
            self.channel_over(number)

    def after_reply(self, work: Callable[[], None]) -> None:
        """Call `work`, in this transport's thread, when the reply to the present request is sent."""
        self._later.append(work)

    def allow(self, channel: paramiko.Channel, count: int) -> None:
        """Let the client send `count` bytes more; only for this transport's thread."""
        self._allowed[channel] = self._allowed.get(channel, 0) + count
        if not self.stalled:
            self._do_later()

    def _do_later(self) -> None:
        while self._later:
            self._later.popleft()()
        for inlet in list(self.stalled):
            inlet.retry()
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
            self.packetizer.release()
            self._open.clear()
            error = self.saved_exception
            # Many clients just close the connection, without the farewell of SSH.
            left = error is None or isinstance(error, EOFError)
            self._on_end("" if left else f"{type(error).__name__}: {error}")


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
