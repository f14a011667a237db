"""SSH's transport: new keys on slow lines and from both sides, unknown messages, keep-alives, greetings, farewells."""

from __future__ import annotations

import itertools
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import paramiko
import pytest
from paramiko.common import MSG_NAMES
from sshpair import ByHand, Pair, pair
from waiting import DEADLINE, eventually

from ftpgateway.sftp.ssh import kinds, sshd, sshkex

GCM, CTR = ("aes128-gcm@openssh.com",), ("aes128-ctr",)
UNIMPLEMENTED, REQUEST_FAILURE = 3, 82


class Line:
    """Between client and server. What the client sends waits while `gate` says so; `back` is for the other way."""

    def __init__(self) -> None:
        self.gate: Callable[[], None] = lambda: None
        self.back: Callable[[], object] = lambda: None
        self._threads: list[threading.Thread] = []

    def __call__(self, server: socket.socket) -> socket.socket:
        client, ours = socket.socketpair()
        server.settimeout(None)
        for sock in (client, ours, server):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
        for one, other, up in ((ours, server, True), (server, ours, False)):
            self._threads.append(threading.Thread(target=self._carry, args=(one, other, up), daemon=True))
            self._threads[-1].start()
        return client

    def _carry(self, one: socket.socket, other: socket.socket, up: bool) -> None:
        with one:
            try:
                while data := one.recv(4096):
                    (self.gate if up else self.back)()
                    other.sendall(data)
                other.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def end(self) -> None:
        for thread in self._threads:
            thread.join(DEADLINE)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.end()


def session(made: Pair, window: int = 2**21) -> paramiko.Channel:
    channel = made.client.open_session(window_size=window, timeout=DEADLINE)
    channel.settimeout(DEADLINE)
    channel.invoke_subsystem("sftp")
    return channel


def comes_back(
    channel: paramiko.Channel, data: bytes, *, every: int = 2**62, then: Callable[[], None] = lambda: None
) -> None:
    """Send, and read what the node's end echoes; call `then` whenever `every` bytes more have come."""
    sender = threading.Thread(target=partial(channel.sendall, data), daemon=True)
    sender.start()
    got = bytearray()
    while len(got) < len(data):
        part = channel.recv(100_000)
        assert part, "the session ended"
        before = len(got)
        got += part
        if before // every < len(got) // every:
            then()
    assert got == data
    sender.join(DEADLINE)


@pytest.mark.parametrize("ciphers", [GCM, CTR])
def test_new_keys_may_take_as_long_as_a_slow_line_needs(ciphers: tuple[str, ...], line: Line) -> None:
    """The client's answer lies behind all that it has sent already. paramiko gives up after 30 s: here after none."""
    with pair(line=line, algorithms=sshkex.MODERN._replace(ciphers=ciphers)) as made:
        made.client.logs_in()
        channel = session(made)
        keys = made.server.H
        made.server.clear_to_send_timeout = 0.0
        made.server.packetizer.REKEY_BYTES = 200_000
        slowed = []
        behind = threading.Event()

        def slow() -> None:
            if made.server.exchanging and len(slowed) < 25:
                slowed.append(time.sleep(0.02))
                if len(slowed) == 25:
                    behind.set()

        # The client hears of it when it has sent all that: how far ahead it is, is not left to chance.
        line.gate, line.back = slow, lambda: made.server.exchanging and behind.wait(DEADLINE)
        comes_back(channel, os.urandom(1_000_000))
        assert len(slowed) == 25
        # The node was told that something moves, so that it does not take the session for idle.
        eventually(lambda: sum(one.moving for one in made.node.about("life")) > 1)
        assert keys != made.server.H
        channel.close()


def test_a_download_survives_new_keys_on_a_slow_line() -> None:
    """The server's request for keys lies behind what it has sent, which the client reads slowly."""
    with pair() as made:
        made.client.logs_in()
        channel = session(made)
        made.server.clear_to_send_timeout = 0.0
        made.server.packetizer.REKEY_BYTES = 300_000
        keys = made.server.H
        comes_back(channel, bytes(200_000))
        read, slow = made.client.packetizer.read_message, threading.Event()

        def late() -> tuple[int, paramiko.Message]:
            if made.server.exchanging and not slow.is_set():
                slow.set()
                time.sleep(0.5)
            return read()  # type: ignore[no-any-return]

        made.client.packetizer.read_message = late
        comes_back(channel, os.urandom(1_000_000))
        assert slow.is_set() and keys != made.server.H


def test_who_owes_keys_and_sends_nothing_is_ended(line: Line) -> None:
    closed = threading.Event()
    with pair(line=line, idle=0.5) as made:
        made.client.logs_in()
        session(made)
        line.gate = lambda: closed.wait() and None
        made.server.packetizer._trigger_rekey()
        begun = time.monotonic()
        assert made.over() == "new keys were asked for, and nothing came for too long"
        assert time.monotonic() - begun >= 0.5
        closed.set()


class AsksFirst(ByHand):
    """Asks for all kinds of things when it has to answer a request for new keys, and answers then."""

    first: Callable[[], object] | None = None

    def _negotiate_keys(self, message: paramiko.Message) -> None:
        ask, self.first = self.first, None
        if ask is not None:
            ask()
        super()._negotiate_keys(message)


def test_nothing_else_is_sent_while_keys_are_exchanged_and_nothing_is_lost() -> None:
    """paramiko's thread would wait for itself, or send what no client takes then."""
    with pair(AsksFirst) as made:
        made.client.logs_in()
        channel = session(made)
        number = channel.remote_chanid

        def ask() -> None:
            made.client.say(80, "keepalive@openssh.com", True)
            # Channels by number: no strings.
            for kind, name in ((98, b"odd@example.com"), (98, b"env")):
                message = paramiko.Message(bytes([kind]) + number.to_bytes(4, "big"))
                message.packet.seek(5)
                message.add_string(name)
                message.add_boolean(True)
                message.add_string("A")
                message.add_string("b")
                made.client._send_message(message)
            made.client.say(90, "session", 77, 2**20, 2**15)
            made.client.say(kinds.PING, b"here?")
            made.client.say(210)

        while not made.client.came.empty():
            made.client.came.get()
        request_failed = made.client._channel_handler_table = dict(made.client._channel_handler_table)
        request_failed[100] = lambda *_: None  # paramiko's client would close the channel
        made.client.first = ask  # type: ignore[attr-defined]
        made.server.packetizer._trigger_rekey()
        seen = []
        while not seen or seen[-1] != kinds.PONG:
            seen.append(made.client.came.get(timeout=DEADLINE)[0])
        assert seen == [20, UNIMPLEMENTED, 31, 21, REQUEST_FAILURE, 100, 100, 91, kinds.PONG]
        comes_back(channel, b"still there")


def test_who_asks_endlessly_while_keys_are_exchanged_is_ended() -> None:
    with pair(AsksFirst) as made:
        made.client.logs_in()
        made.client.first = lambda: [  # type: ignore[attr-defined]
            made.client.say(80, "keepalive@openssh.com", True) for _ in range(1_100)
        ]
        made.server.packetizer._trigger_rekey()
        assert "too many requests" in made.over()


class InTurn(ByHand):
    """Asks for no keys between two halves of an exchange, as paramiko may."""

    def _activate_outbound(self) -> None:
        super()._activate_outbound()
        self.in_kex = True


@pytest.mark.parametrize("ciphers", [GCM, CTR])
def test_keys_are_asked_for_by_both_at_once_and_again_and_again(ciphers: tuple[str, ...]) -> None:
    with pair(InTurn, algorithms=sshkex.MODERN._replace(ciphers=ciphers)) as made:
        made.client.logs_in()
        channels = [session(made) for _ in range(3)]
        made.server.packetizer.REKEY_BYTES = 150_000
        # By bytes, not by time: on a busy machine nothing might come through between two exchanges.
        for channel in channels:
            comes_back(channel, os.urandom(600_000), every=25_000, then=made.client.packetizer._trigger_rekey)
        seen = [made.client.came.get()[0] for _ in range(made.client.came.qsize())]
        assert seen.count(21) >= 4 and made.stands


class Late(ByHand):
    """Takes its time between the server's new keys and its own."""

    meanwhile: Callable[[], None] | None = None

    def _activate_outbound(self) -> None:
        if self.meanwhile is not None:
            self.meanwhile()
        super()._activate_outbound()


def test_keys_are_not_asked_for_between_two_halves_of_an_exchange() -> None:
    with pair(Late) as made:
        made.client.logs_in()
        channel = session(made)

        def meanwhile() -> None:
            made.client.meanwhile = None  # type: ignore[attr-defined]
            made.server.packetizer._trigger_rekey()
            time.sleep(0.3)  # the server looks every 0.1 s

        while not made.client.came.empty():
            made.client.came.get()
        made.client.meanwhile = meanwhile  # type: ignore[attr-defined]
        made.client.renegotiate_keys()
        comes_back(channel, b"goes on")
        seen = [made.client.came.get()[0] for _ in range(made.client.came.qsize())]
        assert seen[:3] == [20, 31, 21] and 20 not in seen[3:]


def test_clients_that_do_nothing_get_new_keys_when_they_ask() -> None:
    """OpenSSH asks after a time (RekeyLimit)."""
    with pair() as made:
        made.client.logs_in()
        channel = session(made)
        for _ in range(5):
            keys = made.server.H
            made.client.renegotiate_keys()
            assert keys != made.server.H
            comes_back(channel, b"goes on")


def test_what_nobody_knows_is_answered_and_harms_nothing() -> None:
    """RFC 4253, 11.4."""
    with pair() as made:
        client = made.client
        before = {6, *range(8, 20), *range(22, 50), *range(62, 80), 91, 92, 99, 100, *range(101, 192), 200, 255}
        assert before - set(MSG_NAMES), "those end paramiko's loop"
        for kind in sorted(before):
            sent = client.packetizer._Packetizer__sequence_number_out
            client.say(kind, b"x")
            _, content = client.hears(UNIMPLEMENTED)
            # Exact but for the first ones: paramiko's own thread may still be ending the key exchange.
            after = client.packetizer._Packetizer__sequence_number_out
            assert sent <= int.from_bytes(content, "big") < after
        for kind in (2, 3, 4, 7, 81, 82):
            client.say(kind, b"")
        client.say(80, "keepalive@openssh.com", True)
        client.hears(REQUEST_FAILURE)
        client.logs_in()
        channel = session(made)
        client.say(80, b"\xff\xff", False)
        client.say(80, "tcpip-forward", True, "", 8080)
        client.hears(REQUEST_FAILURE)
        client.say(80, "no-more-sessions@openssh.com", False)
        client.say(80, "cancel-tcpip-forward", True, "", 8080)
        client.hears(REQUEST_FAILURE)
        client.say(kinds.PING, b"a" * 1000)
        assert client.hears(kinds.PONG)[1] == (1000).to_bytes(4, "big") + b"a" * 1000
        eventually(lambda: any("SFTP and scp only" in one.reason for one in made.node.about("refused")))
        comes_back(channel, os.urandom(100_000))
        while not client.came.empty():
            assert client.came.get()[0] != REQUEST_FAILURE, "one answer each"


def test_ending_is_said_and_heard() -> None:
    reasons = []
    for farewell in (
        (1, 2, "corrupted MAC\nx", "en"),
        (1, 11, "disconnected by user", ""),
        (1, 3, b"\xff\xfe", ""),
        (1,),
        (21,),
        (20, b"x"),
        (5, b"\xff\xff"),
    ):
        with pair() as made:
            made.client.say(*farewell)  # type: ignore[arg-type]
            reasons.append(made.over())
    assert reasons == [
        "the client left: corrupted MAC\nx (2)",
        "",
        "the client left: \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} (3)",
        "",
        "new keys that nobody has agreed on",
        "a message that cannot be read: a message is too short",
        "a message that cannot be read: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ]


def test_what_keeps_a_connection_alive_is_told() -> None:
    """OpenSSH asks for something, PuTTY sends IGNORE. Before the login nothing of it is life."""
    with pair() as made:
        for kind, parts in ((2, (b"",)), (80, ("keepalive@openssh.com", False))):
            made.client.say(kind, *parts)
        assert not made.node.about("life")
        made.client.logs_in()
        eventually(lambda: len(made.node.about("life")) == 1)
        for kind, parts in ((2, (b"",)), (80, ("keepalive@openssh.com", False)), (kinds.PING, (b"",))):
            reported = len(made.node.about("life"))
            made.client.say(kind, *parts)
            eventually(lambda reported=reported: len(made.node.about("life")) == reported + 1)
        assert not any(one.moving for one in made.node.about("life"))


def greeting(*sent: bytes) -> tuple[bytes, list[str]]:
    """Send these to a server, one after another, when it has greeted; return what it sent, and why it ended."""
    one, other = socket.socketpair()
    reasons: list[str] = []
    server = sshd.ServerTransport(one, [paramiko.ECDSAKey.generate()], reasons.append)
    with other:
        other.settimeout(DEADLINE)
        server.start_server(threading.Event(), paramiko.ServerInterface())
        came = other.recv(100)
        for part in sent:
            other.sendall(part)
            time.sleep(0.02)
        if not sent[-1].endswith(b"!"):
            came += other.recv(10_000)
        other.shutdown(socket.SHUT_RDWR)
    server.join(DEADLINE)
    return came, reasons


@pytest.mark.parametrize(
    "sent",
    [
        (b"SSH-2.0-x\r\n",),
        (b"SSH-2.0-only_a_newline\n",),
        (b"SSH-1.99-old\r\n",),
        (b"SSH-2.0-" + b"v" * 240 + b" a comment\r\n",),
        (b"a line before\r\n", b"another\n", b"SSH-2.0-x\r\n"),
        tuple(bytes([byte]) for byte in b"SSH-2.0-by_the_byte\r\n"),
    ],
)
def test_greetings_of_all_kinds(sent: tuple[bytes, ...]) -> None:
    came, reasons = greeting(*sent)
    assert came.startswith(b"SSH-2.0-pixraft\r\n") and b"curve25519-sha256" in came
    assert reasons == [""]


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"SSH-1.5-ancient\n!", "another version of SSH, b'SSH-1.5-ancient'"),
        (b"x" * 17_000 + b"!", "the greeting is too long"),
        (b"SSH-2.0\r\n!", "another version of SSH"),
        (b"GET / HTTP/1.0\r\n" * 101 + b"!", "not an SSH client; it begins with b'GET / HTTP/1.0'"),
    ],
)
def test_greetings_that_are_none(sent: bytes, why: str) -> None:
    _, (reason,) = greeting(sent)
    assert why in reason


def test_who_begins_with_something_else_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sshd, "_NEXT_LINE", 0.2)
    came, (reason,) = greeting(b"\x16\x03\x01\x02\0\1\0\n\1\xfc\3\3")  # a browser's hello
    assert came == b"SSH-2.0-pixraft\r\n" and reason.startswith("not an SSH client; it begins with b'\\x16")


def test_a_name_that_is_not_text_is_signed_as_it_came() -> None:
    class Latin(ByHand):
        def __init__(self, sock: socket.socket) -> None:
            super().__init__(sock)
            write = self.packetizer.write_all

            def greets(data: bytes) -> None:
                self.packetizer.write_all = write
                self.local_version = b"SSH-2.0-J\xfcrgen"  # type: ignore[assignment]
                write(self.local_version + b"\r\n")

            self.packetizer.write_all = greets

    with pair(Latin) as made:
        made.client.logs_in()


def test_packets_in_two_parts_are_not_waited_for() -> None:
    """Node's sockets hold the second part back until the first was acknowledged: 40 ms for each request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def over_tcp() -> tuple[socket.socket, socket.socket]:
            mine = socket.create_connection(listener.getsockname())
            return listener.accept()[0], mine

        with pair(sockets=over_tcp) as made:
            made.client.logs_in()
            channel = session(made)
            comes_back(channel, b"first")
            write = made.client.packetizer.write_all

            def halved(data: bytes) -> None:
                write(data[:5])
                write(data[5:])

            made.client.packetizer.write_all = halved
            # Most of a hundred: the first are acknowledged at once. Again, where the machine is too busy to tell.
            eventually(lambda: took(channel, 100)[40] < 0.03)


def took(channel: paramiko.Channel, count: int) -> list[float]:
    """Send so many single bytes, each when the one before came back; return how long that took, in order."""
    begun = [time.monotonic()]
    for number in range(count):
        comes_back(channel, bytes([number]))
        begun.append(time.monotonic())
    return sorted(later - earlier for earlier, later in itertools.pairwise(begun))


def test_small_packets_and_odd_windows_are_kept_to() -> None:
    for largest in (1024, 500):
        with pair() as made:
            made.client.logs_in()
            made.client._sanitize_packet_size = lambda size, largest=largest: largest
            channel = session(made, window=2**15)
            data = os.urandom(60_000)
            while not made.client.came.empty():
                made.client.came.get()
            comes_back(channel, data)
            sizes = []
            try:
                while True:
                    kind, content = made.client.came.get_nowait()
                    if kind == 94:
                        sizes.append(len(content) - 8)
            except queue.Empty:
                pass
            assert sum(sizes) == len(data) and max(sizes) <= largest
            # More than 2^32 - 1 is against RFC 4254, 5.2, and done.
            for _ in range(3):
                message = paramiko.Message(b"\x5d" + channel.remote_chanid.to_bytes(4, "big") + b"\xff" * 4)
                made.client._send_message(message)
            comes_back(channel, data)
