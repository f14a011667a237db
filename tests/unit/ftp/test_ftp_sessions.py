"""Sessions: login, limits, many at once, and how they end."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import uvloop
from ftpserver import PASSWORD, Client, Server, serving
from waiting import DEADLINE

from ftpgateway.ftp import session as front_session
from ftpgateway.ftp.pyftp.control import CONTROL_READ
from ftpgateway.ftp.session import QUEUE_LIMIT
from raftstore import errors
from raftstore.util.limits import slices


def test_wrong_password_three_times() -> None:
    with serving() as server, server.client(None) as client:
        assert client.command("PASS x") == 503
        for expected in (530, 530, 421):
            assert client.command("USER alice") == 331
            assert client.command("PASS wrong") == expected
        assert client.at_end()
        assert server.access.failures == 3


def test_unknown_user_looks_like_a_wrong_password() -> None:
    with serving() as server, server.client(None) as client:
        assert client.command("USER nobody") == 331
        assert client.command("PASS x") == 530
        text = client.text
        assert client.command("USER alice") == 331
        assert client.command(b"PASS \xff\xfe\xfd") == 530
        assert client.text == text
        assert client.command("USER alice") == 331
        assert client.command(f"PASS {PASSWORD}") == 230


def test_login_without_quorum() -> None:
    with serving() as server, server.client(None) as client:
        server.fail("user", errors.NoQuorum())
        assert client.command("USER alice") == 331
        assert client.command(f"PASS {PASSWORD}") == 421
        assert client.at_end()


def test_names_without_quorum() -> None:
    with serving() as server, server.client() as client:
        client.data().close()
        for call in ("lookup", "listing", "make_directory", "remove_directory", "remove", "rename", "partial"):
            server.fail(call, errors.NoQuorum())
            for line in {
                "lookup": ["CWD d", "MLST d", "RNFR d", "MDTM d"],
                "listing": ["LIST", "NLST", "MLSD", "STAT /"],
                "make_directory": ["MKD d"],
                "remove_directory": ["RMD d"],
                "remove": ["DELE f"],
                "rename": [],
                "partial": ["SIZE f"],
            }[call]:
                assert client.command(line) == 451, line
            server.heal()
        server.run(server.store.put, "/f", b"")
        server.fail("rename", errors.OutcomeUnknown())
        assert client.command("RNFR f") == 350
        assert client.command("RNTO g") == 451
        assert "list the directory" in client.text


def test_pipelined_commands_are_answered_in_order() -> None:
    with serving() as server, server.client() as client:
        gate = server.gate("make_directory")
        client.sock.sendall(b"MKD a\r\n" + b"NOOP\r\nSIZE a\r\nABOR\r\n" * 300 + b"QUIT\r\n")
        gate.wait_until_held()
        assert client.silent()
        gate.open()
        assert client.reply() == 257
        for _ in range(300):
            assert [client.reply() for _ in range(3)] == [200, 550, 225]
        assert client.reply() == 221
        assert client.at_end()


def test_reading_pauses_when_too_much_queues() -> None:
    with serving() as server, server.client() as client:
        gate = server.gate("make_directory")
        client.send("MKD a")
        gate.wait_until_held()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # or it holds millions of bytes
        client.sock.setblocking(False)
        block, sent = b"NOOP\r\n" * 10_000, 0
        try:
            while sent < 64 * 1024 * 1024:
                sent += client.sock.send(block[sent % len(block) :])
        except BlockingIOError:
            pass
        session = next(iter(server.frontend._sessions))
        assert server.run(lambda: len(session._lines)) < 4096
        assert sent < 64 * 1024 * 1024
        client.sock.settimeout(DEADLINE)
        expected = len("257 ") + len('"/a" directory created.\r\n') + sent // 6 * len("200 Nothing done.\r\n")
        gate.open()
        while expected > 0:
            expected -= len(client.sock.recv(1024 * 1024))
        assert expected == 0


def test_reading_pauses_while_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what a client pipelines piles up in memory while many sessions are in line."""
    turns: list[Callable[[], object]] = []
    monkeypatch.setattr(front_session, "call_in_slice", lambda turn, _: turns.append(turn))
    with serving() as server, server.client() as client:
        (session,) = server.frontend._sessions
        client.sock.sendall(b"NOOP\r\n" * 20_000)
        server.wait_for(lambda: bool(turns) and session._reading_paused)
        assert QUEUE_LIMIT <= server.run(lambda: len(session._lines)) <= QUEUE_LIMIT + CONTROL_READ // 6
        monkeypatch.setattr(front_session, "call_in_slice", slices.call_in_slice)
        server.run(turns.pop())
        for _ in range(20_000):
            assert client.reply() == 200


def test_who_was_in_line_runs_a_command_though_others_have_used_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others' lines can come before the line is served in every turn of the loop, and take all the time."""

    class Used:
        used = True

    with serving() as server, server.client() as client:
        monkeypatch.setattr(server.frontend, "commands_slice", Used())
        client.sock.sendall(b"NOOP\r\n" * 20 + b"PWD\r\nQUIT\r\n")
        assert [client.reply() for _ in range(22)] == [200] * 20 + [257, 221]


def test_session_closed_while_a_command_waits() -> None:
    with serving() as server:
        gate = server.gate("make_directory")
        with server.client() as client:
            client.send("MKD a")
            client.send("MKD b")
            gate.wait_until_held()
        server.wait_for(lambda: gate.cancelled == 1)
        server.wait_for(lambda: server.frontend.sessions == 0)
        gate.open()
        assert server.store.calls["make_directory"] == 1


def test_the_account_is_checked_again_and_again() -> None:
    with serving() as server, server.client() as client:
        assert client.command("SIZE x") == 550
        del server.store.accounts["alice"]
        assert client.command("SIZE x") == 421
        assert client.at_end()


def test_limits() -> None:
    with serving(max_sessions=3, max_sessions_per_address=2) as server:
        first, second = server.client(), server.client()
        third = Client("127.0.0.1", server.port, None)
        assert third.greeting == 421
        first.close()
        server.wait_for(lambda: server.frontend.sessions == 1)
        with server.client():
            pass
        second.close()
        third.close()
    with serving(max_sessions=1) as server, server.client(), Client("127.0.0.1", server.port, None) as refused:
        assert refused.greeting == 421
        assert refused.at_end()


def test_idle_and_login_timeouts() -> None:
    with serving() as server, server.client() as client:
        server.timeouts(idle=0.3)
        assert client.reply() == 421
        assert client.at_end()
    with serving(login_timeout=0.6) as server, server.client(None) as client:
        began = time.monotonic()
        client.sock.settimeout(0.05)
        while True:
            try:
                client.send("NOOP")
                if client.reply() == 421:
                    break
            except TimeoutError:
                pass
            except (ConnectionError, EOFError):
                break
            assert time.monotonic() - began < DEADLINE, "NOOP does not put off the end"


def test_a_transfer_is_not_idle() -> None:
    with serving() as server, server.client() as client:
        with client.data() as connection:
            assert client.command("STOR a") == 150
            server.timeouts(idle=0.2)
            assert client.silent(0.7)
            connection.sendall(b"x")
        assert client.reply() == 226
        server.timeouts(idle=0.2)
        assert client.reply() == 421


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_fifty_sessions_at_once(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with server.client() as client:
                for index in range(4):
                    data = bytes([number, index]) * (7 + 10_000 * index)
                    assert client.store(f"{number}-{index}", data) == 226
                    assert client.fetch(f"RETR {number}-{index}") == data
                    assert client.command(f"MKD d{number}-{index}") == 257
                    client.fetch("LIST")
        except BaseException as error:
            problems.append(error)

    with serving(factory) as server:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(4 * DEADLINE)
        assert not problems
        assert len(server.store.root.children) == 400
        server.wait_for(lambda: server.frontend.sessions == 0)
        assert not server.run(lambda: server.frontend._background)
        assert len(server.frontend.loop.socket_map) == 1, "only the listener is left"


def test_ipv6_and_dual_stack() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 address")
    with serving(listen=("::1", 0)) as server, server.client(host="::1") as client:
        assert client.command("PASV") == 425
        assert client.command("EPSV 1") == 522
        assert client.store("a", b"six") == 226
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            port = listener.getsockname()[1]
            client.sock.sendall(f"EPRT |2|::1|{port}|\r\nRETR a\r\n".encode())
            connection, _ = listener.accept()
            with connection:
                assert client.reply() == 200
                assert client.reply() == 150
                assert connection.recv(10) == b"six"
            assert client.reply() == 226
        assert client.command("EPRT |2|::2|50000|") == 501
    with serving(listen=("::", 0), also_listen=(("127.0.0.1", 0),)) as server:
        for host in ("::1", "127.0.0.1"):
            with server.client(host=host) as client:
                assert client.store(host, b"x") == 226
                if host == "127.0.0.1":
                    assert client.command("PASV") == 227
                    assert "(127,0,0,1," in client.text
                    assert client.command("EPSV 1") == 229
        assert len(server.frontend.addresses) == 2


def test_stop_lets_a_transfer_end() -> None:
    with serving() as server:
        idle = server.client()
        busy = server.client()
        gate = server.gate("commit")
        with busy.data() as connection:
            assert busy.command("STOR a") == 150
            connection.sendall(b"x")
        gate.wait_until_held()
        stopping = asyncio.run_coroutine_threadsafe(server.frontend.stop(DEADLINE), server.loop)
        assert idle.reply() == 421
        assert idle.at_end()
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
        gate.open()
        assert busy.reply() == 226
        assert busy.reply() == 421
        stopping.result(DEADLINE)
        idle.close()
        busy.close()


def test_stop_keeps_an_upload_that_does_not_end() -> None:
    with serving() as server:
        with server.client() as client, client.data() as connection:
            assert client.command("STOR a") == 150
            connection.sendall(b"12345")
            server.wait_for(lambda: any(s.transfer and s.transfer.moved for s in server.frontend._sessions))
            asyncio.run_coroutine_threadsafe(server.frontend.stop(0.1), server.loop).result(DEADLINE)
            assert client.at_end()
        assert server.store.partials == {("alice", "/a"): b"12345"}


def test_an_address_in_use() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError),
        serving(listen=taken.getsockname()),
    ):
        pass


def test_changed_password_and_rights_take_effect() -> None:
    with serving() as server:
        with server.client():
            pass
        alice = server.store.accounts["alice"]
        server.store.accounts["alice"] = replace(alice, disabled=True, revision=1)
        with server.client(None) as client:
            assert client.command("USER alice") == 331
            assert client.command(f"PASS {PASSWORD}") == 530


def test_lines_of_small_devices_end_with_lf_alone(server: Server) -> None:
    """RFC 959 has CR LF. What the first line ends with holds for all."""
    with server.client(None) as client:
        lines = ["USER alice", f"PASS {PASSWORD}", "MKD d", "CWD d", "TYPE I ", "PWD", "QUIT"]
        client.sock.sendall("".join(f"{line}\n" for line in lines).encode())
        assert [client.reply() for _ in lines] == [331, 230, 257, 250, 200, 257, 221]
    with server.client(None) as client:
        for part in (b"US", b"ER alice", b"\n", b"NOOP\r\nNO", b"OP\n"):
            client.sock.sendall(part)
        assert [client.reply() for _ in range(3)] == [331, 200, 200]


def test_a_lf_within_a_line_begins_no_command(server: Server) -> None:
    """A program that passes on names as they come would have others say what it does."""
    with server.client() as client:
        client.store("precious", b"x")
        assert client.command(b"MKD evil\nDELE precious") == 553
        assert client.command(b"SIZE precious") == 213
        assert client.command(b"MKD evil\r") == 553
        client.sock.sendall(b"MKD evil\n")
        client.sock.sendall(b"DELE precious\r\n")
        assert client.reply() == 553
        assert client.command("SIZE precious") == 213


@pytest.mark.parametrize(
    "line", ["TYPE I ", "MODE S  ", "STRU F ", "REST 0 ", "OPTS UTF8 ON ", "ALLO 5 ", "RANG 0 5 ", "EPSV 1 "]
)
def test_blanks_behind_an_argument_that_is_no_name_do_not_matter(server: Server, line: str) -> None:
    with server.client() as client:
        assert client.command(line) in (200, 229, 350)


def test_blanks_are_part_of_names(server: Server) -> None:
    with server.client() as client:
        assert client.store(" a ", b"x") == 226
        assert list(server.store.root.children) == [" a "]
        assert client.command("SIZE a") == 550
        assert client.command("SIZE  a ") == 213
