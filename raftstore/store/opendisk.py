"""A node's disk, opened: recovered volumes, catalog and journal. Nobody else has been asked anything yet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.cluster.membership.service import check_not_removed
from raftstore.cluster.settings import StoreSettings
from raftstore.consensus.log.journal import Journal
from raftstore.errors import DiskFull
from raftstore.metadata import Catalog
from raftstore.util.disk import is_full
from raftstore.util.space import LOOK_SECONDS, Ballast, SpaceWatch

log = structlog.get_logger()

_T = TypeVar("_T")

SETTLE = 0.1
"""Seconds for which what the catalog applies is gathered into one transaction."""

_PRIVATE = ("catalog", "journal", "snapshots")
"""Directories with hashes of passwords and the cluster's secrets in them."""

OnFatal = Callable[[BaseException], None]
"""Told why the node can no longer keep its promises."""


@dataclass(frozen=True, slots=True)
class OpenDisk:
    """What is on a node's disk, held open."""

    settings: StoreSettings
    watch: SpaceWatch
    """Of the space that log and catalog have; not started yet."""
    volumes: VolumeSet
    catalog: Catalog
    journal: Journal

    @property
    def level(self) -> int:
        """The level in force as far as this node has applied the log; 0 while it has applied nothing."""
        return self.catalog.level if self.catalog.opening is None else 0

    @property
    def log_empty(self) -> bool:
        """Whether the log holds nothing but what every log starts with: the node is new, or its disk was lost."""
        return len(self.journal) == 0 or self.journal[-1][1] <= 1

    def free_space(self) -> int:
        """Bytes of the disk that pictures may still take; none when it failed, so that others are asked."""
        stats = self.volumes.stats()
        return 0 if stats.failed else max(0, stats.disk_free - self.settings.reserve)


async def open_disk(settings: StoreSettings, on_fatal: OnFatal, stack: contextlib.AsyncExitStack) -> OpenDisk:
    """Open what is on the disk as soon as that has space for it; `stack` closes it again.

    A node that ended for want of space would need a person to start it. Raises Damaged, Invalid, OSError, Removed,
    Refused when another process has it.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    watch = SpaceWatch(settings.data, Ballast(settings.data, settings.node.ballast_bytes))
    await watch.until_enough_to_start()
    return await with_space(watch, lambda: _opened(settings, watch, on_fatal, stack))


async def check_disk(settings: StoreSettings, on_fatal: OnFatal) -> None:
    """Open what is on the disk as a start does, and close it; make nothing new. Raises as `open_disk`."""
    if settings.data.is_dir() and any(settings.data.iterdir()):
        watch = SpaceWatch(settings.data, Ballast(settings.data, settings.node.ballast_bytes))
        async with contextlib.AsyncExitStack() as stack:
            await _opened(settings, watch, on_fatal, stack)


async def with_space(watch: SpaceWatch, work: Callable[[], Awaitable[_T]]) -> _T:
    """Do what a start does; again as long as the disk is full."""
    while True:
        try:
            return await work()
        except (DiskFull, OSError) as error:
            if not isinstance(error, DiskFull) and not is_full(error):
                raise
            log.error("disk is full: the start waits for space", error=str(error))
        if not watch.ballast.free_space():
            await asyncio.sleep(LOOK_SECONDS)


async def _opened(
    settings: StoreSettings, watch: SpaceWatch, on_fatal: OnFatal, stack: contextlib.AsyncExitStack
) -> OpenDisk:
    async with contextlib.AsyncExitStack() as opened:
        _protect(settings)
        check_not_removed(settings)
        volumes = VolumeSet(
            settings.data / "volumes",
            volume_bytes=settings.chunks.volume_bytes,
            reserve_bytes=settings.reserve,
            verified_for=settings.jobs.scrub_period,
        )
        await volumes.open()
        opened.push_async_callback(volumes.close)
        free_space = watch.ballast.free_space
        catalog = Catalog(
            settings.data / "catalog" / "catalog.db",
            later=lambda settle: _settle_later(settle, on_fatal),
            free_space=free_space,
        )
        opened.callback(catalog.close)
        journal = Journal(
            settings.data / "journal", segment_bytes=settings.consensus.segment_bytes, free_space=free_space
        )
        opened.callback(journal.close)
        stack.push_async_exit(opened.pop_all())
    return OpenDisk(settings, watch, volumes, catalog, journal)


def _protect(settings: StoreSettings) -> None:
    """Make the directories, and keep others of the machine from what is secret in them."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _PRIVATE:
        (settings.data / name).mkdir(exist_ok=True)
        (settings.data / name).chmod(0o700)
        for file in (settings.data / name).iterdir():
            file.chmod(0o600)


def _settle_later(settle: Callable[[], None], on_fatal: OnFatal) -> None:
    """See Catalog: a failure there stops the node. A full disk does not: consensus has it tried again."""

    def guarded() -> None:
        try:
            settle()
        except DiskFull as error:
            log.error("disk is full: the catalog waits for space", error=str(error))
        except BaseException as error:
            on_fatal(error)

    asyncio.get_running_loop().call_later(SETTLE, guarded)
