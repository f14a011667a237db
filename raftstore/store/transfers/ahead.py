"""The chunks of a large file travel ahead of the command that publishes it, a slice at a time.

So no command of the log holds any node's loop for long (`raftstore.metadata.tables.contents.longcontents`). One slice
of this node is under way at a time, whoever's it is: two would share a log entry. What nobody will publish is ended,
and while this node leads it has what was replaced or removed given up, slice by slice as well, leaving others most of
the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from raftstore.cluster.proposals import Propose
from raftstore.metadata.tables.contents.longcontents import SLICE
from raftstore.metadata.tables.contents.staging import Staged
from raftstore.types import ChunkRef
from raftstore.util.tasks import Periodic
from raftstore.wire import commands_pb2 as commands

LOOK = 1.0
PAUSE = 0.02
"""Seconds between two slices that are given up: some 5 GiB a second, for some hundredths of the loop's time."""


class Contents(Protocol):
    """What is asked of the catalog as this node has applied it."""

    @property
    def level(self) -> int:
        """The level in force."""
        ...

    @property
    def leftovers(self) -> int:
        """Contents that are to be given up."""
        ...

    def staged(self) -> list[Staged]:
        """Return what is staged."""
        ...


def chunks_to_wire(chunks: Sequence[ChunkRef]) -> list[commands.Chunk]:
    """Encode chunk references for a command."""
    return [commands.Chunk(digest=ref.digest, length=ref.length, stores=ref.stores) for ref in chunks]


class Stager(Periodic):
    """Stages contents for the uploads of a node, in one boot of it."""

    def __init__(
        self,
        node: str,
        boot: int,
        catalog: Contents,
        propose: Propose,
        leads: Callable[[], bool],
        *,
        period: float = LOOK,
        piece: int = SLICE,
    ) -> None:
        """`piece`: chunks that travel at a time, and up to which a file needs none of this."""
        super().__init__("staging of large files", period, waits="contents that nobody needs stay for now")
        self._node = node
        self._boot = boot
        self._catalog = catalog
        self._propose = propose
        self._leads = leads
        self._piece = piece
        self._turn = asyncio.Lock()
        self._staging = 0  # of which the number may not be known yet
        self._held: set[int] = set()

    def needs(self, chunks: Sequence[ChunkRef]) -> bool:
        """Whether a file of these chunks is staged."""
        return len(chunks) > self._piece and self._catalog.level >= 2

    async def stage(self, chunks: Sequence[ChunkRef], since: int, owner: str) -> int:
        """Return the number under which the chunks of a file are staged; see PutFile. Raises StoreError: none are.

        To be told of with `over`.
        """
        content = 0
        self._staging += 1
        try:
            for offset in range(0, len(chunks), self._piece):
                stage = commands.StageContent(
                    node=self._node,
                    boot=self._boot,
                    content=content,
                    offset=offset,
                    chunks=chunks_to_wire(chunks[offset : offset + self._piece]),
                    since=since,
                    owner=owner,
                )
                async with self._turn:
                    content = (await self._propose(commands.Command(stage_content=stage))).inode
            self._held.add(content)
            return content
        finally:
            self._staging -= 1

    def over(self, content: int) -> None:
        """It is published, or nobody will publish it any more: then it goes in a while."""
        self._held.discard(content)

    async def look(self) -> None:
        """End what nobody needs. Raises StoreError."""
        for staged in self._unneeded():
            unstage = commands.UnstageContent(node=self._node, boot=self._boot, content=staged.content)
            await self._propose(commands.Command(unstage_content=unstage))
        while self._catalog.leftovers and self._leads():
            forget = commands.ForgetContents(limit=self._piece)
            async with self._turn:
                await self._propose(commands.Command(forget_contents=forget))
            await asyncio.sleep(PAUSE)

    def _unneeded(self) -> list[Staged]:
        """Return what no upload will publish, also what was staged although its proposal seemed to fail."""
        if self._staging:
            return []  # which of them are new nobody knows yet
        ours = (
            staged
            for staged in self._catalog.staged()
            if (staged.node, staged.boot) == (self._node, self._boot)
        )
        return [staged for staged in ours if staged.content not in self._held]
