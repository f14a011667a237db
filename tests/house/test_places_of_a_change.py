"""In how many files a change is made: the table of docs/decisions/019-registries.md, done to a copy of the program.

Files of `additions` are laid into the copy where they would be, messages go into its proto files, and nothing else
changes but a line in the tuple of tables. Then a cluster of two nodes is asked for all of it: a command with a table of
its own, admin calls with their command, a call between nodes, a kind of job.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADDITIONS = Path(__file__).parent / "additions"
TABLES = "raftstore/metadata/tables"

ROWS = {
    "replicated command with a table of its own": (f"{TABLES}/notes.py", f"{TABLES}/__init__.py"),
    "admin command (`pixraft x`)": ("raftstore/cluster/calls/notes.py", "ftpgateway/cli/cluster/note.py"),
    "job kind": ("raftstore/cluster/jobs/tally.py",),
    "call between nodes": ("raftstore/cluster/calls/notecounts.py", "raftstore/cluster/calls/notes.py"),
}
"""By kind of change: the files that it takes, beside the proto file."""

CHANGES = {
    "proto/commands.proto": {
        "message Command {": "message PutNote {\n  string name = 1;\n  string text = 2;\n}\n\nmessage Command {",
        "expire_partials = 29;": "expire_partials = 29;\n    PutNote put_note = 99;",
        "    TRIM = 7; ": "    TALLY = 8 [(level) = 2];\n    TRIM = 7; ",
    },
    "proto/admin.proto": {
        "message StatusRequest {": """
message NotePut {
  string name = 1;
  string text = 2;
}

message NoteRequest {
  string name = 1;
}

message NoteReply {
  string name = 1;
  string text = 2;
  map<string, uint32> counts = 3;
}

message NoteCountRequest {
}

message NoteCount {
  uint32 count = 1;
}

message StatusRequest {""",
    },
    f"{TABLES}/__init__.py": {
        "from raftstore.metadata.tables.names.partials import": (
            "from raftstore.metadata.tables.notes import Notes\nfrom raftstore.metadata.tables.names.partials import"
        ),
        ')\n"""All of them': '    Notes,\n)\n"""All of them',
    },
}
"""By file: what stands there, and what is to stand there."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program, changed."""
    directory = tmp_path_factory.mktemp("program")
    for name in ("proto", "raftstore", "ftpgateway"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, pairs in CHANGES.items():
        text = (directory / name).read_text()
        for before, after in pairs.items():
            assert text.count(before) == 1, f"{name} has not once {before!r}"
            text = text.replace(before, after)
        (directory / name).write_text(text)
    for file in added():
        target = directory / file
        assert not target.exists()
        assert target.parent.is_dir(), "a folder of its own"
        shutil.copy(ADDITIONS / file, target)
    run(directory, "proto/generate.py")
    return directory


def added() -> list[str]:
    """Return the files that are new."""
    return sorted(str(path.relative_to(ADDITIONS)) for path in ADDITIONS.rglob("*.py"))


def run(directory: Path, *arguments: str) -> str:
    """Run a Python of the copy; return what it prints."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(directory), str(ROOT / "tests" / "support"), str(ADDITIONS.parent)]),
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_every_file_that_is_added_belongs_to_a_change() -> None:
    assert set(added()) == {file for files in ROWS.values() for file in files} - set(CHANGES)


@pytest.mark.parametrize("change", ROWS)
def test_the_decision_tells_how_many_files_it_takes(change: str) -> None:
    page = (ROOT / "docs" / "decisions" / "019-registries.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith(f"| {change} |"))
    counts = re.findall(r"proto \+ (\d+)", row)
    assert int(counts[-1]) == len(ROWS[change])


@pytest.mark.integration
def test_a_command_with_a_table_is_applied_kept_and_sent_on(program: Path, tmp_path: Path) -> None:
    run(program, str(ADDITIONS.parent / "addedtable.py"), str(tmp_path))


@pytest.mark.integration
def test_a_cluster_answers_and_does_what_was_added(program: Path, tmp_path: Path) -> None:
    run(program, str(ADDITIONS.parent / "addedparts.py"), str(tmp_path))


@pytest.mark.integration
def test_the_command_line_lists_what_was_added(program: Path) -> None:
    listed = run(program, "-m", "ftpgateway.cli", "--help")
    assert re.search(r"^  unit .*\n  note  ", listed, re.MULTILINE), "those that ORDER does not name come last"
    assert "tally" in run(program, "-m", "ftpgateway.cli", "jobs", "--help")
