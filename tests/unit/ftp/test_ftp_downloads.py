"""Downloads: whole, or recognisably not."""

from __future__ import annotations

import socket

import pytest
from ftpserver import Client, Gate, Server, read_all, serving
from waiting import DEADLINE

from raftstore import errors

BIG = bytes(range(256)) * 40_000
HUGE = 64 * 1024 * 1024


def test_whole_and_from_an_offset(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", BIG)
    server.run(server.store.put, "/empty", b"")
    assert client.fetch("RETR a") == BIG
    assert client.fetch("RETR empty") == b""
    assert client.command("REST 1048577") == 350
    assert client.fetch("RETR a") == BIG[1048577:]
    assert client.fetch("RETR a") == BIG, "REST holds for one transfer only"
    assert client.command(f"REST {len(BIG)}") == 350
    assert client.fetch("RETR a") == b""
    client.data().close()
    assert client.command(f"REST {len(BIG) + 1}") == 350
    assert client.command("RETR a") == 554
    server.wait_for(lambda: server.store.ended["download"] == 6)


def test_every_reply_comes_when_the_client_says_goodbye_behind_its_download(
    server: Server, client: Client
) -> None:
    server.run(server.store.put, "/a", b"12345")
    for goodbye in ("NOOP", "QUIT"):
        with client.data() as connection:
            client.send(f"RETR a\r\n{goodbye}")
            assert read_all(connection) == b"12345"
        assert [client.reply(), client.reply()] == [150, 226]
        assert client.reply() == {"NOOP": 200, "QUIT": 221}[goodbye]
    assert client.at_end()


def test_the_size_is_announced(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", b"12345")
    with client.data():
        assert client.command("RETR a") == 150
        assert "(5 bytes)" in client.text
        assert client.reply() == 226


def test_rest_survives_the_commands_between(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", b"0123456789")
    assert client.command("REST 5") == 350
    assert client.command("TYPE I") == 200
    assert client.command("SIZE a") == 213
    assert client.fetch("RETR a") == b"56789"
    assert client.command("REST 5") == 350
    assert client.fetch("NLST") == b"a\r\n"
    assert client.fetch("RETR a") == b"0123456789", "a listing takes the marker with it"


def test_an_old_version_to_its_end(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", bytes(HUGE))
    with client.data() as connection:
        assert client.command("RETR a") == 150
        first = connection.recv(1000)
        server.run(server.store.put, "/a", b"new")
        assert len(first + read_all(connection)) == HUGE
    assert client.reply() == 226


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Unavailable(), 450),
        (errors.NoQuorum(), 451),
        (errors.Damaged(), 451),
        (ValueError("a bug"), 451),
    ],
)
def test_a_failure_in_mid_download_is_no_clean_end(
    server: Server, client: Client, error: Exception, code: int
) -> None:
    server.run(server.store.put, "/a", BIG)

    def hook(position: int) -> None:
        if position >= 4 * 1024 * 1024:
            raise error

    server.store.hooks["block"] = hook
    with client.data() as connection:
        assert client.command("RETR a") == 150
        with pytest.raises(ConnectionResetError):
            read_all(connection)
    assert client.reply() == code
    server.wait_for(lambda: server.store.ended["download"] == 1)
    assert client.command("NOOP") == 200


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Unavailable(), 450),
        (errors.NoQuorum(), 451),
        (errors.NotFound(), 550),
        (ValueError("a bug"), 451),
    ],
)
def test_a_failure_before_the_download(server: Server, client: Client, error: Exception, code: int) -> None:
    server.fail("download", error)
    client.data().close()
    assert client.command("RETR a") == code


def test_a_picture_that_cannot_be_read_is_refused_before_any_data(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", b"x")
    server.fail("block", errors.Unavailable())
    client.data().close()
    assert client.command("RETR a") == 450
    assert server.store.ended == {"download": 1}


def test_no_more_than_one_block_ahead(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", bytes(HUGE))
    with client.data() as connection:
        assert client.command("RETR a") == 150
        server.wait_for(lambda: server.store.calls["block"] > 1)
        before = 0
        while before != (before := server.store.calls["block"]):
            assert client.silent(0.3)
        assert before < 60, "nobody reads, so nothing is fetched"
        assert len(read_all(connection)) == HUGE
    assert client.reply() == 226
    assert server.store.calls["block"] == 64


def test_abort_in_mid_download(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", bytes(HUGE))
    with client.data() as connection:
        assert client.command("RETR a") == 150
        connection.recv(1000)
        assert client.command("ABOR") == 426
        assert client.reply() == 226
        with pytest.raises(ConnectionResetError):
            read_all(connection)
    server.wait_for(lambda: server.store.ended["download"] == 1)
    assert client.command("NOOP") == 200


def test_abort_before_the_data_connection(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", b"x")
    client.passive()
    assert client.command("RETR a") == 150
    assert client.command("ABOR") == 426
    assert client.reply() == 226
    server.wait_for(lambda: server.store.ended["download"] == 1)
    assert client.fetch("RETR a") == b"x"


def hold_second_block(server: Server) -> Gate:
    gate = server.gate("block")
    hold = server.store.hooks["block"]
    server.store.hooks["block"] = lambda position: hold(position) if position else None
    return gate


def test_abort_while_a_block_is_awaited(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", BIG)
    gate = hold_second_block(server)
    with client.data() as connection:
        assert client.command("RETR a") == 150
        assert connection.recv(1)
        gate.wait_until_held()
        assert client.command("ABOR") == 426
        assert client.reply() == 226
    assert gate.cancelled == 1


def test_the_client_closes_early(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", bytes(HUGE))
    with client.data() as connection:
        assert client.command("RETR a") == 150
        connection.recv(1000)
    assert client.reply() == 426
    assert client.command("NOOP") == 200


def test_the_client_is_gone(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", bytes(HUGE))
    with client.data() as connection:
        assert client.command("RETR a") == 150
        connection.recv(1000)
        client.close()
        server.wait_for(lambda: server.store.ended["download"] == 1)
        server.wait_for(lambda: server.frontend.sessions == 0)


def test_the_client_is_gone_while_the_download_opens(server: Server, client: Client) -> None:
    gate = server.gate("download")
    with client.data():
        client.send("RETR a")
        gate.wait_until_held()
        client.close()
        server.wait_for(lambda: gate.cancelled == 1)


def test_a_client_that_takes_nothing() -> None:
    with serving(stall_timeout=0.4) as server, server.client() as client:
        server.run(server.store.put, "/a", bytes(HUGE))
        with client.data():
            assert client.command("RETR a") == 150
            assert client.reply() == 426
        assert client.command("NOOP") == 200


def test_a_slow_store_is_not_a_stalled_client() -> None:
    with serving(stall_timeout=0.2) as server, server.client() as client:
        server.run(server.store.put, "/a", BIG)
        gate = hold_second_block(server)
        with client.data() as connection:
            assert client.command("RETR a") == 150
            gate.wait_until_held()
            assert client.silent(0.6)
            server.timeouts(stall=DEADLINE)
            gate.open()
            assert read_all(connection) == BIG
        assert client.reply() == 226


def test_commands_queue_behind_a_download(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", bytes(HUGE))
    with client.data() as connection:
        assert client.command("RETR a") == 150
        connection.recv(1000)
        client.sock.sendall(b"EPSV\r\nPWD\r\nQUIT\r\n")
        assert client.silent()
        read_all(connection)
    assert [client.reply() for _ in range(4)] == [226, 229, 257, 221]
    assert client.at_end()


def test_a_connection_from_before_the_command(server: Server, client: Client) -> None:
    """The client connects, and sends RETR only later."""
    server.run(server.store.put, "/a", b"x")
    address = client.passive()
    with socket.create_connection(address, timeout=DEADLINE) as connection:
        assert client.command("NOOP") == 200
        assert client.command("RETR a") == 150
        assert read_all(connection) == b"x"
    assert client.reply() == 226
