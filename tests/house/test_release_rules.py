"""What keeps `make release` from making one."""

from __future__ import annotations

import datetime
from pathlib import Path

import makerelease
import pytest
from makerelease import ROOT, dated, obstacles, wrong_files

CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-11-30

### Added

## [1.1.0]

## [1.0.9] - 2026-02-30
"""


def test_a_version_with_a_dated_section_in_a_clean_tree_can_be_released() -> None:
    assert dated(CHANGELOG, "1.2.0") == datetime.date(2026, 11, 30)
    assert obstacles("1.2.0", CHANGELOG, [], exists=False) == []


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.1.0", 'no section "## [1.1.0] - YYYY-MM-DD"'),  # no date
        ("1.0.9", "no section"),  # no such day
        ("1x2.0", "no section"),  # a dot is a dot
        ("1.2", "no section"),
        ("1.2.0.dev0", "three numbers"),
    ],
)
def test_a_version_without_a_dated_section_is_not_released(version: str, said: str) -> None:
    assert said in "\n".join(obstacles(version, CHANGELOG, [], exists=False))


def test_changes_in_the_work_tree_and_an_earlier_release_are_in_the_way() -> None:
    assert obstacles("1.2.0", CHANGELOG, [" M b.py", "?? a.py"], exists=False) == [
        "the work tree has changes: b.py, a.py"
    ]
    assert "is there already" in obstacles("1.2.0", CHANGELOG, [], exists=True)[0]


def test_files_too_many_and_too_few_are_named() -> None:
    assert wrong_files("the wheel", ["a", "b"], ["b", "c"]) == [
        "the wheel lacks c",
        "the wheel has a, which is not in git",
    ]


def test_a_program_that_fails_ends_the_release(tmp_path: Path) -> None:
    with pytest.raises(makerelease.Refused, match="exit code 3"):
        makerelease.run("sh", "-c", "exit 3", cwd=tmp_path)


def test_the_changelog_has_a_section_for_what_is_not_released() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    sections = [line for line in lines if line.startswith("## ")]
    assert sections[0] == "## [Unreleased]"
    for line in sections[1:]:
        version = line.partition("[")[2].partition("]")[0]
        assert dated(line, version) is not None or line.endswith("(35711ca, never released)"), line
