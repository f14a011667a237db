"""SSH packets as workers take and send them: beside the library's own packetizer, and within whole connections."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import paramiko
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_WINDOW_ADJUST
from paramiko.packet import NeedRekeyException, Packetizer
from waiting import DEADLINE

from ftpgateway.sftp.ssh import inlets, sshd
from ftpgateway.sftp.ssh.sshpackets import LARGEST_DATA, MAX_SSH_PACKET, Packets
from ftpgateway.sftp.ssh.sshparts import Outgoing

KEY, NONCE = os.urandom(16), os.urandom(12)
CHANNEL = 7


@contextmanager
def ours_and_theirs() -> Iterator[tuple[Packets, Packetizer, socket.socket]]:
    """Two ends that have agreed on keys: ours, the library's, and the socket on which the library's writes."""
    one, other = socket.socketpair()
    with one, other:
        for sock in (one, other):
            sock.settimeout(0.1)
        mine, library = Packets(one), Packetizer(other)
        for end in (mine, library):
            end.set_outbound_cipher(AESGCM(KEY), 16, None, 16, None, aead=True, iv_out=NONCE)
            end.set_inbound_cipher(AESGCM(KEY), 16, None, 16, None, aead=True, iv_in=NONCE)
        yield mine, library, other


def message(kind: int, *parts: int | bytes) -> paramiko.Message:
    made = paramiko.Message()
    made.add_byte(bytes([kind]))
    for part in parts:
        if isinstance(part, int):
            made.add_int(part)
        else:
            made.add_string(part)
    return made


class Kept:
    """Keeps what it takes, and how it came."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.calls: list[int] = []

    def feed(self, data: Sequence[memoryview]) -> None:
        self.calls.append(len(data))
        for part in data:
            self.data += part


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_what_the_library_sends_is_taken_in_order() -> None:
    with ours_and_theirs() as (mine, library, _):
        kept = mine.inlets[CHANNEL] = Kept()
        chance = random.Random(5)
        sizes = [0, 1, 2, 15, 16, 17, 5_000, 32_704, LARGEST_DATA, MAX_SSH_PACKET - 64, *([3] * 3_000)]
        sizes += [chance.choice((1, 100, 32_704)) for _ in range(60)]
        pieces = [os.urandom(size) for size in sizes]

        def send() -> None:
            for number, piece in enumerate(pieces):
                library.send_message(message(MSG_CHANNEL_DATA, CHANNEL, piece))
                if number % 500 == 0:
                    library.send_message(message(MSG_CHANNEL_WINDOW_ADJUST, CHANNEL, number))
            library.send_message(message(MSG_CHANNEL_DATA, CHANNEL + 1, b"of another"))
            library.send_message(odd())

        def odd() -> paramiko.Message:
            """Data whose length is not that of the packet: for the library to judge."""
            made = message(MSG_CHANNEL_DATA, CHANNEL, 4)
            made.add_bytes(b"more than four")
            return made

        sender = in_thread(send)
        came, seen = [], 0
        while True:
            kind, taken = mine.read_message()
            seen += 1
            if kind == MSG_CHANNEL_DATA:
                break
            assert kind == MSG_CHANNEL_WINDOW_ADJUST and taken.get_int() == CHANNEL
            number = taken.get_int()
            came.append(number)
            # What came before is passed on before what follows is looked at.
            assert bytes(kept.data) == b"".join(pieces[: number + 1])
            assert taken.seqno == number + seen
        assert came == list(range(0, len(pieces), 500))
        assert taken.get_int() == CHANNEL + 1 and taken.get_binary() == b"of another"
        kind, taken = mine.read_message()
        assert kind == MSG_CHANNEL_DATA and taken.get_int() == CHANNEL
        assert bytes(kept.data) == b"".join(pieces)
        assert 1 < max(kept.calls) <= 256
        sender.join(DEADLINE)


def test_the_library_takes_what_is_sent() -> None:
    with ours_and_theirs() as (mine, library, _):
        data = os.urandom(700_000)
        mosts = (1, 100, 4032, 32_704, LARGEST_DATA)
        lengths = (0, 1, 31, 600, 32_705, 256 * 1024)

        def send() -> None:
            for most in mosts:
                for length in lengths:
                    if length / most < 3_000:
                        mine.send_message(Outgoing(CHANNEL, memoryview(data)[:length], most))
                    mine.send_message(message(MSG_CHANNEL_WINDOW_ADJUST, CHANNEL, length))
                mine.send_message(message(MSG_CHANNEL_WINDOW_ADJUST, CHANNEL, most, data[: LARGEST_DATA - 100]))

        sender = in_thread(send)
        for most in mosts:
            for length in lengths:
                got = b""
                while (taken := library.read_message())[0] == MSG_CHANNEL_DATA:
                    assert taken[1].get_int() == CHANNEL
                    part = taken[1].get_binary()
                    assert len(part) <= most
                    got += part
                assert taken[1].get_int() == CHANNEL and taken[1].get_int() == length
                assert got == (data[:length] if length / most < 3_000 else b"")
            kind, taken = library.read_message()
            assert (kind, taken.get_int(), taken.get_int()) == (MSG_CHANNEL_WINDOW_ADJUST, CHANNEL, most)
            assert taken.get_binary() == data[: LARGEST_DATA - 100]
        sender.join(DEADLINE)


def test_what_was_tampered_with_is_not_passed_on() -> None:
    for flipped in (4, 40, -1):
        with ours_and_theirs() as (mine, library, wire):
            kept = mine.inlets[CHANNEL] = Kept()
            sealed = bytearray()
            library.write_all = sealed.extend
            library.send_message(message(MSG_CHANNEL_DATA, CHANNEL, b"x" * 60))
            sealed[flipped] ^= 1
            wire.sendall(sealed)
            with pytest.raises(InvalidTag):
                mine.read_message()
            assert not kept.data


def test_lengths_nobody_may_send_are_refused_at_once() -> None:
    for length in (0, 8, 17, MAX_SSH_PACKET, 2**31, 2**32 - 16):
        with ours_and_theirs() as (mine, _, wire):
            wire.sendall(length.to_bytes(4, "big"))
            with pytest.raises(paramiko.SSHException, match="a packet of"):
                mine.read_message()


def test_new_keys_are_asked_for_and_must_come() -> None:
    with ours_and_theirs() as (mine, library, _):
        mine.REKEY_BYTES, mine.REKEY_BYTES_OVERFLOW_MAX = 10_000, 20_000
        kept = mine.inlets[CHANNEL] = Kept()

        def send(count: int) -> None:
            for _ in range(count):
                library.send_message(message(MSG_CHANNEL_DATA, CHANNEL, bytes(1_000)))

        # Not more at once than are taken after the request: what is at hand is taken before that is looked at.
        send(12)
        with pytest.raises(NeedRekeyException):
            mine.read_message()
        assert mine.need_rekey() and len(kept.data) == 12_000
        sender = in_thread(partial(send, 28))
        with pytest.raises(paramiko.SSHException, match="new keys"):
            while True:
                with pytest.raises(NeedRekeyException):
                    mine.read_message()
        assert len(kept.data) <= 31_000
        sender.join(DEADLINE)
    with ours_and_theirs() as (mine, library, _):
        mine.REKEY_PACKETS = 3
        mine.send_message(Outgoing(CHANNEL, memoryview(bytes(200)), 100))
        assert not mine.need_rekey()
        mine.send_message(message(MSG_CHANNEL_WINDOW_ADJUST, CHANNEL, 1))
        assert mine.need_rekey()


def test_the_library_keeps_its_counts_where_they_are_looked_for() -> None:
    """Counts that the library would keep elsewhere would be made here without a word."""
    sock, other = socket.socketpair()
    with sock, other:
        library = vars(Packetizer(sock))
        used = {name for name in vars(Packets(sock)) if name.startswith("_Packetizer__")}
        assert used == {name for name in library if name.startswith("_Packetizer__")}
        for name in (
            *("sequence_number_in", "sequence_number_out", "write_lock", "sent_bytes", "sent_packets"),
            *("received_bytes", "received_packets", "received_bytes_overflow", "received_packets_overflow"),
        ):
            assert f"_Packetizer__{name}" in library


class Echo(paramiko.ServerInterface):
    """Sends back what comes in an SFTP session, as the node would its replies."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def check_auth_none(self, username: str) -> int:
        return int(paramiko.AUTH_SUCCESSFUL)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        ours, theirs = socket.socketpair()
        inlets.Inlet(channel, ours)
        in_thread(partial(self.echo, theirs))
        channel.get_transport().after_reply(lambda: in_thread(partial(self.carry, ours, channel)) and None)
        return True

    def echo(self, sock: socket.socket) -> None:
        with sock:
            try:
                while data := sock.recv(100_000):
                    sock.sendall(data)
            except OSError:
                return

    def carry(self, sock: socket.socket, channel: paramiko.Channel) -> None:
        with sock:
            try:
                inlets.carry(sock, channel)
                channel.close()
            except (OSError, EOFError, paramiko.SSHException):
                pass
            self.ended.set()


@contextmanager
def connection(
    cipher: str, rekey: int = 2**29
) -> Iterator[tuple[paramiko.Transport, sshd.ServerTransport, Echo]]:
    one, other = socket.socketpair()
    echo = Echo()
    server = sshd.ServerTransport(one, [paramiko.ECDSAKey.generate()], lambda reason: None)
    server.packetizer.REKEY_BYTES = rekey
    client = paramiko.Transport(other)
    client.banner_timeout = client.handshake_timeout = client.auth_timeout = DEADLINE
    client.get_security_options().ciphers = [cipher]
    try:
        server.start_server(threading.Event(), echo)
        client.start_client(timeout=DEADLINE)
        client.auth_none("somebody")
        yield client, server, echo
    finally:
        client.close()
        server.close()
        server.join(DEADLINE)
        assert not server.is_alive()


def session(client: paramiko.Transport, window: int, packet: int) -> paramiko.Channel:
    channel = client.open_session(window_size=window, max_packet_size=packet, timeout=DEADLINE)
    channel.settimeout(DEADLINE)
    channel.invoke_subsystem("sftp")
    return channel


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr"])
@pytest.mark.parametrize("asked_by", ["client", "server"])
def test_all_bytes_come_back_over_new_keys_and_closed_windows(cipher: str, asked_by: str) -> None:
    """The client reads while more comes than all buffers hold: neither side may wait for the other."""
    for window, packet in ((2**21, 2**15), (2**15, 2**12), (40_000, 2**20)):
        # One each: the library's server opens channels even while keys are exchanged, which its client does not take.
        with connection(cipher, rekey=300_000 if asked_by == "server" else 2**29) as (client, server, echo):
            channel = session(client, window, packet)
            data = os.urandom(2_000_000)
            exchange = server.H
            sender = in_thread(partial(channel.sendall, data))
            got = bytearray()
            while len(got) < len(data):
                got += channel.recv(50_000)
                if asked_by == "client" and len(got) > 500_000 and exchange == server.H:
                    client.renegotiate_keys()
            assert got == data
            sender.join(DEADLINE)
            assert exchange != server.H  # the keys were changed
            channel.shutdown_write()
            assert channel.recv(100) == b""
            assert echo.ended.wait(DEADLINE)
            assert not server.packetizer.inlets


def test_who_reads_nothing_holds_up_itself_only_and_ends_at_any_time() -> None:
    with connection("aes128-gcm@openssh.com") as (client, _, echo):
        slow, quick = session(client, 2**15, 2**15), session(client, 2**21, 2**15)
        slow.sendall(bytes(150_000))  # its replies fill the window, and wait then
        quick.sendall(b"quick")
        assert quick.recv(100) == b"quick"
        slow.close()
        assert echo.ended.wait(DEADLINE)
        quick.sendall(b"still")
        assert quick.recv(100) == b"still"
        echo.ended.clear()
        client.sock.close()
        assert echo.ended.wait(DEADLINE)
    assert MAX_SSH_PACKET >= 35_000
