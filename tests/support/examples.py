"""How many examples the property tests try, and which.

As a test they try the same ones each time, so that a change is judged by what it changed. `make properties` has
PIXRAFT_EXAMPLES=20: that many times more, and others each time.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("PIXRAFT_EXAMPLES", "0"))


def examples(count: int, *, steps: int = 50) -> settings:
    """Return the settings of a property test that tries `count` examples; `steps`: of a state machine."""
    return settings(
        max_examples=count * max(1, FACTOR),
        stateful_step_count=steps,
        derandomize=not FACTOR,
        database=None,
        print_blob=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
