"""Seeds of the simulator, in a process of its own: see CONTRIBUTING.md about running one again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).with_name("run.py")


def run(
    *arguments: str, hash_seed: str = "random", timeout: float = 1800.0
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(
        [sys.executable, str(RUN), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=timeout,
        check=False,
    )


def test_nothing_is_violated_in_any_seed():
    done = run("--seeds", os.environ.get("SIMULATION_SEEDS", "200"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 violations" in done.stdout
    print(done.stdout)


def test_a_seed_is_the_same_in_every_run():
    sums = [run("--digest", "--seeds", "8", hash_seed=hash_seed).stdout for hash_seed in ("1", "2")]
    assert len(sums[0].splitlines()) == 8
    assert sums[0] == sums[1]


def test_a_seed_does_not_depend_on_those_before_it():
    alone = run("--digest", "--first", "7", "--seeds", "1").stdout
    assert alone in run("--digest", "--first", "5", "--seeds", "3").stdout


def test_one_seed_tells_what_happened():
    done = run("--seed", "3", "--nodes", "3", "--mix", "network", "--messages")
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("start", "leads", "client", "append_reply", "healed", "seed 3: 3 nodes"):
        assert part in done.stdout
