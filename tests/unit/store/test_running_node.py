"""A node that was there before is built from what its disk says."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from peer_networks import identity
from storesettings import store_settings

from raftstore.consensus.membership.configuration import Configuration, Former, Member
from raftstore.errors import Removed
from raftstore.store.node import RunningNode
from raftstore.store.opendisk import open_disk
from raftstore.util.addresses import Address

SEEDS = {"n1": Address("127.0.0.1", 1), "n2": Address("127.0.0.1", 2)}


def built_on(data: Path, configuration: Configuration) -> tuple[RunningNode, list[BaseException]]:
    """Return the node n1 as it is before it talks to anybody, and what has ended it."""
    settings = store_settings("n1", data, SEEDS, identity("n1"))
    ended: list[BaseException] = []

    async def build() -> RunningNode:
        async with contextlib.AsyncExitStack() as stack:
            disk = await open_disk(settings, ended.append, stack)
            disk.catalog.configure(5, configuration.encode())
            return RunningNode(disk, ended.append, None)

    return asyncio.run(build()), ended


def test_a_node_starts_again_after_others_have_joined_and_left(tmp_path: Path) -> None:
    members = (Member("n1"), Member("n3", voter=False, address="127.0.0.1:3", certificate=b"c" * 32))
    node, ended = built_on(tmp_path, Configuration(members, (Former("n2", 4),)))
    assert node.membership.others() == ["n3"]
    assert node.membership.roster.addresses["n3"] == Address("127.0.0.1", 3)
    assert not ended


def test_a_node_that_was_removed_while_it_was_down_does_not_go_on(tmp_path: Path) -> None:
    _, ended = built_on(tmp_path, Configuration((Member("n2"),), (Former("n1", 5),)))
    assert [type(reason) for reason in ended] == [Removed]
