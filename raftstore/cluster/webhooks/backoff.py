"""When to try again what was not accepted. Pure."""

from __future__ import annotations

import random

FIRST = 1.0
"""Seconds after the first failure; twice as long after each further one."""


def pause(failures: int, longest: float, wanted: float, chance: random.Random) -> float:
    """Return the seconds until the next attempt after so many failures in a row.

    At most `longest`, which also bounds what the receiver has `wanted`; a fifth more or less, so that endpoints that
    failed together are not tried together.
    """
    grown = FIRST * float(1 << min(failures - 1, 30))
    return max(min(grown, longest) * chance.uniform(0.8, 1.2), min(wanted, longest))
