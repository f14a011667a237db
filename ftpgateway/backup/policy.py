"""Which backups a policy keeps. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Policy:
    """Keep the newest `last`, and the newest of each of the last so many days, weeks and months with any, in UTC."""

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    @property
    def keeps_nothing(self) -> bool:
        """Whether it says nothing: such a policy removes everything, which nobody means."""
        return not (self.last or self.daily or self.weekly or self.monthly)


def _day(moment: datetime) -> tuple[int, ...]:
    return (moment.year, moment.month, moment.day)


def _week(moment: datetime) -> tuple[int, ...]:
    """Return the ISO week, which may belong to another year than the day."""
    return tuple(moment.isocalendar()[:2])


def _month(moment: datetime) -> tuple[int, ...]:
    return (moment.year, moment.month)


def kept(policy: Policy, backups: Iterable[tuple[_T, int]]) -> set[_T]:
    """Return what is kept of `backups`, each with its time in ns since the epoch."""
    newest_first = sorted(backups, key=lambda backup: backup[1], reverse=True)
    found = {backup for backup, _ in newest_first[: policy.last]}
    for period, count in ((_day, policy.daily), (_week, policy.weekly), (_month, policy.monthly)):
        found |= _newest_of_each(newest_first, period, count)
    return found


def _newest_of_each(
    newest_first: list[tuple[_T, int]], period: Callable[[datetime], tuple[int, ...]], count: int
) -> set[_T]:
    found: dict[tuple[int, ...], _T] = {}
    for backup, time_ns in newest_first:
        found.setdefault(period(datetime.fromtimestamp(time_ns // 10**9, UTC)), backup)
    return set(list(found.values())[:count])
