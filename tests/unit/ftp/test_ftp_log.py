"""The log: every line of a session tells whose it is, and every refusal why; no password gets into it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from ftpserver import PASSWORD, Server, serving

from ftpgateway.serving.logs.transferlog import Transferred
from raftstore.errors import NoQuorum


@pytest.fixture
def events() -> Iterator[list[MutableMapping[str, Any]]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def of(lines: list[MutableMapping[str, Any]], event: str) -> list[MutableMapping[str, Any]]:
    return [line for line in lines if line["event"] == event]


@contextlib.contextmanager
def recording(server: Server) -> Iterator[list[Transferred]]:
    """Collect what would go into the log of transfers."""
    found: list[Transferred] = []

    class Transfers:
        def record(self, entry: Transferred) -> None:
            found.append(entry)

    server.frontend.transfers = Transfers()  # type: ignore[assignment]
    yield found
    server.frontend.transfers = None


def test_every_line_tells_whose_session_it_is(events: list[MutableMapping[str, Any]]) -> None:
    with serving() as server, server.client() as client:
        client.store("a.jpg", b"picture")
        assert client.command("RETR nothing.jpg") == 425
        client.passive()
        assert client.command("RETR nothing.jpg") == 550
        assert client.command("CWD nowhere") == 550
        assert client.command("PORT 192,0,2,1,200,200") == 501
        server.fail("set_modified", RuntimeError("a bug"))
        assert client.command("MFMT 20240101000000 a.jpg") == 451
        server.fail("make_directory", NoQuorum())
        assert client.command("MKD d") == 451
        client.send("QUIT")
        assert client.reply() == 221
        server.wait_for(lambda: server.frontend.sessions == 0)
    own = [line for line in events if line["event"] not in ("ftp listening", "session opened")]
    assert {line["event"] for line in own} >= {
        "login",
        "transfer",
        "refused",
        "command failed",
        "session closed",
    }
    for line in own:
        assert (line["session"], line["user"], line["peer"]) == (1, "alice", "127.0.0.1"), line
    refused = [(line["command"], line["path"], line["reason"][:3]) for line in of(events, "refused")]
    assert refused == [
        ("RETR", "nothing.jpg", "425"),
        ("RETR", "nothing.jpg", "550"),
        ("CWD", "nowhere", "550"),
        ("PORT", "", "501"),
        ("MFMT", "20240101000000 a.jpg", "451"),
        ("MKD", "d", "451"),
    ]
    assert of(events, "transfer")[0]["path"] == "/a.jpg"
    assert of(events, "command failed")[0]["exc_info"] is True


def test_no_password_gets_into_the_log(events: list[MutableMapping[str, Any]]) -> None:
    with serving() as server, server.client(None) as client:
        for line in (
            f"PASS {PASSWORD}",
            "USER alice",
            f"PASS {PASSWORD}x",
            f"{PASSWORD}",
            f"PASS\t{PASSWORD}",
            f"USER {PASSWORD}\0",
            f"ACCT {PASSWORD}",
        ):
            client.command(line)
    assert of(events, "refused")
    for part in PASSWORD.split():
        assert not [line for line in events if part in str(line).lower()]


def test_what_goes_into_the_log_of_transfers() -> None:
    with serving() as server, recording(server) as found, server.client() as client:
        client.store("a b.jpg", b"picture")
        client.fetch("RETR a b.jpg")
        client.fetch("LIST")
        with client.data() as connection:
            assert client.command("STOR half.jpg") == 150
            connection.sendall(b"pic")
            server.wait_for(lambda: any(session.transfer.moved for session in server.frontend._sessions))
            assert client.command("ABOR") == 426
            assert client.reply() == 226
    assert [(one.path, one.size, one.upload, one.complete, one.user, one.host) for one in found] == [
        ("/a b.jpg", 7, True, True, "alice", "127.0.0.1"),
        ("/a b.jpg", 7, False, True, "alice", "127.0.0.1"),
        ("/half.jpg", 3, True, False, "alice", "127.0.0.1"),
    ]
    assert all(one.service == "ftp" and 0 <= one.seconds < 60 and one.ended > 1.7e9 for one in found)


def test_a_password_is_not_told_when_its_check_fails_unexpectedly(
    events: list[MutableMapping[str, Any]],
) -> None:
    with serving() as server, server.client(user=None) as client:
        server.fail("user", RuntimeError("a bug"))
        assert client.command("USER alice") == 331
        assert client.command("PASS hidden-words") == 451
    failed = of(events, "command failed")
    assert [line["command"] for line in failed] == ["PASS"]
    assert "hidden-words" not in repr(events)
