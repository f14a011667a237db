"""Who may hold a connection before it is known who it is: a share for each network, and the silent ones go first. Pure.

Strangers take places that are bounded. When these are taken, a newcomer replaces somebody instead of being refused,
so that whoever holds connections open keeps nobody out:

- Who has not sent a byte is replaced first, the oldest of the network that has most such: after `GRACE`, or while that
  network has more places than the newcomer's would have, so that many cannot push out one. A client that speaks first
  (SSH, TLS) sends right behind its handshake, so such a one is silent for no time to speak of.
- Who has spoken is in the middle of a login, and is replaced by a newcomer of another network only while its own has
  more than the newcomer's would have; by one of its own, or of a network as large, after `patience` seconds.
- Nobody who is known (`gone` was called) is ever replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)

PATIENCE = 10.0
"""Seconds that a login may take before others of the same network may have its place."""

GRACE = 0.5
"""Seconds after which a client that has sent nothing is not about to, but for one that waits for the server (FTP)."""


class Decision(NamedTuple, Generic[K]):
    """Whether a newcomer was taken, and whom it replaces: that connection is to be closed."""

    taken: bool
    replaced: K | None = None


@dataclass(slots=True)
class _Ranks(Generic[K]):
    """Connections by network, in order of age, and networks by how many they have."""

    queues: dict[str, dict[K, float]] = field(default_factory=dict)
    by_count: dict[int, dict[str, None]] = field(default_factory=dict)
    most: int = 0
    total: int = 0

    def count(self, network: str) -> int:
        return len(self.queues.get(network, ()))

    def add(self, network: str, key: K, now: float) -> None:
        before = self.count(network)
        self.queues.setdefault(network, {})[key] = now
        self.total += 1
        self._moved(network, before, before + 1)

    def remove(self, network: str, key: K) -> None:
        queue = self.queues[network]
        before = len(queue)
        del queue[key]
        if not queue:
            del self.queues[network]
        self.total -= 1
        self._moved(network, before, before - 1)

    def _moved(self, network: str, before: int, after: int) -> None:
        if before:
            del self.by_count[before][network]
            if not self.by_count[before]:
                del self.by_count[before]
        if after:
            self.by_count.setdefault(after, {})[network] = None
        # Counts change by one: of a largest group that is gone, the last network is in the one below.
        self.most = max(self.most, after)
        if self.most not in self.by_count:
            self.most -= 1

    def largest(self) -> str:
        return next(iter(self.by_count[self.most]))

    def oldest(self, network: str) -> tuple[K, float]:
        return next(iter(self.queues[network].items()))


class Admission(Generic[K]):
    """The strangers of one port; each call takes the same time, however many there are.

    `places` bounds them all, `share` those of one network (0: no bound of its own).
    """

    def __init__(
        self,
        places: int,
        share: int = 0,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.places = places
        self.share = share
        self._patience = patience
        self._clock = clock
        self._all: _Ranks[K] = _Ranks()
        self._silent: _Ranks[K] = _Ranks()
        self._speaking: _Ranks[K] = _Ranks()
        self._known: dict[K, tuple[str, _Ranks[K]]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: K) -> bool:
        return key in self._known

    def of(self, network: str) -> int:
        """Return how many strangers of a network there are."""
        return self._all.count(network)

    def admit(
        self, key: K, network: str, *, places: int | None = None, share: int | None = None
    ) -> Decision[K]:
        """Take a newcomer, or not. `places` and `share` may be less than usual for this time."""
        places = self.places if places is None else min(places, self.places)
        share = self.share if share is None else share
        replaced: K | None = None
        if places <= 0:
            return Decision(False)
        if share and self.of(network) >= share:
            replaced = self._of_its_own(network)
        elif len(self) >= places:
            replaced = self._of_all(network)
        else:
            self._add(key, network, self._silent)
            return Decision(True)
        if replaced is None:
            return Decision(False)
        self.gone(replaced)
        self._add(key, network, self._silent)
        return Decision(True, replaced)

    def spoke(self, key: K) -> None:
        """The stranger has sent something: its login is under way. Harmless when it is not there, or had spoken."""
        network, ranks = self._known.get(key, ("", self._speaking))
        if ranks is self._silent:
            self.gone(key)
            self._add(key, network, self._speaking)

    def gone(self, key: K) -> None:
        """It has left, or is a stranger no more. Idempotent."""
        found = self._known.pop(key, None)
        if found is not None:
            network, ranks = found
            ranks.remove(network, key)
            self._all.remove(network, key)

    def _add(self, key: K, network: str, ranks: _Ranks[K]) -> None:
        now = self._clock()
        self._known[key] = network, ranks
        ranks.add(network, key, now)
        self._all.add(network, key, now)

    def _of_its_own(self, network: str) -> K | None:
        """Return whom a newcomer of a network replaces that has its share."""
        return self._oldest_silent(network) or self._slow(network)

    def _of_all(self, network: str) -> K | None:
        """Return whom a newcomer replaces when all places are taken."""
        own, silent = self.of(network), None
        if self._silent.total:
            place = self._silent.largest()
            silent, since = self._silent.oldest(place)
            if place == network or self.of(place) > own + 1 or self._clock() - since >= GRACE:
                return silent
            if self.of(place) <= own:
                silent = None
        largest = self._all.largest()
        if self._all.most > own + 1:
            return self._oldest_silent(largest) or self._speaking.oldest(largest)[0]
        return silent or self._oldest_silent(network) or self._slow(largest)

    def _oldest_silent(self, network: str) -> K | None:
        return self._silent.oldest(network)[0] if self._silent.count(network) else None

    def _slow(self, network: str) -> K | None:
        """Return the oldest login of a network when it has had time enough."""
        if not self._speaking.count(network):
            return None
        key, since = self._speaking.oldest(network)
        return key if self._clock() - since >= self._patience else None
