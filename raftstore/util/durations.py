"""Times as people write them: 30m, 2h, 1d. Pure."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,6})([smhd])", re.ASCII)


def seconds_of(text: str, most: int) -> int | None:
    """Return the seconds of a number with a unit, from 1 to `most`; None: it is no such time."""
    match = _DURATION.fullmatch(text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    return seconds if 0 < seconds <= most else None
