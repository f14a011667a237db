"""A token is for machines whose program fits, and is not used up by others."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from storesettings import store_settings

from raftstore.cluster.membership.joining import Doorkeeper
from raftstore.peers.versions import Versions, incompatible
from raftstore.util.addresses import Address
from raftstore.wire import commands_pb2 as commands
from raftstore.wire import join_pb2

OWN = Versions("1.2", 1, 2)
TOKEN = b"t" * 16


class Cluster:
    """A roster, a token for n4, and what was proposed."""

    committed = (7, None)

    def __init__(self) -> None:
        self.addresses = {"n1": ("127.0.0.1", 1)}
        self.proposed: list[commands.Command] = []

    def check_free(self, *_: object) -> None:
        return

    def intents(self) -> list[commands.Intent]:
        return [
            commands.Intent(
                id=TOKEN, kind=commands.Intent.JOIN, node="n4", sealed=b"s", expires_ns=time.time_ns() + 10**12
            )
        ]

    async def propose(self, command: commands.Command) -> commands.Result:
        self.proposed.append(command)
        return commands.Result()

    def ask(self, level: int, **said: Any) -> join_pb2.Reply:
        settings = store_settings("n1", Path("data"), {"n1": Address("127.0.0.1", 1)}, None)
        leases = Doorkeeper(
            settings,
            self,  # type: ignore[arg-type]
            self.intents,
            self.propose,
            fits=lambda peer, theirs: incompatible("n1", OWN, peer, theirs, level),
        )
        request = join_pb2.Request(node="n4", address="127.0.0.1:4", **said)
        return join_pb2.Reply.FromString(
            asyncio.run(leases.answer(TOKEN, b"n" * 16, request.SerializeToString()))
        )


def test_a_fitting_program_joins() -> None:
    cluster = Cluster()
    assert cluster.ask(2, program="1.3", oldest=2, newest=3).sealed == b"s"
    assert cluster.proposed[0].redeem_token.id == TOKEN


@pytest.mark.parametrize("said", [{}, {"program": "1.1", "oldest": 1, "newest": 1}])
def test_others_are_told_what_to_install_and_the_token_stays_good(said: dict[str, Any]) -> None:
    cluster = Cluster()
    reply = cluster.ask(2, **said)
    assert (reply.error, reply.sealed) == ("Incompatible", b"")
    assert reply.detail.startswith(f"n4 runs pixraft {said.get('program', '0.1')}")
    assert cluster.proposed == []
