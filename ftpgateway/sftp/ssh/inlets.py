"""What becomes of the bytes in channels: a session's go to the node and come from there, others nowhere.

A session's buffer in paramiko is replaced by one that passes on what comes in the thread that has decrypted it:
handing it to another thread, as paramiko does, and reading by the packet took more than half of the time. What comes on
a channel that is no session is thrown away: paramiko would keep it without a bound.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Sequence
from typing import Protocol

import paramiko

from ftpgateway.sftp.ssh.sshpackets import BLOCK, LARGEST_DATA, MAX_SSH_PACKET, Packets
from ftpgateway.sftp.ssh.sshparts import Outgoing, memory

WINDOW = 2 * 1024 * 1024
"""Bytes that a client may send ahead in one channel."""
PAIR_BUFFER = 512 * 1024
"""Bytes that the system keeps between worker and node, in each direction, if it lets us have that many."""
_MOST_KEPT = WINDOW + MAX_SSH_PACKET
_MOMENT = 100
"""Milliseconds after which a thread that waits looks whether it is waited for."""


class Transport(Protocol):
    """What an inlet needs of its connection."""

    packetizer: Packets
    stalled: set[Inlet]
    clear_to_send: threading.Event

    def allow(self, channel: paramiko.Channel, more: int) -> None:
        """Allow the client to send `more` bytes."""


class Nowhere:
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


class Seen:
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
        self._transport: Transport = channel.get_transport()
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
