"""What keeps the log short: it is cut, and followers that need what was cut are sent a snapshot instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from raftstore.consensus.links import Links
from raftstore.consensus.log.raftlog import RaftLog
from raftstore.consensus.log.records import Entry
from raftstore.consensus.runtime import Runtime
from raftstore.consensus.settings import ConsensusSettings
from raftstore.consensus.snapshots.compaction import Compaction
from raftstore.consensus.snapshots.exchange import SnapshotClient, SnapshotServer
from raftstore.consensus.statemachine import StateMachine


class ShortLog:
    """Compaction, and both sides of snapshots, put together.

    `install` takes a fetched snapshot into use; `failed` gets what must stop the node.
    """

    def __init__(
        self,
        *,
        links: Links,
        runtime: Runtime,
        settings: ConsensusSettings,
        machine: StateMachine,
        journal: RaftLog,
        directory: Path,
        is_member: Callable[[str], bool],
        committed: Callable[[], int],
        applied_index: Callable[[], int],
        compacted: Callable[[], None],
        install: Callable[[Path, Entry, Entry], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.server = SnapshotServer(
            links=links,
            runtime=runtime,
            settings=settings,
            machine=machine,
            journal=journal,
            directory=directory,
            is_member=is_member,
            failed=failed,
        )
        self._client = SnapshotClient(
            links=links,
            runtime=runtime,
            settings=settings,
            directory=directory,
            committed=committed,
            prepare=machine.prepare_snapshot,
            discard_prepared=machine.discard_prepared,
            install=install,
            failed=failed,
        )
        self._compaction = Compaction(
            runtime=runtime,
            settings=settings,
            machine=machine,
            journal=journal,
            applied_index=applied_index,
            floor=lambda: self.server.floor,
            compacted=compacted,
            failed=failed,
        )

    def start(self) -> None:
        """Give out snapshots from now on."""
        self.server.started = True

    def need(self, leader: str) -> None:
        """Fetch a snapshot of `leader`, unless that is under way."""
        self._client.need(leader)

    def check(self) -> None:
        """Do what is due. To be called a few times a heartbeat."""
        self._compaction.check()
        self.server.check()
        self._client.check()

    def halt(self) -> None:
        """Give out no more snapshots."""
        self.server.started = False

    async def stop(self) -> None:
        """End what is under way."""
        await self._client.stop()
        await self._compaction.stop()
        await self.server.stop()
