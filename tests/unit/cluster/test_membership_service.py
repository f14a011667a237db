"""The membership room: what an admin wants is taken only when the cluster has agreed on its first members."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raftstore.cluster.membership.service import Membership
from raftstore.cluster.settings import StoreSettings
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import NoQuorum
from raftstore.wire import commands_pb2 as commands

MEMBERS = {"n1": ("127.0.0.1", 1), "n2": ("127.0.0.1", 2), "n3": ("127.0.0.1", 3)}


class Node:
    """Remembers what was proposed."""

    def __init__(self) -> None:
        self.proposed: list[commands.Command] = []

    async def propose(self, command: commands.Command) -> commands.Result:
        self.proposed.append(command)
        return commands.Result()

    async def barrier(self) -> None:
        raise NotImplementedError


class Consensus:
    """As much of it as the room follows."""

    def __init__(self) -> None:
        self.configuration = (0, Configuration.of(MEMBERS))
        self.committed = self.configuration
        self.watcher: Any = None
        self.membership = self

    def introduce(self, names: Any) -> None:
        pass

    def watch(self, watcher: Any) -> None:
        self.watcher = watcher

    def commit(self, index: int) -> None:
        self.configuration = self.committed = (index, self.configuration[1])
        self.watcher()


def free_space(tmp_path: Path, patience: float) -> tuple[Membership, Node, Consensus]:
    settings = StoreSettings(
        name="n1",
        data=tmp_path,
        listen=MEMBERS["n1"],
        members=MEMBERS,
        identity=None,  # type: ignore[arg-type]
        command_timeout=patience,
    )
    catalog: Any = SimpleNamespace(configuration=(0, b""), intents=list)
    network: Any = SimpleNamespace(on_removed=None, set_members=lambda *_: None)
    node, consensus = Node(), Consensus()
    membership = Membership(settings, network, catalog, node, lambda: None, lambda _error: None)
    membership.take_part(consensus)  # type: ignore[arg-type]
    return membership, node, consensus


REMOVAL = commands.Intent(kind=commands.Intent.REMOVE, node="n2", id=bytes(16))


def test_an_intent_waits_for_the_first_configuration(tmp_path):
    async def main() -> None:
        membership, node, consensus = free_space(tmp_path, 60)
        intending = asyncio.ensure_future(membership.intend(REMOVAL))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not node.proposed
        consensus.commit(2)
        await intending
        assert [command.put_intent.intent.node for command in node.proposed] == ["n2"]

    asyncio.run(main())


def test_without_a_configuration_it_is_refused_in_time(tmp_path):
    async def main() -> None:
        membership, node, _ = free_space(tmp_path, 0.01)
        with pytest.raises(NoQuorum, match="first members"):
            await membership.intend(REMOVAL)
        assert not node.proposed

    asyncio.run(main())
