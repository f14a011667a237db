"""Puts the writes of one open file in order, within a bounded window. Pure.

A file is passed on from its beginning to its end, but SFTP lets a client write anywhere. What came last is held back,
so that writes may come out of order, overlap or go back as long as they stay within `reach` of the furthest byte.
"""

from __future__ import annotations

from collections.abc import Iterator

from raftstore.errors import Invalid

REACH = 1024 * 1024
"""Bytes before the furthest one written that can be written again."""
AHEAD = 4 * 1024 * 1024
"""Bytes beyond a gap that are kept until the gap is filled."""
PASS_ON = 1024 * 1024
"""Bytes that are passed on at a time."""

Buffer = bytes | bytearray | memoryview


class Window:
    """Takes writes at offsets in bytes, gives bytes in order."""

    def __init__(self, start: int, *, reach: int = REACH, ahead: int = AHEAD, pass_on: int = PASS_ON) -> None:
        self._base = start  # offset of the first byte that is held
        self._held = bytearray()
        self._filled = 0  # bytes of it up to the first gap
        self._islands: list[
            tuple[int, int]
        ] = []  # what is filled beyond: (first, after the last), in order, apart
        self._reach = reach
        self._ahead = ahead
        self._pass_on = pass_on

    @property
    def end(self) -> int:
        """Up to where everything has come."""
        return self._base + self._filled

    def write(self, offset: int, data: Buffer) -> None:
        """Take a write. Raises Invalid when it is out of reach."""
        at, size = offset - self._base, len(data)
        if not size:
            return
        if at == self._filled == len(self._held):
            self._held += data
            self._filled += size
            return
        if at < 0:
            raise Invalid(
                f"byte {offset} was passed on already; only the last {self._reach} bytes can be written again"
            )
        if at > self._filled and at + size > self._filled + self._ahead:
            raise Invalid(f"byte {self.end} is missing; write a file from its beginning to its end")
        if at > len(self._held):
            self._held += bytes(at - len(self._held))
        self._held[at : at + size] = data
        self._cover(at, at + size)

    def _cover(self, first: int, last: int) -> None:
        """Note that bytes are there; join what touches."""
        apart = []
        for island in [(0, self._filled), *self._islands]:
            if island[1] < first or island[0] > last:
                apart.append(island)
            else:
                first, last = min(first, island[0]), max(last, island[1])
        islands = sorted([*apart, (first, last)])
        self._filled = islands[0][1]
        self._islands = islands[1:]

    def ready(self) -> Iterator[memoryview]:
        """Yield what need not be held back any more; use each before the next."""
        while self._filled >= self._reach + self._pass_on:
            yield from self._give(self._pass_on)

    def rest(self) -> Iterator[memoryview]:
        """Yield everything up to the first gap; afterwards none of it can be written again."""
        while self._filled:
            yield from self._give(min(self._pass_on, self._filled))

    def _give(self, count: int) -> Iterator[memoryview]:
        with memoryview(self._held) as held, held[:count] as part:
            yield part
        del self._held[:count]
        self._base += count
        self._filled -= count
        self._islands = [(first - count, last - count) for first, last in self._islands]

    def check_whole(self) -> None:
        """Raise Invalid when bytes are missing."""
        if self._islands:
            missing = self._base + self._islands[0][0]
            raise Invalid(f"bytes {self.end} to {missing} never came; nothing was published")
