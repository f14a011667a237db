"""Channels of one connection: what a client that has logged in can have a worker hold, and what stays usable."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import paramiko
import pytest
from paramiko.buffered_pipe import BufferedPipe
from paramiko.common import cMSG_CHANNEL_DATA, cMSG_CHANNEL_EXTENDED_DATA, cMSG_CHANNEL_REQUEST
from waiting import DEADLINE, eventually

from ftpgateway.sftp.processes import passing
from ftpgateway.sftp.ssh import inlets, sshd
from ftpgateway.sftp.ssh.channels import NOT_HERE, ONE_EACH, TOO_MANY, Client
from raftstore.wire import sftp_pb2 as wire

CHANNELS = 4
STDERR = 1


class Node:
    """The node's end: lets everybody in, keeps the sessions' sockets and what was refused."""

    def __init__(self, control: socket.socket) -> None:
        self.sessions: list[socket.socket] = []
        self.refused: list[str] = []
        self._control = control
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (received := passing.receive(self._control, wire.FromWorker)) is not None:
            message, descriptors = received
            if message.HasField("refused"):
                self.refused.append(message.refused.reason)
                continue
            self.sessions += [socket.socket(fileno=one) for one in descriptors]
            try:
                passing.send(self._control, wire.Answer(yes=True))
            except OSError:  # it is over
                return

    def end(self) -> None:
        self._thread.join(DEADLINE)
        for sock in (*self.sessions, self._control):
            sock.close()


class Connection:
    """One client with its server, whose `client` is logged in."""

    def __init__(self, client: paramiko.Transport, server: sshd.ServerTransport, node: Node) -> None:
        self.client, self.server, self.node = client, server, node

    def send(self, kind: bytes, channel: int, *parts: int | bool | str | bytes) -> None:
        message = paramiko.Message()
        message.add_byte(kind)
        message.add_int(channel)
        for part in parts:
            if isinstance(part, bool):
                message.add_boolean(part)
            elif isinstance(part, int):
                message.add_int(part)
            else:
                message.add_string(part)
        self.client._send_user_message(message)

    def request(self, channel: paramiko.Channel, name: str, *parts: str) -> None:
        """Ask, for no answer."""
        self.send(cMSG_CHANNEL_REQUEST, channel.remote_chanid, name, False, *parts)

    def settle(self) -> None:
        """Wait until all that was sent is dealt with: the answer to this comes after that."""
        self.client.global_request("nothing", wait=True)
        assert self.client.is_active()

    def idle(self) -> bool:
        """End the sessions, as the node does when their client has; whether all threads have ended."""
        for sock in self.node.sessions:
            sock.close()
        return not working()

    def session(self, channel: paramiko.Channel | None = None) -> paramiko.Channel:
        """Open a session, and see that it works."""
        channel = self.client.open_session(timeout=DEADLINE) if channel is None else channel
        channel.settimeout(DEADLINE)
        before = len(self.node.sessions)
        channel.invoke_subsystem("sftp")
        channel.sendall(b"to the node")
        eventually(lambda: len(self.node.sessions) > before)
        self.node.sessions[-1].settimeout(DEADLINE)
        assert self.node.sessions[-1].recv(100) == b"to the node"
        self.node.sessions[-1].sendall(b"to the client")
        assert channel.recv(100) == b"to the client"
        return channel


@contextmanager
def connected() -> Iterator[Connection]:
    one, other = socket.socketpair()
    control, at_node = passing.pair()
    asked, node = Client(control, CHANNELS), Node(at_node)
    server = sshd.ServerTransport(one, [paramiko.ECDSAKey.generate()], lambda reason: None)
    server.channel_over = asked.channel_over
    client = paramiko.Transport(other)
    client.banner_timeout = client.handshake_timeout = client.auth_timeout = DEADLINE
    try:
        server.start_server(threading.Event(), asked)
        client.start_client(timeout=DEADLINE)
        client.auth_password("alice", "secret")
        yield Connection(client, server, node)
    finally:
        client.close()
        server.close()
        server.join(DEADLINE)
        control.shutdown(socket.SHUT_RDWR)
        node.end()
        eventually(lambda: not working())
        control.close()


def working() -> int:
    return sum(thread.name in {"exec", "shell", "sftp"} for thread in threading.enumerate())


def full(connection: Connection) -> bool:
    """Whether one channel more is refused."""
    try:
        connection.client.open_session(timeout=DEADLINE).close()
    except paramiko.ChannelException:
        return True
    return False


def test_a_channel_gets_one_request_one_thread_and_one_place() -> None:
    with connected() as connection:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connection.client, "_sanitize_window_size", lambda size: 0)
            channels = [connection.client.open_session(timeout=DEADLINE)]  # nothing can be sent to it
        for name in ["exec", "shell"] * 25:
            connection.request(channels[0], name, "x")
        connection.settle()
        assert working() == 1
        eventually(lambda: len(connection.node.refused) == 50)
        assert connection.node.refused == [NOT_HERE] + [ONE_EACH] * 49
        channels += [connection.client.open_session() for _ in range(CHANNELS - 1)]
        assert full(connection)
        eventually(lambda: connection.node.refused[50:] == [TOO_MANY])
        for channel in channels:
            channel.close()
        eventually(lambda: not working())
        assert [connection.session() for _ in range(CHANNELS)] and full(connection)


def test_a_channel_that_was_refused_something_can_ask_for_something_else() -> None:
    with connected() as connection:
        channel = connection.client.open_session(timeout=DEADLINE)
        connection.request(channel, "subsystem", "netconf")
        connection.session(channel)
        connection.request(channel, "exec", "x")
        connection.request(channel, "subsystem", "sftp")
        connection.settle()
        assert len(connection.node.sessions) == 1 and working() == 1
        connection.node.sessions[0].sendall(b"still")
        assert channel.recv(100) == b"still"


@pytest.mark.parametrize("request_", [None, ("subsystem", "netconf"), ("exec", "ls")])
def test_channels_that_became_no_session_give_back_their_places(request_: tuple[str, str] | None) -> None:
    with connected() as connection:
        for _ in range(2):
            channels = []
            while len(channels) < CHANNELS:
                channels.append(connection.client.open_session(timeout=DEADLINE))
                if request_ is not None:
                    connection.request(channels[-1], *request_)
            connection.settle()
            assert request_ == ("exec", "ls") or full(connection)
            for channel in channels:
                channel.close()
            eventually(lambda: not working())
        assert [connection.session() for _ in range(CHANNELS)] and full(connection)


@pytest.mark.parametrize(
    ("kind", "is_session"),
    [(cMSG_CHANNEL_DATA, False), (cMSG_CHANNEL_EXTENDED_DATA, False), (cMSG_CHANNEL_EXTENDED_DATA, True)],
)
def test_what_nobody_reads_is_thrown_away_and_more_than_the_window_ends_the_connection(
    kind: bytes, is_session: bool
) -> None:
    with connected() as connection:
        channel = connection.session() if is_session else connection.client.open_session(timeout=DEADLINE)
        send = partial(connection.send, kind, channel.remote_chanid)
        code = [STDERR] if kind == cMSG_CHANNEL_EXTENDED_DATA else []
        for _ in range(inlets.WINDOW // 2**17):
            send(*code, bytes(2**17))
        connection.settle()
        (at_server,) = connection.server._channels.values()
        for buffer in (at_server.in_buffer, at_server.in_stderr_buffer):
            assert not isinstance(buffer, BufferedPipe)
        send(*code, b"x")
        eventually(lambda: not connection.client.is_active())
        connection.server.join(DEADLINE)
        assert "more came than the window allows" in str(connection.server.saved_exception)


def test_nothing_is_left_of_channels_that_are_over() -> None:
    with connected() as connection:

        def at_server() -> int:
            gc.collect()
            every = [one for one in gc.get_objects() if type(one) is paramiko.Channel]
            return sum(one.transport is connection.server for one in every)

        channel = connection.session()
        assert at_server() == 1
        for name, text in (("subsystem", "sftp"), ("subsystem", "netconf"), ("exec", "ls")) * 5:
            channel.close()
            connection.settle()
            eventually(connection.idle)
            channel = connection.client.open_session(timeout=DEADLINE)
            connection.request(channel, name, text)
        channel.close()
        connection.settle()
        eventually(connection.idle)
        # What is late for one of them does no harm; on one that never was it is against the protocol.
        connection.send(cMSG_CHANNEL_DATA, channel.remote_chanid, b"late")
        connection.settle()
        eventually(lambda: at_server() == 0)
        assert not connection.server.server_accepts and not connection.server._open
        connection.send(cMSG_CHANNEL_DATA, channel.remote_chanid + 1_000, b"out of nowhere")
        eventually(lambda: not connection.client.is_active())
