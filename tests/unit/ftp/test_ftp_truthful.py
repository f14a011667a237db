"""The server says what is so: no failure for what was done, no success for what a dead client left."""

from __future__ import annotations

import contextlib
import ftplib
import socket
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from ftpserver import PASSWORD, certificate, every_refusal, serving
from structlog.testing import capture_logs
from ticking import MOST_IN_A_TURN, TickingClock
from waiting import DEADLINE

from ftpgateway.ftp.commands import listing
from ftpgateway.ftp.interface import Session
from ftpgateway.ftp.listings import FactWriter, parse_timestamp
from raftstore.errors import DiskFull, NoQuorum, Unavailable
from raftstore.metadata.listing import PAGE
from raftstore.types import Entry
from raftstore.util.limits import slices


@pytest.mark.parametrize("call", ["partial", "drop_partial"])
def test_a_file_that_was_removed_is_told_as_removed(call: str) -> None:
    """The text of a 451 would say that nothing was changed."""
    with serving() as server, server.client() as client:
        server.run(server.store.put, "/f", b"old", "alice")
        server.store.partials["alice", "/f"] = b"ol"
        server.fail(call, NoQuorum())
        assert client.command("DELE f") == 250
        server.heal()
        assert client.command("MLST f") == 550


def test_removing_what_is_only_begun() -> None:
    with serving() as server, server.client() as client:
        assert client.command("DELE f") == 550
        server.store.partials["alice", "/f"] = b"ol"
        server.fail("drop_partial", Unavailable())
        assert client.command("DELE f") == 451
        server.heal()
        assert client.command("DELE f") == 250
        assert client.command("DELE f") == 550


def test_a_session_ends_when_its_home_is_changed() -> None:
    """What is outside of the new home must not be seen any more, nor be written to."""
    with serving() as server, server.client() as client:
        server.run(server.store.put, "/secret.jpg", b"x", "bob")
        assert client.command("SIZE secret.jpg") == 213
        server.store.accounts["alice"] = replace(server.store.accounts["alice"], home="/alice")
        assert client.command("SIZE secret.jpg") == 421
        assert client.at_end()
        with server.client() as again:
            assert again.command("SIZE secret.jpg") == 550


def test_times_that_cannot_be_kept_are_refused() -> None:
    assert parse_timestamp("22620411234716") == 9_223_372_036_000_000_000
    assert parse_timestamp("22620411234717") is None
    assert parse_timestamp("99991231235959") is None
    assert parse_timestamp("00010101000000") is None
    with serving() as server, server.client() as client:
        server.run(server.store.put, "/f", b"old", "alice")
        assert client.command("MFMT 99991231235959 f") == 501


@pytest.mark.parametrize("secure", [False, True])
def test_a_client_that_was_killed_has_not_finished_its_upload(tmp_path: Path, secure: bool) -> None:
    """The kernel ends a dead program's connections in order, so its data looks complete: ask for the client."""
    with serving(tls_certificate=certificate(tmp_path)) as server:
        client = ftplib.FTP_TLS(timeout=DEADLINE) if secure else ftplib.FTP(timeout=DEADLINE)
        client.connect("127.0.0.1", server.port)
        client.login("alice", PASSWORD)
        data = client.transfercmd("STOR f")
        data.sendall(b"half")
        server.wait_for(
            lambda: any(session.transfer and session.transfer.moved == 4 for session in sessions(server))
        )
        # Both ends come while the server's loop is busy, that of the data first.
        busy, held = threading.Event(), threading.Event()
        server.loop.call_soon_threadsafe(lambda: (held.set(), busy.wait(DEADLINE)))
        assert held.wait(DEADLINE)
        data.close()
        assert client.sock is not None
        socket.socket(fileno=client.sock.detach()).close()
        busy.set()
        server.wait_for(lambda: server.store.ended.total() == 1)
        assert server.store.ended == {"suspend": 1}
        server.wait_for(lambda: server.store.partials == {("alice", "/f"): b"half"})


@pytest.mark.parametrize("command", ["STAT /", "LIST", "MLSD"])
def test_others_have_their_turn_while_a_large_directory_is_listed(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stalled loop does not answer its cluster either: a user with a large directory could depose a leader."""
    with serving() as server, server.client() as client:
        for number in range(3000):
            server.store.put(f"/{number:04}", b"x")
        turns, seen = 0, []

        def turn() -> None:
            nonlocal turns
            turns += 1
            server.loop.call_soon(turn)

        def noting(entry: Entry, *arguments: object) -> str:
            seen.append(turns)
            return entry.name

        monkeypatch.setattr(listing, "list_line", noting)
        monkeypatch.setattr(FactWriter, "line", lambda _, entry: noting(entry))
        server.loop.call_soon_threadsafe(turn)
        if command.startswith("STAT"):
            assert client.command(command) == 213
            assert len(client.lines) == 3002
        else:
            assert client.fetch(command).count(b"\r\n") == 3000
        assert max(Counter(seen).values()) <= PAGE


def sessions(server) -> list:  # type: ignore[no-untyped-def, type-arg]
    return list(server.frontend._sessions)


def test_every_refusal_is_logged_with_its_reason_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftpgateway.serving.logs.refusallog.BURST", 50)
    kinds = every_refusal()
    lines = {
        "NONSENSE x": 500,
        "CWD missing": 550,
        "RETR missing": 425,
        "MKD a\x07b": 553,
        "PORT 10,1,2,3,200,200": 501,
        "RNTO x": 503,
        "REST x": 501,
        "ALLO 999999": 452,
        "MODE Z": 504,
    }
    with capture_logs() as logged, serving() as server, server.client() as client:
        server.store.free_space = 1000
        for line, code in lines.items():
            assert client.command(line) == code
            assert client.command("NOOP") == 200
        client.data().close()
        assert client.command("RETR missing") == 550
        server.fail("commit", DiskFull())
        assert client.store("f", b"x") == 452
        for error in kinds:
            server.fail("make_directory", error)
            assert client.command("MKD e") >= 400
            server.heal()
            assert client.command("NOOP") == 200
        assert client.command("SIZE probe") == 550
        for _ in range(60):
            assert client.command("WAT") == 500
        server.fail("commit", DiskFull())
        assert client.store("f", b"x") == 452
        with server.client(None) as other:
            assert other.command("USER alice") == 331
            assert other.command("PASS secret word") == 530
    hers = [entry for entry in logged if entry["event"] == "refused" and entry["user"] == "alice"]
    refused = [entry for entry in hers if entry["log_level"] == "info"]
    assert [entry["path"] for entry in hers if entry["log_level"] == "debug"] == ["probe"]
    assert len(refused) == 50
    assert [entry["reason"][:3] for entry in refused[:10]] == [*map(str, lines.values()), "550"]
    named = refused[10 : 10 + len(kinds)]
    assert {(entry["command"], entry["path"]) for entry in named} == {("MKD", "e")}
    assert all(len(entry["reason"]) > 14 for entry in named)
    assert {entry["reason"] for entry in refused[10 + len(kinds) :]} == {"500 no such command"}
    closed = next(entry for entry in logged if entry["event"] == "session closed" and entry["user"] == "alice")
    assert closed["refused"] == 10 + len(kinds) + 60
    assert (
        refused[1]["command"] == "CWD" and refused[1]["path"] == "missing" and refused[1]["peer"] == "127.0.0.1"
    )
    results = [entry["result"] for entry in logged if entry["event"] == "transfer"]
    assert len(results) == 2 and all(result.startswith("452 Not enough free disk") for result in results)
    assert "secret" not in repr(logged)


def test_pipelined_commands_of_many_sessions_share_the_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each had 32 commands in every turn of the loop: with hundreds of sessions that is a turn of half a second."""
    monkeypatch.setattr(slices, "time", TickingClock())
    count, each = 12, 80
    with serving() as server:
        turns = 0
        seen: list[int] = []

        def turn() -> None:
            nonlocal turns
            turns += 1
            server.loop.call_soon(turn)

        def noted(session: Session, argument: str) -> None:
            seen.append(turns)
            session.respond("257 noted")

        table = dict(server.frontend.commands)
        server.frontend.commands = {**table, "PWD": replace(table["PWD"], run=noted)}
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(server.client()) for _ in range(count)]
            server.loop.call_soon_threadsafe(turn)
            held = threading.Event()
            server.loop.call_soon_threadsafe(held.wait, DEADLINE)
            for client in clients:
                client.sock.sendall(b"PWD\r\n" * each)
            held.set()  # now all have something in the same turn
            for client in clients:
                assert [client.reply() for _ in range(each)] == [257] * each
        assert len(seen) == count * each
        by_turn = Counter(seen)
        assert max(by_turn.values()) <= MOST_IN_A_TURN
