"""Fails when pyftpdlib no longer has what `ftpgateway.ftp.pyftp` relies on."""

from __future__ import annotations

import inspect
import re
import select
import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pyftpdlib.ioloop
import pytest
from ftpserver import known
from pyftpdlib.handlers.ftp.control import FTPHandler, proto_cmds

from ftpgateway.ftp import pyftp
from ftpgateway.ftp.pyftp import NestedIOLoop, Watched
from ftpgateway.serving.listening import plain_address


def test_version() -> None:
    """Read the new version's source again, then change this test."""
    assert version("pyftpdlib") == "2.2.0"


def test_signatures() -> None:
    loop = pyftpdlib.ioloop.IOLoop
    assert loop is pyftpdlib.ioloop.Epoll
    assert list(inspect.signature(loop.register).parameters) == ["self", "fd", "instance", "events"]
    assert list(inspect.signature(loop.unregister).parameters) == ["self", "fd"]
    assert list(inspect.signature(loop.modify).parameters) == ["self", "fd", "events"]
    assert list(inspect.signature(FTPHandler.__init__).parameters) == ["self", "conn", "server", "ioloop"]
    assert list(inspect.signature(FTPHandler.respond).parameters) == ["self", "resp", "logfun"]
    assert loop.READ == select.EPOLLIN
    assert loop.WRITE == select.EPOLLOUT
    assert select.EPOLLERR | select.EPOLLHUP == loop._ERROR


def test_methods_that_we_override_exist() -> None:
    ours = vars(pyftp.ControlConnection)
    for name in (
        *("close", "recv", "send", "handle_read_event", "handle_write_event", "writable", "handle_timeout"),
        *("handle_read", "handle_error", "initiate_send", "respond", "push"),
        *("log", "logline", "log_cmd", "log_exception"),
    ):
        assert name in ours
        assert callable(getattr(FTPHandler, name)), name


def test_no_command_is_left_to_the_library() -> None:
    """Its own reach for the host's files."""
    assert set(proto_cmds) - {"SITE"} <= set(known(tls=True))


def test_only_the_adapter_touches_private_attributes() -> None:
    directory = Path(pyftp.__file__).parents[1]
    tree = inspect.getsource(pyftpdlib.ioloop) + inspect.getsource(inspect.getmodule(FTPHandler))  # type: ignore[arg-type]
    private = set(re.findall(r"\bself\.(_[a-z]\w*)", tree))
    text = (directory / "session.py").read_text()
    own = set(re.findall(r"\bself\.(_[a-z]\w*)\s*(?::[^=]*)?=[^=]", text)) | set(
        re.findall(r"def (_\w+)", text)
    )
    own |= set(re.findall(r"^    (_\w+) = ", text, re.MULTILINE))
    used = set(re.findall(r"\bself\.(_[a-z]\w*)", text))
    assert not used & private - own
    assert not own & private, "shadows"
    reached = [re.findall(r"session\._\w+", path.read_text()) for path in (directory / "commands").glob("*.py")]
    assert not any(reached), "commands get along with what `interface.Session` has"


class Echo(Watched):
    """Sends back what comes."""

    def __init__(self, loop: NestedIOLoop, sock: socket.socket) -> None:
        self.loop = loop
        self.sock = sock
        self.events: list[int] = []
        loop.watch(sock.fileno(), self, pyftp.READ)

    def on_events(self, events: int) -> None:
        self.events.append(events)
        self.sock.send(self.sock.recv(100))

    def close(self) -> None:
        self.loop.unwatch(self.sock.fileno())
        self.sock.close()


@pytest.fixture
def loop() -> Iterator[NestedIOLoop]:
    made = NestedIOLoop()
    yield made
    made.close()


def test_watching(loop: NestedIOLoop) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        echo = Echo(loop, ours)
        assert loop.dispatch() == 0
        theirs.send(b"x")
        assert loop.dispatch() == 1
        assert theirs.recv(10) == b"x"
        loop.watch(ours.fileno(), echo, 0)
        theirs.send(b"y")
        assert loop.dispatch() == 0, "paused"
        loop.watch(ours.fileno(), echo, pyftp.READ)
        assert loop.dispatch() == 1, "what came meanwhile is still there"
        loop.unwatch(ours.fileno())
        theirs.send(b"z")
        assert loop.dispatch() == 0
        echo.close()


def test_a_failing_handler_is_closed_and_harms_nobody(loop: NestedIOLoop) -> None:
    class Bad(Echo):
        def on_events(self, events: int) -> None:
            raise ValueError("a bug")

    ours, theirs = socket.socketpair()
    with theirs:
        Bad(loop, ours)
        theirs.send(b"x")
        loop.dispatch()
        assert ours.fileno() == -1
        assert not loop.socket_map


def test_an_event_of_a_closed_socket_does_not_reach_its_successor(loop: NestedIOLoop) -> None:
    """Two sockets are ready; handling the first closes the second and opens another with the same number."""
    pairs = [socket.socketpair() for _ in range(3)]
    second = Echo(loop, pairs[1][0])
    successors: list[Echo] = []

    class Replacer(Echo):
        def on_events(self, events: int) -> None:
            self.sock.recv(10)
            if not successors:
                number = second.sock.fileno()
                second.close()
                moved = pairs[2][0].dup()
                if moved.fileno() != number:
                    pytest.skip("another thread took the number")
                moved.setblocking(False)
                successors.append(Echo(loop, moved))

    first = Replacer(loop, pairs[0][0])
    pairs[0][1].send(b"x")
    pairs[1][1].send(b"x")
    loop.dispatch()
    if successors:
        assert successors[0].events == []
        successors[0].close()
    first.close()
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_plain_addresses() -> None:
    assert plain_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert plain_address("2001:db8::1") == "2001:db8::1"
    assert plain_address("192.0.2.1") == "192.0.2.1"
