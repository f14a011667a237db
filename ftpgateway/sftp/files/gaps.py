"""Which parts of a file that is written nobody has written yet. Pure."""

from __future__ import annotations

MOST = 64
"""Gaps that are kept apart; of more the last ones count as one, with what lies between them."""


class Gaps:
    """Parts of a file, apart and in order. They read as zeroes; what is in front of the first was all written."""

    def __init__(self) -> None:
        self._gaps: list[tuple[int, int]] = []

    def __bool__(self) -> bool:
        return bool(self._gaps)

    def first(self, size: int) -> int:
        """Return where the first gap begins; `size`, that of the file, when there is none."""
        return self._gaps[0][0] if self._gaps else size

    def add(self, start: int, stop: int) -> None:
        """The file has grown from `start` to `stop`, where nothing was written."""
        if start < stop:
            self._set([*self._gaps, (start, stop)])

    def fill(self, start: int, stop: int) -> None:
        """The bytes from `start` to `stop` were written."""
        if self._gaps:
            left = [part for gap in self._gaps for part in _without(gap, start, stop)]
            self._set(left)

    def cut(self, size: int) -> None:
        """The file ends at `size`."""
        self._set([(start, min(stop, size)) for start, stop in self._gaps if start < size])

    def clear(self) -> None:
        """What is there counts as written: it was published."""
        self._gaps.clear()

    def _set(self, gaps: list[tuple[int, int]]) -> None:
        if len(gaps) > MOST:
            gaps[MOST - 1 :] = [(gaps[MOST - 1][0], gaps[-1][1])]
        self._gaps = gaps


def _without(gap: tuple[int, int], start: int, stop: int) -> list[tuple[int, int]]:
    """Return what is left of `gap`."""
    parts = [(gap[0], min(gap[1], start)), (max(gap[0], stop), gap[1])]
    return [part for part in parts if part[0] < part[1]]
