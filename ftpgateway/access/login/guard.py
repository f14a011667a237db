"""Slows down who guesses passwords: addresses with many failures have to wait, at every node. Pure but for its clock.

Each failure counts one for its network (an IPv4 address, the /64 of an IPv6 address), and one is forgotten every
`forget` seconds. Beyond `free` failures the network has to wait before it may try again: `first` seconds, twice as
long with each further failure, up to `most`. Whoever tries while it has to wait is refused without a look at the
password, and that does not count: a right password works as soon as the time is over.

The networks of one IPv6 /48, of which one customer has 65,536, have together SITE times as many failures free.

A user who has logged in from a network before is judged by its own failures there, not by those of its neighbours: a
camera behind the same router as a broken script goes on.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from raftstore.util.networks import site_of

K = TypeVar("K")

ENTRIES = 20_000
"""Networks, and users that have logged in from one, of which something is remembered; the longest unheard of goes."""

SITE = 16
"""Networks' worth of failures that are free for a whole IPv6 /48."""

_MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Slowness:
    """How failures are answered; times in seconds."""

    free: int = 10
    first: float = 1.0
    most: float = 300.0
    forget: float = 30.0


@dataclass(slots=True)
class _Record:
    failures: float = 0.0
    counted: float = 0.0
    until: float = 0.0


class Guard:
    """Failures by network, those here and those that other nodes have told of."""

    def __init__(self, slowness: Slowness, clock: Callable[[], float], entries: int = ENTRIES) -> None:
        self._slowness = slowness
        self._clock = clock
        self._entries = entries
        self._networks: OrderedDict[str, _Record] = OrderedDict()
        self._friends: OrderedDict[tuple[str, str], _Record] = OrderedDict()
        self._news: Counter[str] = Counter()

    def wait(self, network: str, user: str) -> float:
        """Return the seconds that a login of `user` from `network` has to wait; 0.0: it may try now."""
        friend = self._friends.get((network, user))
        records = [friend] if friend is not None else map(self._networks.get, (network, site_of(network)))
        return max(0.0, *(record.until - self._clock() for record in records if record is not None), 0.0)

    def failed(self, network: str, user: str) -> float:
        """Count a wrong password at this node, to be told to the others; return the seconds to wait now."""
        self._news[network] += 1
        self._count_network(network, 1)
        friend = self._friends.get((network, user))
        if friend is not None:
            self._count(friend, 1)
        return self.wait(network, user)

    def heard(self, network: str, count: int) -> None:
        """Count failures at another node."""
        self._count_network(network, min(count, self._slowness.free + _MOST_DOUBLINGS))

    def succeeded(self, network: str, user: str) -> None:
        """Remember that `user` has logged in from `network`."""
        self._record(self._friends, (network, user))

    def news(self, limit: int = 1000) -> dict[str, int]:
        """Return the failures by network since the last call, to be told to the other nodes; at most `limit`."""
        reported = dict(self._news.most_common(limit))
        self._news.clear()
        return reported

    def _record(self, records: OrderedDict[K, _Record], key: K) -> _Record:
        record = records.get(key)
        if record is None:
            record = records[key] = _Record(counted=self._clock())
            while len(records) > self._entries:
                records.popitem(last=False)
        else:
            records.move_to_end(key)
        return record

    def _left(self, record: _Record) -> float:
        return max(0.0, record.failures - (self._clock() - record.counted) / self._slowness.forget)

    def _count_network(self, network: str, count: int) -> None:
        self._count(self._record(self._networks, network), count)
        if site := site_of(network):
            self._count(self._record(self._networks, site), count, SITE)

    def _count(self, record: _Record, count: int, times: int = 1) -> None:
        slow, now = self._slowness, self._clock()
        record.failures = self._left(record) + count
        record.counted = now
        beyond = round(record.failures) - slow.free * times
        if beyond > 0:
            record.until = now + min(slow.most, slow.first * 2.0 ** min(beyond - 1, _MOST_DOUBLINGS))
