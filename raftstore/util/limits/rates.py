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
        tokens, since = self._left.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        may = tokens >= 1
        self._left[key] = (tokens - 1 if may else tokens, now)
        self._left.move_to_end(key)
        while len(self._left) > self._entries:
            self._left.popitem(last=False)
        return may
