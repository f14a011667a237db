"""Scenarios print what their files say; renew those that should print something else by `run.py --rewrite`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scenariocommands import COMMANDS
from scenariofile import Block, files, play, read, replay, write

HERE = Path(__file__).parent
NOTICED = {
    "forget-vote": "crash-vote-kept",
    "vote-for-any-log": "election-log-up-to-date",
    "stand-without-poll": "election-poll-cut-off",
    "count-votes-twice": "election-late-vote",
    "rejoining-node-votes": "crash-new-disk",
    "forget-term-stamp": "replication-late-answer",
    "commit-alone": "log-commit-needs-majority",
    "commit-older-terms": "log-figure-8",
    "no-normalise": "replication-repeated",
    "reply-before-sync": "replication-not-before-sync",
    "leader-counts-unsynced": "replication-leader-disk",
    "sync-without-sync": "crash-unsynced-tail",
    "reads-unconfirmed": "read-leader-cut-off",
    "reads-proven-by-any-question": "read-confirmed",
    "reads-before-own-entry": "read-new-leader",
    "reads-before-applied": "read-confirmed",
    "unknown-is-not-done": "election-leader-steps-down",
    "learners-count": "members-learner-does-not-count",
    "changes-overlap": "members-one-at-a-time",
    "change-outlives-entry": "members-change-undone",
    "majority-of-the-start": "members-one-at-a-time",
    "compaction-loses-tail": "snapshot-restart",
}
"""Known bugs (tests/simulation/bugs_*.py), each with the scenario that is about the rule that it breaks."""


def run(*arguments: str, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(HERE / "run.py"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_a_scenario_prints_what_its_file_says(path: Path) -> None:
    before, after = replay(path)
    assert after == before, f"if that is right: python tests/scenarios/run.py --rewrite {path}"


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_a_scenario_says_what_it_shows_and_goes_well(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    comment = " ".join(line for line in text.split("\n\n")[0].splitlines() if line.startswith("#"))
    assert any(source in comment for source in ("Raft, ", "issertation, ", "(Not in Raft.)"))
    assert "ERROR" not in text, "a command that cannot be run"
    assert "VIOLATION" not in text, "what must never be"


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_they_print_the_same_in_every_process(hash_seed: str) -> None:
    done = run(hash_seed=hash_seed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"{len(files())} scenarios, 0 differ\n"


def test_known_bugs_are_noticed_by_the_scenario_that_is_about_them() -> None:
    names = sorted(set(NOTICED.values()))
    bugs = [argument for bug in NOTICED for argument in ("--bug", bug)]
    done = run(*bugs, *(str(HERE / f"{name}.txt") for name in names))
    assert done.returncode == 0, done.stdout + done.stderr
    noticing = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert [bug for bug, name in NOTICED.items() if name not in noticing[bug]] == []


def test_a_file_that_is_wrong_fails_and_can_be_renewed(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_text("# Some.\n\nadd-nodes 1\n----\nnonsense\n\nelect n1\n", encoding="utf-8")
    done = run(str(path))
    assert done.returncode == 1
    assert "-nonsense" in done.stdout
    assert run("--rewrite", str(path)).returncode == 0
    assert path.read_text(encoding="utf-8") == (
        "# Some.\n\nadd-nodes 1\n----\nnothing to be seen\n\nelect n1\n----\nn1 is leader in term 1\n"
    )
    assert run(str(path)).returncode == 0


def test_reading_takes_apart_what_writing_puts_together() -> None:
    blocks = [Block(["# A comment."], []), Block(["# Another.", "add-nodes 3", "status"], ["a", "b"])]
    assert write(blocks) == "# A comment.\n\n# Another.\nadd-nodes 3\nstatus\n----\na\nb\n"
    assert read(write(blocks)) == blocks
    assert [block.commands for block in blocks] == [[], ["add-nodes 3", "status"]]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("dance n1", "there is no command dance"),
        ("tick n9 1", "n9 does not run"),
        ("deliver n1->n2", "nothing is under way n1->n2"),
        ("deliver n1", "'deliver n1' is not 'deliver FROM->TO ... [COUNT]'"),
        ("add-nodes many", "'add-nodes many' is not 'add-nodes COUNT [ENTRIES]'"),
    ],
)
def test_a_command_that_cannot_be_run_says_so(line: str, says: str) -> None:
    (_, played) = play(read(f"add-nodes 1\n\n{line}\n"))
    assert played.output[0].startswith(f"ERROR: {says}")


def test_every_command_is_in_the_documentation() -> None:
    page = (HERE.parents[1] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    rows = [row.split("`")[1] for row in page.splitlines() if row.startswith("| `")]
    assert sorted(rows) == sorted(one.usage.replace("|", "/") for one in COMMANDS.values())
