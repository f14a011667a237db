"""Times on the command line: 30m, 2h, 1d."""

from __future__ import annotations

import click

from raftstore.util.durations import seconds_of

_LONGEST = 30 * 86_400


class Duration(click.ParamType[float]):
    """A time of at most thirty days, in seconds."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a number with a unit."""
        if isinstance(value, int | float):
            return float(value)
        seconds = seconds_of(str(value), _LONGEST)
        if seconds is None:
            self.fail(f"{value!r} is not a time such as 30m, 2h or 1d (at most 30d)", param, ctx)
        return float(seconds)
