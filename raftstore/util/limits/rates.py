"""How often something may happen for each of many: a bucket of tokens for each key. Pure but for its clock."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Rates(Generic[K]):
    """`burst` at once for each key, then `rate` a second; the longest unheard of of `entries` is forgotten."""

    def __init__(
        self, rate: float, burst: float, *, entries: int = 4096, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._entries = entries
        self._clock = clock
        self._left: OrderedDict[K, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, key: K) -> bool:
        """Return whether it may happen once more now; if so, it is counted."""
        now = self._clock()
        found = self._left.get(key)
        if found is None:
            tokens = self._burst
        else:
            tokens = found[0] + (now - found[1]) * self._rate
            if tokens > self._burst:
                tokens = self._burst
            self._left.move_to_end(key)
        may = tokens >= 1
        self._left[key] = (tokens - 1 if may else tokens, now)
        if len(self._left) > self._entries:
            self._left.popitem(last=False)
        return may
