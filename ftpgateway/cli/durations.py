"""Times on the command line: 30m, 2h, 1d."""

from __future__ import annotations

import click

from raftstore.util.durations import seconds_of

_LONGEST_DAYS = 30


class Duration(click.ParamType[float]):
    """A time of at most `days`, in seconds."""

    name = "TIME"

    def __init__(self, days: int = _LONGEST_DAYS) -> None:
        self._days = days

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a number with a unit."""
        if isinstance(value, int | float):
            return float(value)
        seconds = seconds_of(str(value), self._days * 86_400)
        if seconds is None:
            self.fail(f"{value!r} is not a time such as 30m, 2h or 1d (at most {self._days}d)", param, ctx)
        return float(seconds)
