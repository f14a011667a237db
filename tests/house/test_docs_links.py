"""Links in the pages lead to files and headings, and what is named in backticks as a file of the project exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("raftstore", "ftpgateway")
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(page for package in PACKAGES for page in (ROOT / package).rglob("*.md")),
    }
)
HISTORY = {"CHANGELOG.md"}
"""Pages that may name files which are gone: what they tell was so at its time."""

TOP = ("raftstore", "ftpgateway", "tests", "docs", "proto", "docker")
SHORTENED = ("unit", "property", "integration", "simulation", "chaos")
"""Directories of tests. A name that begins with one lacks `tests/`, and is found by no editor."""

NAMED = re.compile(rf"(?:{'|'.join((*TOP, *SHORTENED))})/[\w./*-]*(?:::\w+)?")


def prose(text: str) -> str:
    """Return the page without blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of the headings, and those that are set by hand."""
    found: set[str] = set()
    for title in re.findall(r"^#{1,6} +(.+?) *$", prose(text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (numbered := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(numbered)
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def broken_links(page: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    text = page.read_text(encoding="utf-8")
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = page.parent / target if target else page
        there = file.exists()
        if there and anchor and file.suffix == ".md":
            there = anchor in anchors(file.read_text(encoding="utf-8"))
        if not there:
            broken.append(link)
    return broken


def missing_names(page: Path, root: Path = ROOT) -> list[str]:
    """Return the files and tests that a page names in backticks and that do not exist below `root`."""
    missing = []
    quotes = re.findall(r"`([^`\n]+)`", prose(page.read_text(encoding="utf-8")))
    for quoted in (word for quote in quotes for word in quote.split()):
        if not NAMED.fullmatch(quoted):
            continue
        name, _, function = quoted.partition("::")
        files = sorted(root.glob(name)) if "*" in name else [root / name]
        there = bool(files) and all(file.exists() for file in files)
        if there and function:
            text = files[0].read_text(encoding="utf-8")
            there = re.search(rf"^ *(?:async def|def|class) {function}\b", text, re.MULTILINE) is not None
        if not there:
            missing.append(quoted)
    return missing


def shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in HISTORY], ids=shown)
def test_files_that_are_named_exist(page: Path) -> None:
    assert missing_names(page) == []


def test_a_link_without_a_target_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A `title`, twice\n\n# A title twice\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](other.md) [b](other.md#a-title-twice) [c](other.md#a-title-twice-1) [d](#here) [e](https://x.y)\n"
        "[f](gone.md) [g](other.md#gone) [h](#gone)\n```\n[i](example.md)\n```\n"
    )
    assert broken_links(page) == ["gone.md", "other.md#gone", "#gone"]


def test_a_name_without_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_some.py").write_text("async def test_it(): ...\n")
    page = tmp_path / "page.md"
    page.write_text(
        "`tests/test_some.py` `tests/test_*.py` `tests/test_some.py::test_it` `tests` `try/n1/pixraft.toml`\n"
        "`tests/test_gone.py` `python tests/gone_*.py` `tests/test_some.py::test_gone` `unit/test_some`\n"
    )
    assert missing_names(page, tmp_path) == [
        "tests/test_gone.py",
        "tests/gone_*.py",
        "tests/test_some.py::test_gone",
        "unit/test_some",
    ]
