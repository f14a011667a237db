"""The table in docs/clients.md: what it says, and what was seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).resolve().parents[2] / "docs" / "clients.md"
TABLE, MORE = "table", "table of more clients"
"""The tables of the page."""


class Cell(NamedTuple):
    """What became of one client's operation: ok, no (the client has no such thing) or fails, and why or how."""

    kind: str
    reason: str = ""


class Page:
    """A table of clients (columns) and operations (lines)."""

    def __init__(self, clients: Sequence[str], operations: Sequence[str], table: str = TABLE) -> None:
        self._begin = f"<!-- {table}: written by `make clients` -->"
        self._end = f"<!-- end of the {table} -->"
        self._clients = clients
        self._operations = operations
        self._seen: dict[tuple[str, str], Cell] = {}
        self._versions: dict[str, str] = {}
        self._text = PAGE.read_text(encoding="utf-8")
        self._said = self._read()

    def saw(self, client: str, operation: str, cell: Cell, version: Callable[[], str]) -> None:
        """Remember what happened."""
        self._seen[client, operation] = cell
        if client not in self._versions:
            self._versions[client] = version()

    def says(self, client: str, operation: str) -> Cell | None:
        """What the page says, or what was just seen when the page is to be written."""
        return self._said.get((client, operation))

    def _table(self) -> str:
        return self._text.partition(self._begin)[2].partition(self._end)[0]

    def _read(self) -> dict[tuple[str, str], Cell]:
        table = self._table()
        notes = dict(re.findall(r"^(\d+)\. (.+)$", table, re.MULTILINE))
        lines = [line.strip("| \n").split(" | ") for line in table.splitlines() if line.startswith("|")]
        if len(lines) < 3:
            return {}
        clients = [name.partition("<br>")[0] for name in lines[0][1:]]
        said = {}
        for operation, *cells in lines[2:]:
            for client, text in zip(clients, cells, strict=True):
                kind, number = re.fullmatch(r"(\w+)(?:<sup>(\d+)</sup>)?", text).groups()  # type: ignore[union-attr]
                said[client, operation] = Cell(kind, notes[number] if number else "")
        return said

    def write(self) -> None:
        """Write what was seen into the page; what was not tried stays."""
        cells = self._said | self._seen
        reasons: list[str] = []
        lines = [
            "| operation | " + " | ".join(f"{name}<br>{self._version(name)}" for name in self._clients) + " |"
        ]
        lines.append("|---" * (len(self._clients) + 1) + "|")
        for operation in self._operations:
            row = [
                self._mark(cells.get((client, operation), Cell("untried")), reasons) for client in self._clients
            ]
            lines.append(f"| {operation} | " + " | ".join(row) + " |")
        lines += ["", *(f"{number}. {reason}" for number, reason in enumerate(reasons, 1))]
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(self._begin)
        rest = rest.partition(self._end)[2]
        text = before + self._begin + "\n\n" + "\n".join(lines) + "\n\n" + self._end + rest
        PAGE.write_text(text, encoding="utf-8")

    def _version(self, client: str) -> str:
        if client in self._versions:
            return self._versions[client]
        found = re.search(rf"\| {re.escape(client)}<br>([^ |]*)", self._table())
        return found[1] if found else ""

    @staticmethod
    def _mark(cell: Cell, reasons: list[str]) -> str:
        if not cell.reason:
            return cell.kind
        if cell.reason not in reasons:
            reasons.append(cell.reason)
        return f"{cell.kind}<sup>{reasons.index(cell.reason) + 1}</sup>"
