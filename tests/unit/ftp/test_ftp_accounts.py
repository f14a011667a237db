"""Over FTP: sessions whose account changes, users that may only go slowly, drop-boxes, too many sessions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from ftpserver import HASH, PASSWORD, Server, serving

from ftpgateway.access.login.guard import Slowness
from raftstore.rights import ROLES
from raftstore.types import User


@pytest.fixture(scope="module")
def one() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(one: Server) -> Iterator[Server]:
    yield one
    one.heal()
    one.reset()


@pytest.mark.parametrize("there", [True, False])
def test_how_long_a_file_is_is_not_told_by_rest(server: Server, there: bool) -> None:
    """To who may write and replace, but neither list nor read: the same whatever is there."""
    server.store.accounts["alice"] = replace(server.store.accounts["alice"], rights="wade")
    if there:
        server.run(server.store.put, "/hidden", b"0123456789", "bob")
    said = set()
    with server.client() as client:
        for offset in (1, 10, 11):
            with client.data():
                assert client.command(f"REST {offset}") == 350
                assert client.command("STOR hidden") == 554
            said.add(client.text.replace(str(offset), "N"))
    assert said == {"554 cannot continue at byte N: only 0 bytes are there."}


def test_who_may_not_read_goes_on_with_what_it_has_begun(server: Server) -> None:
    server.store.accounts["alice"] = replace(server.store.accounts["alice"], rights="wade")
    with server.client() as client:
        with client.data() as connection:
            assert client.command("STOR begun") == 150
            connection.sendall(b"01234")
            server.wait_for(lambda: any(s.transfer and s.transfer.moved for s in server.frontend._sessions))
            assert client.command("ABOR") == 426
            assert client.reply() == 226
        assert client.command("REST 5") == 350
        assert client.store("begun", b"56789") == 226
    assert server.run(server.store.read, "/begun") == b"0123456789"


def test_a_login_that_is_refused_does_not_tell_why() -> None:
    """Unknown, disabled, wrong password, an address that has to wait: code and text are one, and so is the way on."""
    with serving(max_login_attempts=4) as server:
        server.access._guard._slowness = Slowness(free=4, first=60.0)
        server.run(server.store.accounts.__setitem__, "off", User("off", HASH, disabled=True))
        with server.client():
            pass  # alice has logged in from here: she is judged by her own failures
        said = set()
        for _ in range(3):
            with server.client(None) as client:
                for name in ("alice", "off", "nobody"):
                    assert client.command(f"USER {name}") == 331
                    assert client.command("PASS wrong") == 530
                    said.add(client.text)
        assert server.access.refused == 3, "after five failures all have to wait, but alice"
        assert len(said) == 1
        with server.client(None) as client:
            for name, code in (("alice", 530), ("off", 530), ("nobody", 530), ("x", 421)):
                assert client.command(f"USER {name}") == 331
                assert client.command("PASS wrong") == code


def test_a_disabled_account_ends_its_sessions_and_what_they_do(server: Server) -> None:
    alice = server.store.accounts["alice"]
    server.run(server.store.put, "/old", b"x" * 8_000_000)
    with server.client() as idle, server.client() as uploading, server.client() as downloading:
        up = uploading.data()
        uploading.send(b"STOR f")
        assert uploading.reply() == 150
        up.sendall(b"half")
        down = downloading.data()
        downloading.send(b"RETR old")
        assert downloading.reply() == 150
        server.wait_for(lambda: server.store.opened["upload"] == 1 and server.store.opened["download"] == 1)
        server.run(server.store.change_account, "alice", replace(alice, disabled=True))
        assert idle.reply() == 421
        assert [uploading.reply(), uploading.reply()] == [426, 421]
        assert [downloading.reply(), downloading.reply()] == [426, 421]
        assert "disabled" in uploading.text
        for client in (idle, uploading, downloading):
            assert client.at_end()
        up.close()
        down.close()
    server.wait_for(lambda: server.store.ended["suspend"] == 1)
    assert server.store.ended["commit"] == 0
    assert "f" not in server.store.root.children


def test_a_command_that_waits_ends_before_its_session(server: Server) -> None:
    alice = server.store.accounts["alice"]
    with server.client() as client:
        gate = server.gate("make_directory")
        client.send(b"MKD d")
        client.send(b"MKD e")
        gate.wait_until_held()
        server.run(server.store.change_account, "alice", replace(alice, password_hash="another"))
        gate.open()
        # What was not done yet is judged by the account as it is by then.
        assert [client.reply(), client.reply()] == [550, 421]
        assert client.at_end()
    assert not server.store.root.children


def test_a_disabled_account_removes_no_more(server: Server) -> None:
    alice = server.store.accounts["alice"]
    server.run(server.store.put, "/tree", None)
    for number in range(200):
        server.run(server.store.put, f"/tree/{number:03}", b"", "bob")
    with server.client() as client:
        gate = server.gate("remove")
        client.send(b"RMDA tree")
        gate.wait_until_held()
        server.run(server.store.change_account, "alice", replace(alice, disabled=True))
        gate.open()
        assert [client.reply(), client.reply()] == [550, 421]
        assert client.at_end()
    # Those that were under way.
    assert len(server.store.find("/tree").children) >= 200 - 64


def test_a_drop_box(server: Server) -> None:
    server.store.accounts["alice"] = replace(server.store.accounts["alice"], rights=ROLES["drop-box"])
    server.run(server.store.put, "/theirs", b"secret", "bob")
    with server.client() as client:
        assert client.store("mine", b"one") == 226
        assert client.store("mine", b"two") == 226
        assert client.command("SIZE mine") == 213
        for line in ("SIZE theirs", "DELE theirs", "RNFR theirs", "MLST theirs", "SIZE nothing"):
            assert client.command(line) == 550, line
        data = client.data()
        for line in ("RETR mine", "LIST", "MLSD", "NLST", "STOR theirs", "APPE theirs"):
            assert client.command(line) == 550, line
        data.close()
        assert client.command("RNFR mine") == 350
        assert client.command("RNTO theirs") == 550
        assert client.command("RNFR mine") == 350
        assert client.command("RNTO other") == 250
        assert client.command("DELE other") == 250
    assert server.store.read("/theirs") == b"secret"


def test_a_session_too_many(server: Server) -> None:
    server.store.accounts["alice"] = replace(server.store.accounts["alice"], max_sessions=1)
    with server.client(), server.client(None) as second:
        assert second.command("USER alice") == 331
        assert second.command(f"PASS {PASSWORD}") == 421
        assert "as many sessions" in second.text


def test_rates_are_kept_to(server: Server) -> None:
    alice = server.store.accounts["alice"]
    server.store.accounts["alice"] = replace(alice, upload_rate=400_000, download_rate=400_000)
    with server.client() as client:
        begun = time.monotonic()
        assert client.store("f", bytes(300_000)) == 226
        up = time.monotonic() - begun
        assert client.fetch("RETR f") == bytes(300_000)
        down = time.monotonic() - begun - up
    # Never faster; how much slower is the machine's affair.
    assert up > 0.4
    assert down > 0.4
