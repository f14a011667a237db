"""On which line of a TOML file a key stands: `tomllib` does not tell. Pure."""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*\[\[?\s*([^\[\]#]+?)\s*\]\]?\s*(?:#.*)?")
_ASSIGNMENT = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_LONG_TEXT = re.compile(r'"""|' + "'''")


def key_lines(text: str) -> dict[str, int]:
    """Return the line (from 1) on which each `section` and `section.key` of a TOML file first stands.

    `text` is TOML that could be read. What is written in an unusual way (a whole section as an inline table) is
    known by its section.
    """
    found: dict[str, int] = {}
    prefix: tuple[str, ...] = ()
    quotes = ""
    for number, line in enumerate(text.splitlines(), 1):
        if quotes:
            quotes = "" if quotes in line else quotes
            continue
        if header := _HEADER.fullmatch(line):
            prefix = _parts(header[1])
            named: tuple[str, ...] = prefix
        elif assignment := _ASSIGNMENT.match(line):
            named = prefix + _parts(assignment[1])
            quotes = _left_open(line[assignment.end() :])
        else:
            continue
        for length in (1, 2):
            found.setdefault(".".join(named[:length]), number)
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _left_open(value: str) -> str:
    """Return the quotes of a text over several lines that begins here; "" when there is none."""
    opening = _LONG_TEXT.match(value.lstrip())
    if opening is None or opening[0] in value.lstrip()[3:]:
        return ""
    return opening[0]
