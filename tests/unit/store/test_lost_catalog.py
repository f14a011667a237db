"""A catalog that was lost, and a log that does not reach back to its beginning."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from peer_networks import identity
from storesettings import store_settings

from raftstore.cluster.membership.bootstrap import marker
from raftstore.consensus.log.journal import Journal
from raftstore.store.opendisk import LOST_LOG, check_disk, forget_lost_log, open_disk
from raftstore.util.addresses import Address

ONE = {"n1": Address("127.0.0.1", 1)}
TWO = ONE | {"n2": Address("127.0.0.1", 2)}


def compacted(data: Path, *entries: bytes) -> None:
    """Make a log that begins behind the first entries."""
    journal = Journal(data / "journal")
    for number, command in enumerate(entries, start=1):
        journal.add(command, number, 1)
    journal.sync()
    journal.setCurrentTerm(3, "n2")
    journal.deleteEntriesTo(3)
    journal.sync()
    journal.close()


def opened(data: Path, members: Mapping[str, Address]) -> int:
    """Open the disk as a start does; return how many entries the log has."""

    async def start() -> int:
        async with contextlib.AsyncExitStack() as stack:
            disk = await open_disk(store_settings("n1", data, members, identity("n1")), _fail, stack)
            return len(disk.journal)

    return asyncio.run(start())


def _fail(error: BaseException) -> None:
    raise AssertionError(error)


def test_the_node_is_one_that_has_lost_its_disk_and_keeps_the_log_until_it_has_caught_up(
    tmp_path: Path,
) -> None:
    compacted(tmp_path, *[b"command"] * 6)
    before = sorted(each.name for each in (tmp_path / "journal").iterdir())
    assert opened(tmp_path, TWO) == 0
    assert marker(tmp_path).exists()
    assert sorted(each.name for each in (tmp_path / LOST_LOG).iterdir()) == before
    # Again, before it has caught up: the log that was put away first stays.
    shutil.rmtree(tmp_path / "catalog")
    compacted(tmp_path, *[b"other"] * 6)
    assert opened(tmp_path, TWO) == 0
    assert sorted(each.name for each in (tmp_path / LOST_LOG).iterdir()) == before
    forget_lost_log(tmp_path)
    assert not (tmp_path / LOST_LOG).exists()
    assert opened(tmp_path, TWO) == 0


def test_who_is_alone_gives_up_nothing(tmp_path: Path) -> None:
    compacted(tmp_path, *[b"command"] * 6)
    assert opened(tmp_path, ONE) > 0
    assert not marker(tmp_path).exists()


def test_a_check_gives_up_nothing(tmp_path: Path) -> None:
    compacted(tmp_path, *[b"command"] * 6)
    settings = store_settings("n1", tmp_path, TWO, identity("n1"))
    asyncio.run(check_disk(settings, _fail))
    assert not (tmp_path / LOST_LOG).exists()
    assert not marker(tmp_path).exists()
