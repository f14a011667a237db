"""The SSH process: takes connections from its node until the node is gone. Started by `workers`, never by hand.

It listens nowhere, opens no file and holds no secret but the host keys, which the node sends it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Sequence

import paramiko

from ftpgateway.sftp.processes import passing
from ftpgateway.sftp.ssh import sshd, sshkex
from ftpgateway.sftp.ssh.channels import Client
from raftstore.wire import sftp_pb2 as wire

SWITCH = 0.0005
"""Seconds after which a thread that wants to run gets its turn: with Python's 5 ms, threads that wait for each other's
packets stand still most of the time."""
_LIVES = 8
"""How often within the idle time the node is told at most that a client lives."""
STACK = 512 * 1024


class _Held:
    """One connection: its transport, and the socket on which the node hears of it."""

    def __init__(self, client: socket.socket, control: socket.socket) -> None:
        self.client = client
        self.control = control
        self.transport: sshd.ServerTransport | None = None
        self.asked: Client | None = None

    def over(self, reason: str) -> None:
        """Tell the node that it is over; wakes the main thread, too."""
        with contextlib.suppress(OSError):
            passing.send(self.control, wire.FromWorker(over=wire.Over(reason=reason[:500])))
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_RDWR)

    def say_farewell(self) -> None:
        """Tell the client why the node has ended it, if the node says so."""
        if self.asked is not None and self.transport is not None and (reason := self.asked.why_over()):
            self.transport.farewell(reason)


class Worker:
    """All connections of this process; `run` is its main thread."""

    def __init__(self, control: socket.socket, setup: wire.Setup) -> None:
        self._control = control
        self._keys: Sequence[paramiko.PKey] = ()
        self._channels = 0
        self._algorithms = sshkex.MODERN
        self._idle = sshd.IDLE
        self._take(setup)
        self._poll = select.poll()
        self._held: dict[int, _Held] = {}

    def run(self) -> None:
        """Serve until the node closes the control socket."""
        self._poll.register(self._control, select.POLLIN)
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor != self._control.fileno():
                    self._end(descriptor)
                    continue
                received = passing.receive(self._control, wire.ToWorker)
                if received is None:
                    return
                message, descriptors = received
                if message.HasField("setup"):
                    self._take(message.setup)
                elif message.HasField("probe"):
                    passing.send(self._control, wire.Alive(yes=True))
                elif message.HasField("connection") and len(descriptors) == 2:
                    self._begin(*descriptors)
                else:
                    passing.close(descriptors)

    def _take(self, setup: wire.Setup) -> None:
        self._keys = [sshkex.host_key(text) for text in setup.host_keys]
        self._channels = setup.channels
        self._algorithms = sshkex.algorithms(legacy=setup.legacy_algorithms)
        self._idle = setup.idle_timeout or sshd.IDLE

    def _begin(self, client: int, control: int) -> None:
        held = self._held[control] = _Held(socket.socket(fileno=client), socket.socket(fileno=control))
        # Only its end is of interest here: the connection's own thread reads what comes.
        self._poll.register(control, select.POLLRDHUP)
        try:
            held.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = sshd.ServerTransport(
                held.client, self._keys, held.over, algorithms=self._algorithms, idle=self._idle
            )
            asked = held.asked = Client(held.control, self._channels, self._idle / _LIVES)
            transport.channel_over = asked.channel_over
            transport.on_life = asked.lives
            held.transport = transport
            transport.start_server(threading.Event(), asked)
        except Exception as error:
            held.over(f"{type(error).__name__}: {error}")

    def _end(self, control: int) -> None:
        """The node, or the client, has ended a connection."""
        self._poll.unregister(control)
        held = self._held.pop(control)
        held.say_farewell()
        with contextlib.suppress(OSError):
            held.client.shutdown(socket.SHUT_RDWR)  # its thread ends by that
        held.client.close()
        held.control.close()


def main() -> None:
    """Run as a worker: the only argument is the descriptor of the control socket."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # meant for the node, which ends this process in order
    sys.setswitchinterval(SWITCH)
    threading.stack_size(STACK)
    sshd.quiet()
    control = socket.socket(fileno=int(sys.argv[1]))
    received = passing.receive(control, wire.ToWorker)
    if received is not None:
        Worker(control, received[0].setup).run()
    os._exit(0)  # threads may wait for clients


if __name__ == "__main__":
    main()
