"""Asks the catalog of a changed program for all that a command and a table get without further ado."""

from __future__ import annotations

import sys
from pathlib import Path

from catalogs import Feeder, command
from raftstore.metadata.tables.notes import Notes


def _note(name: str, text: str):
    return command("put_note", name=name, text=text)


def _find(feeder: Feeder, name: str) -> tuple[str, int] | None:
    return feeder.catalog.ask(Notes, lambda notes: notes.find(name))


def _level(directory: Path) -> None:
    with Feeder(directory / "old.db", level=1) as old:
        refused = old.catalog.refusal(_note("a", "b").SerializeToString())
        assert refused == "the command put_note needs level 2, in force is 1", refused
        tally = command("put_job", job={"kind": "TALLY", "node": "n1"})
        refused = old.catalog.refusal(tally.SerializeToString())
        assert refused == "Job.Kind.TALLY needs level 2, in force is 1", refused
        old.one(command("set_level", level=2))
        assert old.status(_note("a", "b")) == "OK"


def _state(directory: Path) -> None:
    with Feeder(directory / "new.db") as feeder, Feeder(directory / "other" / "other.db") as other:
        assert feeder.catalog.refusal(_note("a", "b").SerializeToString()) is None
        assert feeder.catalog.digest() == other.catalog.digest()
        operations = [feeder.operation(_note("a", "first"))]
        before = feeder.apply(*operations)
        entry = feeder.index
        assert feeder.status(_note("", "b")) == "INVALID"
        feeder.one(_note("b", "second"))
        assert feeder.apply(*operations) == before, "applied twice"
        assert _find(feeder, "a") == ("first", entry)
        assert feeder.catalog.digest() != other.catalog.digest()
        feeder.reopen()
        assert _find(feeder, "a") == ("first", entry)
        feeder.catalog.write_snapshot(directory / "snapshot")
        other.catalog.install_snapshot(directory / "snapshot")
        assert _find(other, "a") == ("first", entry)
        assert feeder.catalog.digest() == other.catalog.digest()


if __name__ == "__main__":
    _level(Path(sys.argv[1]))
    _state(Path(sys.argv[1]))
