"""The tables of docs/benchmarks.md come from the figures in docs/benchmarks, all of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"

_SPEC = importlib.util.spec_from_file_location("docs_figures", DOCS / "figures.py")
assert _SPEC is not None
assert _SPEC.loader is not None
figures = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(figures)

PAGE = "before\n<!-- figures: abc rates -->\n\nold\n\n<!-- end of figures -->\nafter\n"
TEXT = """{"tables": {"rates": {
 "columns": ["load", {"title": "ratio", "bold": true}, {"title": "n", "thousands": true}],
 "rows": [["STOR", 0.300, 12345], ["RETR", null, 7]]}}}"""


def test_a_table_is_made_from_figures_with_their_digits() -> None:
    assert figures.filled(PAGE, {"abc": figures.read(TEXT)}) == (
        "before\n<!-- figures: abc rates -->\n\n"
        "| load | ratio | n |\n|---|---|---|\n| STOR | **0.300** | 12,345 |\n| RETR | | 7 |\n"
        "\n<!-- end of figures -->\nafter\n"
    )


def test_a_row_that_lacks_a_cell_is_no_table() -> None:
    with pytest.raises(ValueError, match="shorter"):
        figures.table({"columns": ["a", "b"], "rows": [["1"]]})


def test_a_table_without_figures_is_an_error() -> None:
    with pytest.raises(KeyError):
        figures.filled(PAGE, {})


def test_the_page_is_fresh_and_shows_all_that_was_measured() -> None:
    page = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    measured = {
        file.stem: figures.read(file.read_text(encoding="utf-8")) for file in DOCS.glob("benchmarks/*.json")
    }
    assert figures.filled(page, measured) == page, "run `make docs`"
    assert figures.used(page) == {
        (version, name) for version, one in measured.items() for name in one["tables"]
    }
    assert all(version == one["version"] for version, one in measured.items())
