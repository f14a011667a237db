"""Times on the command line: 30m, 2h, 1d."""

from __future__ import annotations

import click

from raftstore.util.durations import seconds_of

_LONGEST = 30 * 86_400
_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"))


def in_words(seconds: int) -> str:
    """Write a time as one gives it: 30d, 90m, 5s."""
    unit, name = next((pair for pair in _UNITS if seconds % pair[0] == 0), (1, "s"))
    return f"{seconds // unit}{name}"


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
