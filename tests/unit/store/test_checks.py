"""What supervisors and balancers are answered, by a node that is made up."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.errors import NoQuorum
from raftstore.store.checks import READY_SECONDS, Checks


class Node:
    """n1 of three voters; attributes are as a test wants them."""

    def __init__(self) -> None:
        self.working, self.rejoining, self.behind = True, False, False
        self.voters = {"n1", "n2", "n3"}
        self.linked = {"n2", "n3"}
        self.disk_problem = ""
        self.free = {"n1": 1 << 30, "n2": 1 << 30, "n3": 1 << 30}
        self.barriers: list[float] = []
        self.gate = asyncio.Event()
        self.leader: str | None = "n2"
        self.rests = False

    async def barrier(self, *, timeout: float) -> None:
        self.barriers.append(timeout)
        await self.gate.wait()
        if self.leader is None:
            raise NoQuorum("nobody answers")

    def view(self) -> ClusterView:
        return ClusterView(
            tuple(
                StoreState(
                    number, name, local=name == "n1", reachable=name in {"n1", *self.linked}, free_bytes=free
                )
                for number, (name, free) in enumerate(self.free.items())
            ),
            nodes=3,
        )

    def checks(self) -> Checks:
        node: Any = SimpleNamespace(
            own=SimpleNamespace(rejoining=self.rejoining, disk_problem=lambda: self.disk_problem),
            disk=SimpleNamespace(
                settings=SimpleNamespace(name="n1"), catalog=SimpleNamespace(behind=self.behind)
            ),
            membership=SimpleNamespace(
                roster=SimpleNamespace(configuration=SimpleNamespace(voters=self.voters))
            ),
            network=SimpleNamespace(reachable=lambda name: name in self.linked),
            topology=SimpleNamespace(view=self.view),
            follows=lambda: self.leader is not None,
            rests=self.rests,
        )
        part: Any = SimpleNamespace(consensus=SimpleNamespace(working=self.working, read_barrier=self.barrier))
        return Checks(node, part)


def test_who_asks_at_once_shares_a_barrier_that_ends_before_three_seconds() -> None:
    async def main() -> None:
        node = Node()
        checks = node.checks()
        asked = [asyncio.ensure_future(checks.ready()) for _ in range(5)]
        await asyncio.sleep(0)
        asked[0].cancel()  # who asked first has gone: the others are answered
        await asyncio.sleep(0)
        node.gate.set()
        assert await asyncio.gather(*asked[1:]) == [""] * 4
        assert node.barriers == [READY_SECONDS] and READY_SECONDS < 3
        node.leader = None
        assert await checks.ready() == "no majority of the cluster answers"
        assert len(node.barriers) == 2
        assert await checks.ready(local=True) == "no leader is known"
        assert len(node.barriers) == 2

    asyncio.run(main())


def test_a_node_that_joins_or_lags_for_want_of_space_is_not_ready() -> None:
    async def main() -> None:
        node = Node()
        node.gate.set()
        node.rejoining = True
        assert "joins" in await node.checks().ready() and "joins" in await node.checks().ready(local=True)
        node.rejoining, node.voters = False, {"n2", "n3"}
        assert "joins" in await node.checks().ready()
        node.voters, node.behind = {"n1", "n2", "n3"}, True
        assert "no space" in await node.checks().ready() and "no space" in await node.checks().ready(local=True)

    asyncio.run(main())


def test_uploads_and_the_stop_of_this_node_need_others() -> None:
    async def main() -> None:
        node = Node()
        assert (node.checks().writable(), node.checks().spared(), node.checks().alive()) == ("", "", "")
        node.linked = {"n2"}
        assert node.checks().writable() == "" and "no majority" in node.checks().spared()
        node.linked = set()
        assert node.checks().writable().startswith("1 of 2 stores")
        node.linked, node.free["n3"] = {"n2", "n3"}, 0
        assert node.checks().writable() == "" and node.checks().spared().startswith("without it 1 of 2 stores")
        node.disk_problem = "its disk is full"
        assert node.checks().writable() == "its disk is full"
        node.working = False
        assert node.checks().alive() == "the journal does not answer"

    asyncio.run(main())


def test_a_node_in_maintenance_is_not_ready_and_asks_nobody() -> None:
    async def main() -> None:
        node = Node()
        node.rests = True
        for local in (False, True):
            assert await node.checks().ready(local=local) == "it is in maintenance"
        assert not node.barriers
        assert node.checks().alive() == ""

    asyncio.run(main())
