"""A worker's SSH connection without a worker: its transport, a node that knows keys, a client by hand."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import paramiko
from paramiko.common import MSG_UNIMPLEMENTED, MSG_USERAUTH_FAILURE, MSG_USERAUTH_SUCCESS
from waiting import DEADLINE, eventually

from ftpgateway.sftp.processes import passing
from ftpgateway.sftp.ssh import kinds, sshd, sshkex
from ftpgateway.sftp.ssh.channels import Client
from raftstore.wire import sftp_pb2 as wire

RSA = sshkex.RsaHostKey(key=paramiko.RSAKey.generate(2048).key)
PASSWORD = b"secret"
FAILURE, SUCCESS, BANNER, PK_OK = MSG_USERAUTH_FAILURE, MSG_USERAUTH_SUCCESS, 53, 60
_BY_HAND = {MSG_UNIMPLEMENTED, FAILURE, SUCCESS, BANNER, PK_OK, kinds.PONG}
"""What the client's library does not get to see: the test answers."""


class Node:
    """The node's end. `keys` are those that log in; sessions' sockets echo what comes."""

    def __init__(self, control: socket.socket) -> None:
        self.keys: set[bytes] = set()
        self.text = ""
        self.reported: list[wire.FromWorker] = []
        self._control = control
        self.sessions: list[socket.socket] = []
        self._echoes: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (received := passing.receive(self._control, wire.FromWorker)) is not None:
            message, descriptors = received
            kind = message.WhichOneof("kind")
            self.reported.append(message)
            if kind == "password":
                good = message.password.password == PASSWORD
            elif kind == "key":
                good = message.key.blob in self.keys
            elif kind == "open":
                good = True
                self.sessions += [socket.socket(fileno=one) for one in descriptors]
                self._echoes.append(threading.Thread(target=_echo, args=[self.sessions[-1]], daemon=True))
                self._echoes[-1].start()
            else:
                continue
            try:
                passing.send(self._control, wire.Answer(yes=good, text="" if good else self.text))
            except OSError:  # it is over
                return

    def about(self, kind: str) -> list[Any]:
        """What was told of a kind."""
        return [getattr(one, kind) for one in list(self.reported) if one.WhichOneof("kind") == kind]

    def end(self) -> None:
        for thread in (self._thread, *self._echoes):
            thread.join(DEADLINE)
        self._control.close()


def _echo(sock: socket.socket) -> None:
    with sock:
        try:
            while data := sock.recv(100_000):
                sock.sendall(data)
        except OSError:
            return


class ByHand(paramiko.Transport):  # type: ignore[misc]
    """A client; `came` has every packet of the server, `say` sends one."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.banner_timeout = self.handshake_timeout = self.auth_timeout = DEADLINE
        self.came: queue.Queue[tuple[int, bytes]] = queue.Queue()
        read = self.packetizer.read_message

        def seen() -> tuple[int, paramiko.Message]:
            while True:
                kind, message = read()
                self.came.put((kind, message.asbytes()))
                if kind not in _BY_HAND:
                    return kind, message

        self.packetizer.read_message = seen

    def say(self, kind: int, *parts: object) -> None:
        """Send: bytes and text as strings, integers, booleans."""
        message = paramiko.Message()
        message.add_byte(bytes([kind]))
        for part in parts:
            if isinstance(part, bool):
                message.add_boolean(part)
            elif isinstance(part, int):
                message.add_int(part)
            else:
                message.add_string(part)
        self._send_message(message)

    def hears(self, *kinds: int) -> tuple[int, bytes]:
        """Wait for one of these; return it with what it carries."""
        while True:
            kind, content = self.came.get(timeout=DEADLINE)
            if kind in kinds:
                return kind, content

    def asks(self, method: str, *parts: object, user: bytes = b"alice") -> int:
        """Ask to log in; return the kind of the answer."""
        self.say(50, user, "ssh-connection", method, *parts)
        return self.hears(FAILURE, SUCCESS, PK_OK, 60)[0]

    def logs_in(self) -> None:
        """Log in with the password."""
        assert self.asks("password", False, PASSWORD) == SUCCESS
        self.initial_kex_done = True
        auth = paramiko.auth_handler.AuthHandler(self)
        auth.authenticated = True
        self.auth_handler = auth


class Pair:
    """A client and its server."""

    def __init__(self, client: ByHand, server: sshd.ServerTransport, node: Node, reasons: list[str]) -> None:
        self.client, self.server, self.node, self.reasons = client, server, node, reasons

    @property
    def stands(self) -> bool:
        """Whether the connection does."""
        return bool(self.server.is_active() and self.client.is_active())

    def over(self) -> str:
        """Wait for the end; return why."""
        eventually(lambda: self.reasons)
        return self.reasons[0]


@contextmanager
def pair(
    kind: type[ByHand] = ByHand,
    *,
    line: Callable[[socket.socket], socket.socket] = lambda sock: sock,
    sockets: Callable[[], tuple[socket.socket, socket.socket]] = socket.socketpair,
    start: bool = True,
    **options: Any,
) -> Iterator[Pair]:
    """Connect; `line` may put something between the client and the server's socket."""
    one, other = sockets()
    control, at_node = passing.pair()
    asked, node = Client(control, 4, life_period=0.0), Node(at_node)
    reasons: list[str] = []
    server = sshd.ServerTransport(one, [paramiko.ECDSAKey.generate(), RSA], reasons.append, **options)
    server.channel_over = asked.channel_over
    server.on_life = asked.lives
    client = kind(line(other))
    try:
        server.start_server(threading.Event(), asked)
        if start:
            client.start_client(timeout=DEADLINE)
            client.say(5, "ssh-userauth")
            client.hears(6)
        yield Pair(client, server, node, reasons)
    finally:
        client.close()
        server.close()
        server.join(DEADLINE)
        assert not server.is_alive()
        control.shutdown(socket.SHUT_RDWR)
        node.end()
        eventually(
            lambda: not any(thread.name in {"sftp", "exec", "shell"} for thread in threading.enumerate())
        )
        control.close()
