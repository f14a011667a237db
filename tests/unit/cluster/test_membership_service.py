"""Membership: what an admin wants is taken only when the cluster has agreed on its first members."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from storesettings import store_settings

from raftstore.cluster.membership.service import JOINED, REMOVED, Membership
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import NoQuorum, Removed
from raftstore.util.addresses import Address
from raftstore.wire import commands_pb2 as commands

MEMBERS = {f"n{number}": Address("127.0.0.1", number) for number in (1, 2, 3)}


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
        self.ended: list[BaseException] = []

    def introduce(self, names: Any) -> None:
        pass

    def watch(self, watcher: Any) -> None:
        self.watcher = watcher

    def commit(self, index: int) -> None:
        self.configuration = self.committed = (index, self.configuration[1])
        self.watcher()


def member(tmp_path: Path, patience: float) -> tuple[Membership, Node, Consensus]:
    settings = replace(store_settings("n1", tmp_path, MEMBERS, None), command_timeout=patience)
    catalog: Any = SimpleNamespace(configuration=(0, b""), intents=list)
    network: Any = SimpleNamespace(on_removed=None, set_members=lambda *_: None)
    node, consensus = Node(), Consensus()
    membership = Membership(settings, network, catalog, node, lambda: None, consensus.ended.append)
    membership.take_part(consensus)  # type: ignore[arg-type]
    return membership, node, consensus


REMOVAL = commands.Intent(kind=commands.Intent.REMOVE, node="n2", id=bytes(16))


def test_an_intent_waits_for_the_first_configuration(tmp_path):
    async def main() -> None:
        membership, node, consensus = member(tmp_path, 60)
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
        membership, node, _ = member(tmp_path, 0.01)
        with pytest.raises(NoQuorum, match="first members"):
            await membership.intend(REMOVAL)
        assert not node.proposed

    asyncio.run(main())


def test_who_has_just_joined_is_not_ended_by_the_removal_of_an_earlier_life(tmp_path):
    """A node is replaced in two steps: it may hear that its name was removed before it is let in by the second."""

    async def main() -> None:
        (tmp_path / JOINED).write_text("40\n")
        membership, _, consensus = member(tmp_path, 60)
        removed = membership._network.on_removed
        removed("n2", 47)
        assert not consensus.ended and not (tmp_path / REMOVED).exists()
        consensus.commit(48)  # now it is a member
        removed("n2", 47)
        assert not consensus.ended
        removed("n2", 60)
        assert [type(error) for error in consensus.ended] == [Removed]
        assert (tmp_path / REMOVED).read_text() == "60\n"

    asyncio.run(main())
