"""The claim of raftstore.metadata.surplus under random interleavings: who gives a copy up leaves as many as are wanted,
whoever else does the same, is drained, killed or late meanwhile; and what is listed is not removed.

Each mutant takes one of the rules away, and must be caught.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest
from collecting import explored

from raftstore.cluster.jobs import trim
from raftstore.metadata.surplus import may_drop
from raftstore.metadata.tables.contents import contents

WORLD = {"nodes": 5, "trims": True}


@pytest.fixture
def directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(trim, "TURN", 0)
    return (tmp_path / str(number) for number in range(1000))


def test_enough_copies_are_left(directories: Iterator[Path]) -> None:
    trimmed = killed = drained = 0
    for seed in range(5):
        world = asyncio.run(explored(next(directories), seed, entries=400, **WORLD))
        trimmed += world.trimmed
        killed += world.killed
        drained += world.drained
    # Something went on.
    assert trimmed > 15
    assert killed > 15
    assert drained > 4


def _unlisted(
    store: int, listed: Collection[int], keepers: Collection[int], zones: Mapping[int, str], copies: int
) -> bool:
    """Believe whoever drops, whatever others have dropped since."""
    return may_drop(store, {*listed, *keepers}, keepers, zones, copies)


@pytest.mark.parametrize("mutant", ["fenceless", "untouched", "unasked", "believing", "undrained"])
def test_without_any_of_its_rules_copies_are_lost(
    mutant: str, directories: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if mutant == "believing":
        monkeypatch.setattr(contents, "may_drop", _unlisted)
    elif mutant == "undrained":
        monkeypatch.setattr(contents, "draining", lambda jobs: set())
    for seed in range(200):
        try:
            # Nothing but what is given up is removed: the rules are needed for that too.
            asyncio.run(explored(next(directories), seed, mutant, entries=400, collects=False, **WORLD))
        except AssertionError as error:
            assert "listed at" in str(error) or "too few copies" in str(error)
            return
    raise AssertionError(f"{mutant} was not noticed")
