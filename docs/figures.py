"""The tables of docs/benchmarks.md, from the figures in docs/benchmarks/VERSION.json. Pure.

A file has what was measured at one version: `version` (the commit), `date`, `conditions`, and `tables` by name, each
with `columns` and `rows`. A column is a title, or an object with `title`, `bold`, `thousands`. A number stands in the
page as it stands in the file, with the same digits; null is an empty cell. In the page a table stands between
`<!-- figures: VERSION NAME -->` and `<!-- end of figures -->`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PLACE = re.compile(
    r"(<!-- figures: (?P<version>\S+) (?P<name>\S+) -->\n).*?(<!-- end of figures -->)", re.DOTALL
)


def read(text: str) -> dict[str, Any]:
    """Return the content of a file of figures; numbers keep their digits."""
    content: dict[str, Any] = json.loads(text, parse_float=str, parse_int=str)
    return content


def table(content: Mapping[str, Any]) -> str:
    """Return one table in Markdown. Raises ValueError when a row has another number of cells than there are columns."""
    columns = [column if isinstance(column, dict) else {"title": column} for column in content["columns"]]
    lines = [_line([column["title"] for column in columns]), _line(["---"] * len(columns), "")]
    for row in content["rows"]:
        cells = zip(columns, row, strict=True)
        lines.append(_line([_cell(column, value) for column, value in cells]))
    return "".join(f"\n{line}" for line in lines).lstrip("\n") + "\n"


def _line(cells: list[str], space: str = " ") -> str:
    return "|" + "|".join(f"{space}{cell}{space}" if cell else space or " " for cell in cells) + "|"


def _cell(column: Mapping[str, Any], value: str | None) -> str:
    if value is None:
        return ""
    if column.get("thousands") and value.isdigit():
        value = f"{int(value):,}"
    return f"**{value}**" if column.get("bold") else value


def filled(page: str, figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page with its tables made anew from `figures`, by version. Raises KeyError for what there is not."""

    def anew(found: re.Match[str]) -> str:
        return f"{found[1]}\n{table(figures[found['version']]['tables'][found['name']])}\n{found[4]}"

    return _PLACE.sub(anew, page)


def used(page: str) -> set[tuple[str, str]]:
    """Return version and name of each table of the page."""
    return {(found["version"], found["name"]) for found in _PLACE.finditer(page)}
