"""The check that holds the house finds what it is for."""

from __future__ import annotations

from pathlib import Path

import housecheck
import pytest

ROOT = Path(__file__).resolve().parents[2]


def edges(**sources: str) -> dict[str, dict[str, int]]:
    modules = {name.replace("__", "."): text for name, text in sources.items()}
    packages = {name for name in modules if any(other.startswith(f"{name}.") for other in modules)}
    return housecheck.graph(modules, packages)


def test_the_house_is_in_order() -> None:
    assert housecheck.check(ROOT) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import a.b", {"a.b"}),
        ("from a import b", {"a.b"}),
        ("from a.b import thing", {"a.b"}),
        ("from . import b", {"a.b"}),
        ("from .b import thing", {"a.b"}),
        ("def work():\n    from a import b", {"a.b"}),
        ("if TYPE_CHECKING:\n    from a.b import thing", {"a.b"}),
        ("import os, json", set()),
    ],
)
def test_imports_of_every_form_are_seen(source: str, found: set[str]) -> None:
    assert set(edges(a="", a__b="", a__c=source)["a.c"]) == found


def test_a_package_imports_from_itself_by_dots() -> None:
    assert edges(a="from . import b", a__b="")["a"] == {"a.b": 1}


@pytest.mark.parametrize(
    ("module", "target", "fault"),
    [
        ("raftstore.store.facade", "raftstore.metadata.catalog", None),
        ("raftstore.metadata.catalog", "raftstore.metadata.levels", None),
        ("raftstore.errors", "raftstore.types", None),
        ("raftstore.metadata.catalog", "raftstore.store.facade", "above"),
        ("raftstore.util.tasks", "raftstore.cluster.settings", "above"),
        ("raftstore.metadata.catalog", "raftstore.chunks.hashing", "beside"),
        ("ftpgateway.ftp.server", "ftpgateway.sftp.frontend", "beside"),
    ],
)
def test_imports_go_downwards_only(module: str, target: str, fault: str | None) -> None:
    faults = housecheck.upwards({module: {target: 7}, target: {}})
    assert [fault in line and "line 7" in line for line in faults if fault] == ([True] if fault else [])
    assert bool(faults) == bool(fault)
    assert housecheck.upwards({module: {target: 7}}, {(module, target)}) == []


def test_a_module_that_no_layer_names_is_found() -> None:
    assert housecheck.homeless(["raftstore", "raftstore.util.tasks"]) == []
    assert len(housecheck.homeless(["raftstore.loose"])) == 1


def test_circles_are_found() -> None:
    found = housecheck.circles(
        edges(
            a__one="import a.two", a__two="import a.three", a__three="import a.one\nimport a.four", a__four=""
        )
    )
    assert found == [frozenset({"a.one", "a.two", "a.three"})]
    assert housecheck.is_exempt(found[0], [("a.one", "a.t")])
    assert not housecheck.is_exempt(found[0], [("a.one", "a.two")])
    assert housecheck.circles(edges(a__one="import a.two", a__two="import a.three", a__three="")) == []


def test_an_exemption_that_nothing_needs_is_found() -> None:
    assert len(housecheck.not_needed({})) == len(housecheck.UPWARDS) + len(housecheck.CIRCLES)


@pytest.mark.parametrize(
    "name", ["room", "ROOM", "FreeRoom", "free_room", "rooms", "_told", "HTTPPost", "doorAt"]
)
def test_retired_words_are_found_in_every_spelling(name: str) -> None:
    assert housecheck.retired(name)


@pytest.mark.parametrize("name", ["mushroom", "postpone", "indoors", "concurrency", "Doorkeeper"])
def test_words_that_only_contain_a_retired_one_are_not(name: str) -> None:
    assert housecheck.retired(name) is None


def test_identifiers_are_looked_at_and_nothing_else() -> None:
    source = (
        '"""A room."""\n'
        "x = 'room'  # room\n"
        "y = f'room {kept.room} {room}'\n"
        "def f(door): ...\n"
        "def test_there_is_room(): ...\n"
        "def __post_init__(): ...\n"
    )
    found = housecheck.retired_in(source, "m.py")
    assert [(line.split(":")[1], line.split(":")[2].strip()) for line in found] == [
        ("3", "room"),
        ("4", "door"),
    ]
