"""What it takes to add a replicated command with a table of its own: its message, its module, and a line in a tuple.

Done to a copy of the program, which is then asked for all that a command and a table get without further ado.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MODULE = """
from raftstore.metadata.refusal import Refusal
from raftstore.metadata.registry import Context, Schema, Table, handles
from raftstore.wire import commands_pb2 as commands


class Notes(Table):
    schemas = (
        Schema(
            "notes",
            "name",
            "CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT NOT NULL, entry INTEGER NOT NULL) STRICT",
            level=2,
        ),
    )

    def find(self, name: str) -> tuple[str, int] | None:
        return self._execute("SELECT text, entry FROM notes WHERE name = ?", (name,)).fetchone()

    @handles("put_note", level=2)
    def put(self, command: commands.PutNote, at: Context) -> None:
        if not command.name:
            raise Refusal(commands.INVALID, "a note has a name")
        self._execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (command.name, command.text, at.index))
"""

CHANGES = {
    "proto/commands.proto": {
        "message Command {": "message PutNote {\n  string name = 1;\n  string text = 2;\n}\n\nmessage Command {",
        "expire_partials = 29;": "expire_partials = 29;\n    PutNote put_note = 50;",
    },
    "raftstore/metadata/tables/__init__.py": {
        "from raftstore.metadata.tables.partials import": (
            "from raftstore.metadata.tables.notes import Notes\nfrom raftstore.metadata.tables.partials import"
        ),
        "    Adoptions,\n)": "    Adoptions,\n    Notes,\n)",
    },
    "raftstore/metadata/tables/notes.py": {"": MODULE},
}
"""By file: what stands there, and what is to stand there."""

USE = """
import sys
from pathlib import Path

import raftstore
from catalogs import Feeder, command
from raftstore.metadata.tables.notes import Notes

directory = Path(sys.argv[1])
assert Path(raftstore.__file__).is_relative_to(directory), raftstore.__file__


def note(name, text):
    return command("put_note", name=name, text=text)


def find(feeder, name):
    return feeder.catalog.ask(Notes, lambda notes: notes.find(name))


with Feeder(directory / "old.db", level=1) as old:
    refused = old.catalog.refusal(note("a", "b").SerializeToString())
    assert refused == "the command put_note needs level 2, in force is 1", refused
    old.one(command("set_level", level=2))
    assert old.status(note("a", "b")) == "OK"

with Feeder(directory / "new.db") as feeder, Feeder(directory / "other" / "other.db") as other:
    assert feeder.catalog.refusal(note("a", "b").SerializeToString()) is None
    assert feeder.catalog.digest() == other.catalog.digest()
    operations = [feeder.operation(note("a", "first"))]
    before = feeder.apply(*operations)
    entry = feeder.index
    assert feeder.status(note("", "b")) == "INVALID"
    feeder.one(note("b", "second"))
    assert feeder.apply(*operations) == before, "applied twice"
    assert find(feeder, "a") == ("first", entry)
    assert feeder.catalog.digest() != other.catalog.digest()
    feeder.reopen()
    assert find(feeder, "a") == ("first", entry)
    feeder.catalog.write_snapshot(directory / "snapshot")
    other.catalog.install_snapshot(directory / "snapshot")
    assert find(other, "a") == ("first", entry)
    assert feeder.catalog.digest() == other.catalog.digest()
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A copy of the program, changed."""
    for name in ("proto", "raftstore"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, pairs in CHANGES.items():
        path = tmp_path / name
        text = path.read_text() if path.exists() else ""
        for before, after in pairs.items():
            assert text.count(before) == 1, f"{name} has not once {before!r}"
            text = text.replace(before, after)
        path.write_text(text)
    run(tmp_path, "proto/generate.py")
    return tmp_path


def run(directory: Path, *arguments: str) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(directory), str(ROOT / "tests" / "support")]),
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=directory, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_command_with_a_table_of_its_own_takes_its_message_and_two_files(program: Path) -> None:
    assert len(CHANGES) == 3
    (program / "use.py").write_text(USE)
    run(program, "use.py", str(program))
