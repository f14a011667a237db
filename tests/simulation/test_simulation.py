"""Seeds of the simulator, in a process of its own: see CONTRIBUTING.md about running one again."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run(
    *arguments: str, program: str = "run.py", hash_seed: str = "random", timeout: float = 1800.0
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(
        [sys.executable, str(HERE / program), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=timeout,
        check=False,
    )


def test_nothing_is_violated_in_any_seed():
    done = run("--seeds", os.environ.get("SIMULATION_SEEDS", "50"))
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


def test_known_bugs_are_seen():
    done = run(
        *("commit-alone", "apply-twice", "reply-before-sync", "compaction-loses-tail"),
        *("rights-of-the-proposer", "rights-of-before"),
        program="mutants.py",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 not seen " in done.stdout
    print(done.stdout)


def test_a_bug_that_is_not_seen_fails_the_gate():
    done = run("--within", "1", "leader-counts-unsynced", program="mutants.py")
    assert done.returncode == 1
    assert "NOT SEEN" in done.stdout


def test_a_seed_that_kills_its_process_fails_alone():
    program = (
        "import os, simpool\n"
        "def work(job):\n"
        "    if job == 3: os._exit(7)\n"
        "    return job\n"
        "print(list(simpool.each(work, range(40), 2, lambda job, why: (job, why))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE.parent / "support")},
        timeout=120,
        check=True,
    )
    results = ast.literal_eval(done.stdout)
    assert results[:3] + results[4:] == [*range(3), *range(4, 40)]
    assert results[3][0] == 3 and "ends with 7" in results[3][1]


def test_a_log_behind_its_state_keeps_two_entries():
    done = run("--seed", "3705")
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_removal_that_failed_does_not_take_the_place_of_one_that_was_done():
    """In the order that is tried first: or the search for another takes too long."""
    done = run("--seed", "7119")
    assert done.returncode == 0, done.stdout[-2000:]
