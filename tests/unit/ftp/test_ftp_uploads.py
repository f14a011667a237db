"""Uploads: what is published, what is kept, and what the client is told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest
from ftpserver import PASSWORD, Client, Server, read_all, serving
from waiting import DEADLINE

from ftpgateway.demo import ports
from raftstore import errors

BIG = bytes(range(256)) * 16384


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def begin(client: Client, command: str, data: bytes = b"") -> socket.socket:
    connection = client.data()
    assert client.command(command) == 150, client.text
    connection.sendall(data)
    return connection


def received(server: Server, client: Client, size: int) -> None:
    """Wait until the front-end has fed `size` bytes."""
    server.wait_for(lambda: any(s.transfer and s.transfer.moved >= size for s in server.frontend._sessions))


def test_store_and_overwrite(server: Server, client: Client) -> None:
    assert client.store("a", BIG) == 226
    assert server.run(server.store.read, "/a") == BIG
    assert client.store("a", b"short") == 226
    assert server.run(server.store.read, "/a") == b"short"
    assert client.store("empty", b"") == 226
    assert server.run(server.store.read, "/empty") == b""
    assert server.store.ended == {"commit": 3}


def test_data_before_the_command_is_not_lost(server: Server, client: Client) -> None:
    """A client may connect and send before STOR is even read."""
    address = client.passive()
    with socket.create_connection(address, timeout=DEADLINE) as connection:
        connection.sendall(b"early")
        connection.shutdown(socket.SHUT_WR)
        assert client.command("NOOP") == 200
        assert client.command("STOR a") == 150
        assert client.reply() == 226
    assert server.run(server.store.read, "/a") == b"early"


def test_who_is_gone_by_the_time_that_all_is_durable_has_stored_a_part(server: Server, client: Client) -> None:
    """The kernel closes a killed program's connections one after the other, the data connection first perhaps."""
    held = asyncio.Event()
    server.store.hooks["prepare"] = lambda path: held.wait()
    connection = begin(client, "STOR a", BIG[:5_000])
    connection.close()
    server.wait_for(lambda: server.store.calls["prepare"] == 1)
    client.close()
    server.run(held.set)
    server.wait_for(lambda: server.store.ended == {"suspend": 1})
    assert server.store.published("/a") is None
    assert [bytes(kept) for kept in server.store.partials.values()] == [BIG[:5_000]]


def test_reset_in_mid_upload_is_not_the_end_of_the_file(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", b"old")
    connection = begin(client, "STOR a", BIG[:100_000])
    received(server, client, 100_000)
    reset(connection)
    assert client.reply() == 426
    assert "REST or APPE" in client.text
    assert server.run(server.store.read, "/a") == b"old"
    assert server.store.ended == {"suspend": 1}
    assert client.command("SIZE a") == 213
    assert client.text == "213 100000"
    with server.client("bob") as other:
        assert other.command("SIZE a") == 213
        assert other.text == "213 3"
    assert client.store("a", BIG[100_000:], "APPE") == 226
    assert server.run(server.store.read, "/a") == BIG


def test_who_was_told_the_size_of_an_interrupted_upload_gets_no_file_of_another(
    server: Server, client: Client
) -> None:
    """curl stops at the size that SIZE told, and ends well."""
    server.run(server.store.put, "/a", b"published")
    connection = begin(client, "STOR a", BIG[:5_000])
    received(server, client, 5_000)
    reset(connection)
    assert client.reply() == 426
    assert client.fetch("RETR a") == b"published"
    assert client.command("SIZE a") == 213
    assert client.text == "213 5000"
    with client.data():
        assert client.command("RETR a") == 550
        assert "9 bytes" in client.text
    with server.client("bob") as other:
        assert other.command("SIZE a") == 213
        assert other.fetch("RETR a") == b"published"
    assert client.store("a", BIG[5_000:], "APPE") == 226
    assert client.fetch("RETR a") == BIG


def test_resume_with_rest(server: Server, client: Client) -> None:
    connection = begin(client, "STOR a", BIG[:50_000])
    received(server, client, 50_000)
    reset(connection)
    assert client.reply() == 426
    assert client.command("SIZE a") == 213
    assert client.command("REST 40000") == 350
    assert client.store("a", BIG[40_000:]) == 226
    assert server.run(server.store.read, "/a") == BIG
    assert client.command("SIZE a") == 213
    assert client.text == f"213 {len(BIG)}"


def test_rest_keeps_the_head_and_cuts_the_tail(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", b"0123456789")
    assert client.command("REST 4") == 350
    assert client.store("a", b"xy") == 226
    assert server.run(server.store.read, "/a") == b"0123xy"
    assert client.store("a", b"zz") == 226, "REST holds for one transfer only"
    assert server.run(server.store.read, "/a") == b"zz"
    client.data().close()
    assert client.command("REST 99") == 350
    assert client.command("STOR a") == 554
    assert "only 2 bytes" in client.text
    assert client.command("REST 99999999999999999999999") == 501


def test_rest_does_not_go_with_append_or_unique(server: Server, client: Client) -> None:
    client.data().close()
    for command in ("APPE a", "STOU a"):
        assert client.command("REST 5") == 350
        assert client.command(command) == 450
    assert client.store("a", b"whole") == 226, "the refused command took the marker with it"
    assert server.run(server.store.read, "/a") == b"whole"


def test_append(server: Server, client: Client) -> None:
    assert client.store("a", b"one", "APPE") == 226
    assert client.store("a", b"two", "APPE") == 226
    assert server.run(server.store.read, "/a") == b"onetwo"


def test_store_unique(server: Server, client: Client) -> None:
    names = set()
    for command in ("STOU", "STOU", "STOU photo.jpg", "STOU .hidden"):
        with client.data() as connection:
            assert client.command(command) == 150
            names.add(client.text.removeprefix("150 FILE: "))
            connection.sendall(b"x")
        assert client.reply() == 226
    assert len(names) == 4
    assert set(server.store.root.children) == names
    assert sum(name.startswith("photo.") and name.endswith(".jpg") for name in names) == 1
    client.data().close()
    assert client.command("STOU missing/x") == 550


def test_no_data_connection(client: Client) -> None:
    for command in ("STOR a", "APPE a", "STOU", "RETR a", "LIST", "NLST", "MLSD"):
        assert client.command(command) == 425, command


def test_the_commit_decides(server: Server, client: Client) -> None:
    """226 comes after the commit; until then nothing is visible and everything else waits its turn."""
    gate = server.gate("commit")
    connection = begin(client, "STOR a", b"x" * 1000)
    connection.close()
    gate.wait_until_held()
    client.sock.sendall(b"NOOP\r\nSIZE a\r\nABOR\r\nEPSV\r\nPWD\r\n")
    assert client.silent()
    assert client.command("STAT") == 211, "STAT passes"
    assert any("waiting for the cluster" in line for line in client.lines)
    with server.client() as other:
        assert other.command("SIZE a") == 550
    gate.open()
    assert [client.reply() for _ in range(6)] == [226, 200, 213, 225, 229, 257]


def test_quit_waits_for_the_commit(server: Server, client: Client) -> None:
    gate = server.gate("commit")
    connection = begin(client, "STOR a", b"x")
    connection.close()
    gate.wait_until_held()
    client.send("QUIT")
    assert client.silent()
    gate.open()
    assert client.reply() == 226
    assert client.reply() == 221
    assert client.at_end()


def test_quit_while_an_upload_is_open_is_answered_at_once(server: Server, client: Client) -> None:
    """Some clients send QUIT, wait for 221, and only then close the data connection."""
    connection = begin(client, "STOR a", b"all ")
    assert client.command("QUIT") == 221
    client.send("DELE a")  # nothing is taken after QUIT
    connection.sendall(b"of it")
    connection.close()
    assert client.reply() == 226
    assert client.at_end()
    assert server.run(server.store.read, "/a") == b"all of it"


@pytest.mark.parametrize("half", [True, False])
def test_who_has_said_goodbye_may_go(server: Server, client: Client, half: bool) -> None:
    """The control connection ends, wholly or for what the client sends, while the upload goes on: it is published."""
    with server.client() as leaving:
        connection = begin(leaving, "STOR a", b"all ")
        assert leaving.command("QUIT") == 221
        if half:
            leaving.sock.shutdown(socket.SHUT_WR)
        else:
            reset(leaving.sock)
        server.wait_for(lambda: any(session._input_over for session in server.frontend._sessions))
        connection.sendall(b"of it")
        connection.close()
        if half:
            assert leaving.reply() == 226
            assert leaving.at_end()
    server.wait_for(lambda: server.frontend.sessions == 1)
    assert server.run(server.store.read, "/a") == b"all of it"


def test_what_is_queued_before_goodbye_is_done_though_the_client_ends_its_side(server: Server) -> None:
    """`printf 'USER ...' | nc`: it sends all of its commands and closes that direction."""
    with server.client(None) as client, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        gate = server.gate("make_directory")
        lines = [
            "USER alice",
            f"PASS {PASSWORD}",
            "MKD d",
            f"PORT 127,0,0,1,{port >> 8},{port & 255}",
            "STOR d/a",
            "QUIT",
        ]
        client.sock.sendall("".join(f"{line}\r\n" for line in lines).encode())
        client.sock.shutdown(socket.SHUT_WR)
        gate.wait_until_held()
        gate.open()
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"x")
        assert [client.reply() for _ in range(7)] == [331, 230, 257, 200, 150, 226, 221]
        assert client.at_end()
    assert server.run(server.store.read, "/d/a") == b"x"


def test_who_goes_without_goodbye_publishes_nothing(server: Server, client: Client) -> None:
    with server.client() as victim:
        connection = begin(victim, "STOR a", b"half of")
        victim.send("NOOP")
        assert victim.reply() == 200
        victim.sock.shutdown(socket.SHUT_WR)
        server.wait_for(lambda: server.frontend.sessions == 1)
        connection.close()
    server.wait_for(lambda: server.store.ended["suspend"] == 1)
    assert "a" not in server.store.root.children


def test_an_upload_that_stalls_after_goodbye_ends(client: Client, server: Server) -> None:
    connection = begin(client, "STOR a", b"begun")
    assert client.command("QUIT") == 221
    server.timeouts(stall=0.4)
    assert client.reply() == 426
    assert client.at_end()
    server.timeouts(stall=120.0)
    connection.close()
    assert "a" not in server.store.root.children


def test_a_new_transfer_waits_for_the_commit(server: Server, client: Client) -> None:
    gate = server.gate("commit")
    begin(client, "STOR a", b"first").close()
    gate.wait_until_held()
    client.send("EPSV")
    assert client.silent()
    gate.open()
    assert client.reply() == 226
    assert client.reply() == 229
    port = int(client.text.split("|")[3])
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        assert client.command("STOR b") == 150
        connection.sendall(b"second")
    assert client.reply() == 226
    assert server.run(server.store.read, "/b") == b"second"


def test_commands_during_the_transfer_see_what_is_published(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", b"old")
    connection = begin(client, "STOR a", BIG[:70_000])
    received(server, client, 70_000)
    assert client.command("SIZE a") == 213
    assert client.text == "213 3"
    assert client.command("NOOP") == 200
    assert client.command("MLST a") == 250
    assert "size=3;" in client.lines[1]
    assert client.command("RNFR a") == 350
    assert client.command("RNTO b") == 250
    assert client.command("STAT") == 211
    assert any("70000 bytes" in line for line in client.lines)
    client.sock.sendall(b"EPSV\r\nNOOP\r\n")
    assert client.silent(), "a new data connection waits for the transfer"
    connection.close()
    assert [client.reply() for _ in range(3)] == [226, 229, 200]
    assert server.run(server.store.read, "/a") == BIG[:70_000]
    assert server.run(server.store.read, "/b") == b"old"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NoQuorum(), 451),
        (errors.OutcomeUnknown(), 451),
        (errors.Unavailable(), 451),
        (errors.DiskFull(), 452),
        (errors.QuotaExceeded(), 452),
        (errors.TooLarge(), 552),
        (errors.NotFound(), 550),
        (errors.IsADirectory(), 550),
        (errors.Changed(), 450),
        (errors.Refused(), 550),
        (errors.BadName("x"), 553),
        (errors.DiskFailed(), 451),
        (errors.StoreError(), 451),
        (ValueError("a bug"), 451),
    ],
)
@pytest.mark.parametrize("call", ["upload", "feed", "drained", "commit"])
def test_each_failure_has_its_reply(
    server: Server, client: Client, call: str, error: Exception, code: int
) -> None:
    server.run(server.store.put, "/a", b"old")
    server.store.window = 10
    server.fail(call, error)
    with client.data() as connection:
        client.send("STOR a")
        first = client.reply()
        if call == "upload":
            assert first == code
        else:
            assert first == 150
            connection.sendall(b"x" * 1000)
            if call == "commit":
                connection.shutdown(socket.SHUT_WR)
            assert client.reply() == code, client.text
        assert len(client.text) > 20, "a text that says what to do"
    server.heal()
    assert server.run(server.store.read, "/a") == b"old"
    assert client.command("NOOP") == 200
    assert client.store("a", b"new") == 226
    assert sum(server.store.ended.values()) == server.store.calls["upload"] - (call == "upload")


def test_announced_size_that_does_not_fit(server: Server, client: Client) -> None:
    server.store.free_space = 1_000_000
    client.data().close()
    assert client.command("ALLO 2000000") == 452
    assert client.command("STOR a") == 150, "what was refused is not held against the next upload"
    assert client.reply() == 226
    assert client.command("ALLO 900000") == 200
    server.store.free_space = 500_000
    client.data().close()
    assert client.command("STOR a") == 452
    assert client.store("a", b"x" * 10) == 226, "ALLO holds for one transfer only"
    assert client.command("ALLO 500000") == 200
    assert client.store("a", b"x" * 10) == 226


def test_back_pressure_stops_reading(server: Server, client: Client) -> None:
    server.store.window = 1
    gate = server.gate("drained")
    connection = begin(client, "STOR a")
    connection.setblocking(False)
    sent = 0
    view = memoryview(bytes(64 * 1024 * 1024))
    try:
        while sent < len(view):
            sent += connection.send(view[sent:])
    except BlockingIOError:
        pass
    gate.wait_until_held()
    assert server.run(lambda: next(iter(server.frontend._sessions)).transfer.moved) <= 1024 * 1024
    assert sent < len(view)
    assert client.command("NOOP") == 200, "others go on"
    gate.open()
    connection.setblocking(True)
    connection.sendall(view[sent:])
    connection.close()
    assert client.reply() == 226
    assert len(server.run(server.store.read, "/a")) == len(view)


def test_abort_before_any_data(server: Server, client: Client) -> None:
    connection = begin(client, "STOR a")
    assert client.command("ABOR") == 426
    assert client.reply() == 226
    connection.close()
    assert client.command("SIZE a") == 550
    assert server.store.ended == {"suspend": 1}


def test_abort_before_the_data_connection(server: Server, client: Client) -> None:
    client.passive()
    assert client.command("ABOR") == 225
    assert client.command("STOR a") == 425
    client.passive()
    assert client.command("STOR a") == 150
    assert client.command("ABOR") == 426
    assert client.reply() == 226
    assert client.store("a", b"x") == 226


def test_abort_in_mid_upload_keeps_what_came(server: Server, client: Client) -> None:
    connection = begin(client, "STOR a", BIG[:1000])
    received(server, client, 1000)
    client.sock.sendall(b"\xff\xf4\xff")
    client.sock.send(b"\xf2", socket.MSG_OOB)
    assert client.command("ABOR") == 426
    assert client.reply() == 226
    connection.close()
    assert client.command("SIZE a") == 213
    assert client.text == "213 1000"
    assert client.command("DELE a") == 250, "a partial upload can be deleted"
    assert client.command("SIZE a") == 550


def test_abort_while_the_store_makes_us_wait(server: Server, client: Client) -> None:
    server.store.window = 1
    gate = server.gate("drained")
    connection = begin(client, "STOR a", BIG[:1000])
    gate.wait_until_held()
    assert client.command("ABOR") == 426
    assert client.reply() == 226
    assert gate.cancelled == 1
    connection.close()


def test_control_connection_lost_in_mid_upload(server: Server, client: Client) -> None:
    server.run(server.store.put, "/a", b"old")
    connection = begin(client, "STOR a", BIG[:5000])
    received(server, client, 5000)
    client.close()
    server.wait_for(lambda: server.store.ended["suspend"] == 1)
    server.wait_for(lambda: server.frontend.sessions == 0)
    connection.close()
    assert server.run(server.store.read, "/a") == b"old"
    with server.client() as again:
        assert again.command("SIZE a") == 213
        assert again.text == "213 5000"


def test_a_killed_client_publishes_nothing(server: Server, client: Client) -> None:
    """The kernel closes all connections of a killed program with FIN, which looks like the end of the file."""
    for _ in range(20):
        with server.client() as victim:
            connection = begin(victim, "STOR a", BIG[:5000])
            victim.close()
            connection.close()
    server.wait_for(lambda: server.store.ended["suspend"] == 20)
    assert client.command("SIZE a") == 213
    assert "a" not in server.store.root.children


def test_a_client_that_does_not_wait_for_the_reply(server: Server) -> None:
    """It sends all, says QUIT and goes: the upload was ended in order."""
    with server.client() as hasty:
        connection = begin(hasty, "STOR a", b"whole")
        received(server, hasty, 5)
        hasty.send("QUIT")
        server.wait_for(lambda: any(session._lines for session in server.frontend._sessions))
        connection.close()
        server.wait_for(lambda: server.store.ended["commit"] == 1)
    server.wait_for(lambda: "a" in server.store.root.children)


def test_session_lost_while_the_upload_opens(server: Server, client: Client) -> None:
    gate = server.gate("upload")
    connection = client.data()
    client.send("STOR a")
    gate.wait_until_held()
    client.close()
    server.wait_for(lambda: gate.cancelled == 1)
    connection.close()
    server.wait_for(lambda: server.frontend.sessions == 0)
    assert not server.store.ended


def test_session_lost_while_the_commit_waits(server: Server, client: Client) -> None:
    """All data came in order: the picture is published, as it would be a moment later."""
    gate = server.gate("commit")
    begin(client, "STOR a", b"whole").close()
    gate.wait_until_held()
    client.close()
    server.wait_for(lambda: server.frontend.sessions == 0)
    assert gate.cancelled == 0
    gate.open()
    server.wait_for(lambda: "a" in server.store.root.children)


def test_a_data_connection_that_never_comes() -> None:
    with serving(data_timeout=1.0) as server, server.client() as client:
        for _ in range(2):
            client.passive()
            assert client.command("STOR a") == 150
            assert client.reply() == 425
        assert server.store.ended == {"suspend": 2}
        server.timeouts(data=DEADLINE)
        assert client.store("a", b"x") == 226


@pytest.mark.parametrize("command", ["STOR a", "RETR f"])
def test_the_data_connection_fails_while_the_store_is_asked(command: str) -> None:
    with serving() as server, server.client() as client:
        server.run(server.store.put, "/f", b"x")
        gate = server.gate("upload" if command == "STOR a" else "download")
        client.passive()
        client.send(command)
        gate.wait_until_held()
        server.run(next(iter(server.frontend._sessions)).link.failed)  # as at its timeout
        gate.open()
        assert client.reply() == 150
        assert client.reply() == 425
        assert client.command("NOOP") == 200


def test_a_stalled_upload_is_kept() -> None:
    with serving() as server, server.client() as client:
        connection = begin(client, "STOR a", b"x" * 100)
        received(server, client, 100)
        server.timeouts(stall=0.4)
        assert client.reply() == 426
        connection.close()
        assert client.command("SIZE a") == 213
        assert client.text == "213 100"


def test_the_store_never_answers() -> None:
    with serving(wait_limit=0.3) as server, server.client() as client:
        server.gate("commit")
        begin(client, "STOR a", b"x").close()
        assert client.reply() == 451
        server.gate("upload")
        client.data().close()
        assert client.command("STOR a") == 451
        gate = server.gate("make_directory")
        assert client.command("MKD d") == 451
        assert gate.cancelled == 1
        server.heal()
        assert client.store("a", b"x") == 226


def test_ascii_mode_changes_nothing(server: Server, client: Client) -> None:
    data = b"\r\n\n\r\0\xff\xfe" * 1000
    assert client.command("TYPE A") == 200
    assert client.store("a", data) == 226
    assert server.run(server.store.read, "/a") == data
    assert client.command("SIZE a") == 213
    assert client.text == f"213 {len(data)}"
    assert client.fetch("RETR a") == data
    assert client.command("REST 5") == 350
    assert client.fetch("RETR a") == data[5:]


def test_active_mode(server: Server, client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for command in (f"PORT 127,0,0,1,{port >> 8},{port & 255}", f"EPRT |1|127.0.0.1|{port}|"):
            client.sock.sendall(f"{command}\r\nSTOR a\r\n".encode())
            connection, _ = listener.accept()
            assert client.reply() == 200
            assert client.reply() == 150
            connection.sendall(b"active")
            connection.close()
            assert client.reply() == 226
    assert server.run(server.store.read, "/a") == b"active"
    assert client.command(f"PORT 127,0,0,1,{port >> 8},{port & 255}") == 200
    assert client.command("STOR a") == 150
    assert client.reply() == 425, "nobody listens there any more"
    assert client.text.startswith("425 Cannot connect to the address and port that you gave")
    assert client.command("STOR a") == 425, "it held for one transfer"
    assert client.text.startswith("425 No data connection; send PASV")
    assert server.run(server.store.read, "/a") == b"active"


def test_the_client_may_listen_as_late_as_at_the_transfer_command(server: Server, client: Client) -> None:
    """RFC 959, 3.2: the server connects on the transfer command, not on PORT."""
    client.store("a", b"late")
    with socket.socket() as late:
        late.bind(("127.0.0.1", 0))
        port = late.getsockname()[1]
        assert client.command(f"PORT 127,0,0,1,{port >> 8},{port & 255}") == 200
        assert client.command("NOOP") == 200
        assert client.command("RETR missing") == 550, "a refused command leaves the agreement in force"
        late.listen(1)
        late.settimeout(DEADLINE)
        assert client.command("RETR a") == 150
        connection, _ = late.accept()
        with connection:
            assert read_all(connection) == b"late"
        assert client.reply() == 226


def test_everywhere_means_the_client_itself(server: Server, client: Client) -> None:
    """lftp listens at all addresses for an active data connection by IPv6, and says so: EPRT |2|::|port|."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for command in (f"EPRT |1|0.0.0.0|{port}|", f"PORT 0,0,0,0,{port >> 8},{port & 255}"):
            assert client.command(command) == 200
            assert client.command("STOR a") == 150
            connection, peer = listener.accept()
            connection.close()
            assert peer[0] == "127.0.0.1"
            assert client.reply() == 226


def test_what_is_agreed_on_last_holds(server: Server, client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as never, socket.create_server(("127.0.0.1", 0)) as then:
        for listener in (never, then):
            port = listener.getsockname()[1]
            assert client.command(f"PORT 127,0,0,1,{port >> 8},{port & 255}") == 200
        assert client.command("STOR a") == 150
        connection, _ = then.accept()
        connection.close()
        assert client.reply() == 226
        assert client.command(f"PORT 127,0,0,1,{port >> 8},{port & 255}") == 200
        assert client.store("a", b"passive after all") == 226
        assert client.command(f"PORT 127,0,0,1,{port >> 8},{port & 255}") == 200
        assert client.command("ABOR") == 225
        assert client.command("STOR a") == 425
        for listener in (never, then):
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()


@contextlib.contextmanager
def unanswering() -> Iterator[int]:
    """Yield a port of 127.0.0.1 at which connecting neither works nor fails, as behind a firewall that drops."""
    with socket.socket() as full, contextlib.ExitStack() as held:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # more than the queue of who waits to be accepted takes
            sock = held.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        yield full.getsockname()[1]


def test_a_client_that_cannot_be_reached_holds_nothing_up(server: Server, client: Client) -> None:
    with unanswering() as port:
        server.timeouts(data=1.0)
        assert client.command(f"PORT 127,0,0,1,{port >> 8},{port & 255}") == 200
        assert client.command("STOR a") == 150
        for command, code in (("NOOP", 200), ("STAT", 211), ("MKD d", 257), ("SIZE a", 550)):
            assert client.command(command) == code, "other commands do not wait for the connection"
        assert client.reply() == 425
        assert client.text.startswith("425 Cannot connect to the address and port that you gave")
        server.timeouts(data=DEADLINE)
        assert client.command(f"PORT 127,0,0,1,{port >> 8},{port & 255}") == 200
        assert client.command("STOR a") == 150
        assert client.command("ABOR") == 426
        assert client.reply() == 226
        assert client.store("a", b"x") == 226


@pytest.mark.parametrize(
    "line",
    [
        "PORT 127,0,0,2,200,200",
        "PORT 10,0,0,1,200,200",
        "EPRT |1|10.0.0.1|50000|",
        "PORT 127,0,0,1,0,21",
        "PORT 1,2,3",
        "PORT 127,0,0,1,999,999",
        "EPRT |1|127.0.0.1|99999|",
        "EPRT |1|nonsense|50000|",
        "EPRT nonsense",
    ],
)
def test_bounces_are_refused(client: Client, line: str) -> None:
    assert client.command(line) == 501, client.text


def test_epsv_arguments(client: Client) -> None:
    assert client.command("EPSV 1") == 229
    assert client.command("EPSV 2") == 522
    assert client.command("EPSV ALL") == 200
    assert client.command("PASV") == 501
    assert client.command("PORT 127,0,0,1,200,200") == 501
    assert client.store("a", b"x") == 226


def test_passive_range_and_masquerade() -> None:
    first, last = ports.row("127.0.0.1", 2)
    with serving(passive_ports=(first, last), masquerade_address="192.0.2.7") as server:
        clients = [server.client() for _ in range(3)]
        used = set()
        for client in clients[:2]:
            assert client.command("PASV") == 227
            assert "(192,0,2,7," in client.text
            high, low = client.text.rstrip(").").split(",")[-2:]
            used.add(int(high) * 256 + int(low))
        assert used == {first, last}
        assert clients[2].command("EPSV") == 425
        assert clients[0].command("ABOR") == 225
        assert clients[2].command("EPSV") == 229
        for client in clients:
            client.close()


def test_a_foreign_data_connection_is_turned_away(server: Server, client: Client) -> None:
    address = client.passive()
    thief = socket.create_connection(address, timeout=DEADLINE, source_address=("127.0.0.2", 0))
    assert thief.recv(1) == b""
    thief.close()
    with socket.create_connection(address, timeout=DEADLINE) as connection:
        assert client.command("STOR a") == 150
        connection.sendall(b"mine")
    assert client.reply() == 226
