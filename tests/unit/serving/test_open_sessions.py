"""The sessions of a node: numbered, listed, ended by number or by user."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from ftpgateway.access.ledger import Ledger, LedgerLimits
from ftpgateway.serving.connections import Connections, Places, TooMany
from ftpgateway.serving.opensessions import (
    KILLED,
    OpenSessions,
    Operation,
    described,
    kill_sessions,
    list_sessions,
)
from raftstore.errors import Invalid, NotFound
from raftstore.peers import Peer, Role
from raftstore.wire import admin_pb2 as admin

ADMIN = Peer("admin", Role.ADMIN, b"")


@dataclass(eq=False)
class Fake:
    number: int
    user: str = ""
    peer: str = "192.0.2.1"
    protocol: str = "ftp"
    began: float = 1_700_000_000.5
    busy: Sequence[Operation] = ()
    heard: list[str] = field(default_factory=list)

    def operations(self) -> Sequence[Operation]:
        return self.busy

    def kill(self, reason: str) -> None:
        self.heard.append(reason)

    def leave(self, reason: str) -> None:
        self.heard.append(f"leave: {reason}")


def sessions(*users: str) -> tuple[OpenSessions, list[Fake]]:
    made = OpenSessions()
    fakes = [Fake(made.next_number(), user) for user in users]
    for fake in fakes:
        made.add(fake)
    return made, fakes


def test_one_session_is_ended_by_its_number_and_no_other() -> None:
    made, (one, two) = sessions("anna", "anna")
    assert made.kill(number=2) == [two]
    assert (one.heard, two.heard) == ([], [KILLED])


def test_all_of_a_user_are_ended_and_nobody_elses() -> None:
    made, (one, bob, stranger, two) = sessions("anna", "bob", "", "anna")
    assert made.kill(user="anna") == [one, two]
    assert not bob.heard and not stranger.heard
    assert made.kill(user="carol") == []


def test_who_has_left_is_not_there_any_more() -> None:
    made, (one, two) = sessions("anna", "bob")
    made.discard(one)
    made.discard(one)
    assert made.all() == [two]
    with pytest.raises(NotFound):
        made.kill(number=1)


def test_the_answer_tells_what_each_does() -> None:
    made, (_, two) = sessions("anna", "bob")
    two.busy = [Operation("upload", "/a.jpg", 5000, 2.0), Operation("RMD", "/old", None, 0.5)]
    answer = asyncio.run(list_sessions.answer(made, admin.SessionsRequest(), ADMIN))
    assert answer.count == 2
    first, second = answer.sessions
    assert (first.user, first.began_ns, list(first.operations)) == ("anna", 1_700_000_000_500_000_000, [])
    upload, removal = second.operations
    assert (upload.what, upload.path, upload.moved, upload.seconds) == ("upload", "/a.jpg", 5000, 2.0)
    assert not removal.HasField("moved")
    assert not described(two, operations=False).operations


def test_killing_takes_a_number_or_a_user() -> None:
    made, _ = sessions("anna")
    for request in (admin.SessionKill(), admin.SessionKill(number=1, user="anna")):
        with pytest.raises(Invalid):
            asyncio.run(kill_sessions.answer(made, request, ADMIN))
    assert kill_sessions.roles == {Role.ADMIN} and kill_sessions.changes


def test_a_node_that_takes_no_sessions_says_why() -> None:
    why = ["use another node"]
    connections = Connections(Ledger(LedgerLimits()), Places(10), OpenSessions(lambda: why[0]))
    with pytest.raises(TooMany, match="use another node"):
        connections.enter("192.0.2.1", lambda _: None)
    why[0] = ""
    connections.enter("192.0.2.1", lambda _: None)
    assert len(connections) == 1
