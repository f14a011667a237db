"""A short version of `make stalls`: the worst that can be asked of a real node's loop, and how long that holds it."""

from __future__ import annotations

from pathlib import Path

import pytest
import stalling
from stalling import Held

from raftstore.types import LoopStatus
from raftstore.util.stallwatch import BOUNDS


@pytest.mark.parametrize(
    ("classes", "fails"),
    [
        ({0: 1000}, False),
        ({0: 999, 4: 1}, False),  # one look in a thousand
        ({0: 998, 4: 1}, True),
        ({0: 997, 3: 2, len(BOUNDS): 1}, False),
        ({3: 500}, False),
        ({0: 300, 5: 1}, True),
        ({0: 19}, True),  # too few to say anything
    ],
)
def test_what_fails(classes: dict[int, int], fails: bool) -> None:
    before = LoopStatus(0.02, classes=[5] * (len(BOUNDS) + 1))
    after = LoopStatus(0.02, classes=[5 + classes.get(number, 0) for number in range(len(BOUNDS) + 1)])
    held = Held.between("case", before, after)
    assert held.looks == sum(classes.values())
    assert bool(held.failure()) == fails, held.failure()


@pytest.mark.integration
@pytest.mark.slow
def test_nothing_holds_the_loop(tmp_path: Path) -> None:
    with stalling.ground(tmp_path / "c", names=15_000, accounts=40) as here:
        seen = [here.run(case, 1.0) for case in stalling.CASES]
    print("\n".join(f"{held.case}: {held}" for held in seen))
    assert not [failure for held in seen if (failure := held.failure(stalling.SHORT_LIMIT))]
