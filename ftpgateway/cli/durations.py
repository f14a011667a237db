"""Times on the command line: 30m, 2h, 1d."""

from __future__ import annotations

import re

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_LONGEST = 30 * 86_400


class Duration(click.ParamType[float]):
    """A time of at most thirty days, in seconds."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a number with a unit."""
        if isinstance(value, int | float):
            return float(value)
        match = _DURATION.fullmatch(str(value))
        seconds = int(match[1]) * _UNITS[match[2]] if match else 0
        if not 0 < seconds <= _LONGEST:
            self.fail(f"{value!r} is not a time such as 30m, 2h or 1d (at most 30d)", param, ctx)
        return float(seconds)
