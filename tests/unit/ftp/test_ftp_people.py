"""SITE BLOCK, EXPIRES and SEND, over the fake store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from ftpserver import Client, Server, serving

from raftstore.types import User


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        store = running.store
        store.accounts["alice"] = replace(store.accounts["alice"], person=True)
        store.accounts["bob"] = User("bob", "", home="/people/bob", person=True)
        running.run(store.put, "/a b.jpg", b"picture")
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with server.client() as connected:
        yield connected


def test_blocks(client: Client) -> None:
    assert client.command("SITE BLOCKS") == 211 and client.lines[1:-1] == []
    assert client.command("SITE BLOCK bob") == 200
    assert client.command("SITE BLOCKS") == 211 and client.lines[1:-1] == [" bob"]
    assert client.command("SITE UNBLOCK bob") == 200
    assert client.command("SITE BLOCKS") == 211 and client.lines[1:-1] == []
    assert client.command("SITE BLOCK") == 501


def test_a_stored_file_is_sent_and_expires_as_the_session_says(server: Server, client: Client) -> None:
    assert client.command("SITE SEND a b.jpg bob") == 200
    assert client.command("SITE EXPIRES 24h") == 200
    assert client.command("SITE SEND /a b.jpg bob") == 200
    assert client.command("SITE EXPIRES off") == 200
    assert client.command("SITE SEND /a b.jpg bob") == 200
    expiries = [expires for _, _, expires in server.store.people.sends]
    assert expiries == [0, 24 * 3600 * 10**9, 0]
    assert client.command("SITE SEND /a b.jpg nobody") == 550
    assert client.text == "550 nobody takes no pictures from you."
    for wrong in ("SITE SEND a", "SITE EXPIRES tomorrow", "SITE EXPIRES 0h", "SITE EXPIRES 9999d"):
        assert client.command(wrong) == 501


def test_who_is_no_person_does_none_of_it(server: Server) -> None:
    server.run(server.store.change_account, "alice", replace(server.store.accounts["alice"], person=False))
    with server.client() as client:
        lines = (
            "SITE BLOCK bob",
            "SITE UNBLOCK bob",
            "SITE BLOCKS",
            "SITE SEND /a b.jpg bob",
            "SITE EXPIRES 1h",
        )
        for line in lines:
            assert client.command(line) == 550 and "for persons" in client.text
