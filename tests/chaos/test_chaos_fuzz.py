"""A short version of `make fuzz`: 10,000 inputs for two real nodes."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import fuzzing
import fuzzinputs
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_inputs_come_from_their_seed_alone() -> None:
    one, two = random.Random("x"), random.Random("x")
    assert [fuzzinputs.command(one) for _ in range(500)] == [fuzzinputs.command(two) for _ in range(500)]
    chance = random.Random("y")
    for _ in range(500):
        data = fuzzinputs.command(chance)
        assert b"".join(fuzzinputs.portions(chance, data)) == data


def test_nodes_outlive_ten_thousand_inputs(tmp_path: Path) -> None:
    seed = str(random.randrange(1 << 31))
    print(f"seed {seed}")
    with fuzzing.ground(tmp_path / "c") as here:
        kinds = {"ftp": 6_000, "peers": 2_500, "sftp": 1_500}
        result = asyncio.run(fuzzing.campaign(here, kinds, seed, tmp_path / "failures", print))
        assert not result.failures, "\n".join(result.failures)
        assert result.inputs >= 10_000
        assert min(result.sessions.values()) >= 20
        assert result.memory_is_steady(), result.memory
