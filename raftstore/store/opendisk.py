"""A node's disk, opened: recovered volumes, catalog and journal. Nobody else has been asked anything yet."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.cluster.membership.bootstrap import mark, marker
from raftstore.cluster.membership.service import check_not_removed
from raftstore.cluster.settings import StoreSettings
from raftstore.consensus.log.journal import Journal
from raftstore.consensus.startup import reaches_back_too_little
from raftstore.errors import DiskFull
from raftstore.metadata import Catalog
from raftstore.util.disk import RealDisk, is_full
from raftstore.util.space import LOOK_SECONDS, Ballast, SpaceWatch

log = structlog.get_logger()

_T = TypeVar("_T")

SETTLE = 0.1
"""Seconds for which what the catalog applies is gathered into one transaction."""

_PRIVATE = ("catalog", "journal", "snapshots")
"""Directories with hashes of passwords and the cluster's secrets in them."""

LOST_LOG = "journal.lost"
"""A log that was of no use without the catalog that was lost."""

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
    return await with_space(watch, lambda: _opened(settings, watch, on_fatal, stack, renew=True))


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
    settings: StoreSettings,
    watch: SpaceWatch,
    on_fatal: OnFatal,
    stack: contextlib.AsyncExitStack,
    *,
    renew: bool = False,
) -> OpenDisk:
    """Open all of it. `renew`: a log that is of no use without the catalog that was lost is begun anew."""
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
        journal = _journal(settings, free_space)
        if renew and len(settings.members) > 1 and reaches_back_too_little(journal, catalog.applied_index):
            _give_up(settings, journal, catalog.applied_index)
            journal = _journal(settings, free_space)
        opened.callback(journal.close)
        stack.push_async_exit(opened.pop_all())
    return OpenDisk(settings, watch, volumes, catalog, journal)


def _journal(settings: StoreSettings, free_space: Callable[[], bool]) -> Journal:
    directory, segment_bytes = settings.data / "journal", settings.consensus.segment_bytes
    return Journal(directory, segment_bytes=segment_bytes, free_space=free_space)


def _give_up(settings: StoreSettings, journal: Journal, applied: int) -> None:
    """Put a log away that cannot bring the catalog up to date: the node is then one that has lost its disk.

    The mark comes first, and the log goes by one rename: a crash leaves a node that rejoins, whatever it still has.
    What is put away stays until the node has caught up (`forget_lost_log`): others may have lost theirs, too.
    """
    log.warning(
        "the catalog was lost, and the log begins behind it: both come from the other nodes; no vote until then",
        applied=applied,
        log_begins=journal[0][1],
    )
    journal.close()
    mark(marker(settings.data))
    present, lost = settings.data / "journal", settings.data / LOST_LOG
    if lost.exists():  # the node had not caught up since
        shutil.rmtree(present)
    else:
        present.rename(lost)
    present.mkdir(mode=0o700, exist_ok=True)
    RealDisk().sync_directory(settings.data)


def forget_lost_log(data: Path) -> None:
    """Remove the log that was put away: the node in the directory `data` has caught up. Blocks."""
    shutil.rmtree(data / LOST_LOG, ignore_errors=True)


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
