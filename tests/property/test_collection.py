"""The claim of raftstore.cluster.replicas.collector under random interleavings: what the catalog lists is not removed.

Each mutant takes one of the rules away, and must be caught.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from collecting import explored


@pytest.fixture
def directories(tmp_path: Path) -> Iterator[Path]:
    return (tmp_path / str(number) for number in range(1000))


def test_what_is_listed_is_not_removed(directories: Iterator[Path]) -> None:
    removed = published = 0
    for seed in range(8):
        world = asyncio.run(explored(next(directories), seed))
        removed += world.removed
        published += world.published
    # Something went on.
    assert removed > 60
    assert published > 120


@pytest.mark.parametrize("mutant", ["fenceless", "untouched", "unannounced"])
def test_without_any_of_its_rules_something_is_lost(mutant: str, directories: Iterator[Path]) -> None:
    for seed in range(200):
        try:
            asyncio.run(explored(next(directories), seed, mutant))
        except AssertionError as error:
            assert "listed at" in str(error)
            return
    raise AssertionError(f"{mutant} was not noticed")
