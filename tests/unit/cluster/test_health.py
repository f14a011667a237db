from __future__ import annotations

import asyncio

from raftstore.cluster.membership.boot import Boots
from raftstore.cluster.membership.roster import Roster
from raftstore.cluster.status.health import Health
from raftstore.types import NodeStatus
from raftstore.util.addresses import Address
from raftstore.wire import admin_pb2 as admin


def test_answers_are_about_a_start_only_when_that_has_a_number() -> None:
    """`status` may be asked for before: such an answer must not count as one about the node's data."""
    seeds = {name: Address("127.0.0.1", 1024 + number) for number, name in enumerate(("n1", "n2"))}
    boots, asked, heard = Boots(), [], []

    async def ask(_member: str, request: admin.NodeRequest) -> admin.NodeReport:
        asked.append(request.boot)
        return admin.NodeReport(node=admin.NodeStatus(name="n2", role="follower"))

    health = Health(
        lambda: (NodeStatus("n1", "", reachable=True), ""),
        Roster("n1", seeds, lambda: None),
        ask,
        store=lambda: b"",
        boots=lambda: boots,
        heard=lambda name, _report: heard.append(name),
        misfit=lambda _name: "",
    )
    asyncio.run(health.gather())
    assert (asked, heard) == ([0], [])
    boots = Boots(previous=6, now=7)
    asyncio.run(health.gather())
    assert (asked, heard) == ([0, 7], ["n2"])
