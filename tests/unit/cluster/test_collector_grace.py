"""From when on the grace period of a chunk counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

import pytest

from raftstore.cluster.replicas.collector import Collector
from raftstore.errors import Unavailable

GRACE = 100.0
ON_ITS_WAY, GARBAGE = b"a" * 16, b"b" * 16


@dataclass(frozen=True)
class Entry:
    key: bytes


class Chunks:
    def __init__(self) -> None:
        self.here = [ON_ITS_WAY, GARBAGE]
        self.on_touch: Callable[[bytes], None] | None = None

    async def digests(self) -> AsyncIterator[Sequence[Entry]]:
        yield [Entry(key) for key in self.here]

    async def remove_many(
        self, digests: Iterable[bytes], *, unless: Callable[[bytes], bool] | None = None
    ) -> int:
        gone = [key for key in digests if unless is None or not unless(key)]
        self.here = [key for key in self.here if key not in gone]
        return len(gone)


def test_what_was_published_during_the_first_pass_gets_a_grace_period_of_its_own() -> None:
    """Somebody may still be reading a version that was deleted a moment before the second pass."""
    chunks, referred, now = Chunks(), set[bytes](), [0.0]

    async def find(keys: Sequence[bytes]) -> list[bytes]:
        await asyncio.sleep(0)
        return [key for key in keys if key not in referred]

    async def barrier() -> None:
        pass

    async def begin() -> int:
        return 7

    async def scenario() -> None:
        collector = Collector(
            chunks,
            grace=GRACE,
            unlisted=lambda keys: [key for key in keys if key not in referred],
            find=find,
            barrier=barrier,
            begin=begin,
            swept=lambda: 7,
            clock=lambda: now[0],
        )
        await collector.look()
        referred.add(ON_ITS_WAY)
        now[0] = GRACE / 4
        await collector.look()
        assert collector.waiting == 1
        referred.clear()
        now[0] = GRACE + 1
        assert await collector.look() == 1
        assert chunks.here == [ON_ITS_WAY]
        now[0] = 2 * GRACE + 2
        assert await collector.look() == 1
        assert chunks.here == []

    asyncio.run(scenario())


def test_what_is_asked_for_while_the_catalog_is_asked_is_no_candidate() -> None:
    """The catalog answers from a thread: a touch between its answer and the list must not be lost."""
    chunks, answers = Chunks(), asyncio.Event()

    async def find(keys: Sequence[bytes]) -> list[bytes]:
        await answers.wait()
        return list(keys)

    async def nothing() -> None:
        pass

    async def begin() -> int:
        return 7

    async def test() -> None:
        collector = Collector(
            chunks,
            grace=GRACE,
            unlisted=lambda keys: list(keys),
            find=find,
            barrier=nothing,
            begin=begin,
            swept=lambda: 7,
        )
        looking = asyncio.ensure_future(collector.look())
        await asyncio.sleep(0)
        assert chunks.on_touch is not None
        chunks.on_touch(ON_ITS_WAY)
        answers.set()
        await looking
        assert collector.waiting == 1
        assert not collector._touched_meanwhile

    asyncio.run(test())


def test_nothing_is_removed_by_a_catalog_that_has_gone_back_before_the_sweep() -> None:
    """A full disk undoes what is not committed: the sweep, and with it the entry that lists the chunk."""
    chunks, now, swept, listed, seen = Chunks(), [0.0], [0], [False], list[bool]()

    async def find(keys: Sequence[bytes]) -> list[bytes]:
        return list(keys)

    async def nothing() -> None:
        pass

    async def begin() -> int:
        swept[0], listed[0] = 7, True
        return 7

    def unlisted(keys: Iterable[bytes]) -> list[bytes]:
        return [] if listed[0] else list(keys)

    async def remove_many(digests: Iterable[bytes], *, unless: Callable[[bytes], bool] | None = None) -> int:
        swept[0], listed[0] = 0, False  # undone while the first of them are looked at
        assert unless is not None
        seen.append(all(unless(key) for key in digests))
        return 0

    async def scenario() -> None:
        collector = Collector(
            chunks,
            grace=GRACE,
            unlisted=unlisted,
            find=find,
            barrier=nothing,
            begin=begin,
            swept=lambda: swept[0],
            clock=lambda: now[0],
        )
        await collector.look()
        now[0] = GRACE + 1
        chunks.remove_many = remove_many  # type: ignore[method-assign]
        with pytest.raises(Unavailable):
            await collector.look()
        assert seen == [True]

    asyncio.run(scenario())
