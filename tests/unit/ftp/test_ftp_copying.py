"""SITE CPFR, CPTO and COPY, over the fake store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from ftpserver import Client, Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        running.run(running.store.put, "/a b.jpg", b"picture")
        running.run(running.store.put, "/d", None)
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with server.client() as connected:
        yield connected


def test_a_copy_is_made_of_names_with_blanks(server: Server, client: Client) -> None:
    assert client.command("SITE CPFR a b.jpg") == 350
    assert client.command("NOOP") == 200
    assert client.command("SITE CPTO /d/c d.jpg") == 250
    assert (
        server.run(server.store.read, "/d/c d.jpg") == server.run(server.store.read, "/a b.jpg") == b"picture"
    )
    assert client.command("SITE CPTO again.jpg") == 503, "each needs a CPFR"


def test_an_existing_file_is_replaced(server: Server, client: Client) -> None:
    server.run(server.store.put, "/old", b"old")
    assert client.command("SITE CPFR a b.jpg") == 350
    assert client.command("SITE CPTO old") == 250
    assert server.run(server.store.read, "/old") == b"picture"


def test_both_at_once(server: Server, client: Client) -> None:
    server.run(server.store.put, "/x", b"x")
    assert client.command("SITE COPY x d/y") == 250
    assert server.run(server.store.read, "/d/y") == b"x"
    for wrong in ("SITE COPY x", "SITE COPY a b.jpg c", "SITE COPY"):
        assert client.command(wrong) == 501


def test_what_is_not_copied(server: Server, client: Client) -> None:
    assert client.command("SITE CPTO x") == 503
    assert client.command("SITE CPFR") == client.command("SITE CPTO") == 501
    assert client.command("SITE CPFR missing") == 550
    assert client.command("SITE CPFR d") == 550 and "one by one" in client.text
    assert client.command("SITE CPTO x") == 503, "a CPFR that was refused is none"
    server.run(server.store.put, "/x", b"x")
    assert client.command("SITE COPY d e") == 550 and "one by one" in client.text
    assert client.command("SITE COPY x d") == 550 and "directory" in client.text
    assert client.command("SITE COPY x missing/y") == 550
    assert client.command("SITE COPY x x") == 550 and "onto itself" in client.text
    assert client.command("SITE COPY x /") in (550, 553)


def test_the_next_login_copies_nothing_of_the_last_one(server: Server, client: Client) -> None:
    assert client.command("SITE CPFR a b.jpg") == 350
    assert client.command("REIN") == 220
    assert client.command("SITE CPTO x") == 530


def test_the_quota_counts(server: Server, client: Client) -> None:
    alice = server.store.accounts["alice"]
    server.run(server.store.change_account, "alice", replace(alice, quota_bytes=5))
    assert client.command("SITE CPFR a b.jpg") == 350
    assert client.command("SITE CPTO x") == 452
