"""`--live-skip=PATTERN` leaves out cases whose `class::name`, as results name them, fits the pattern."""

from __future__ import annotations

import fnmatch

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--live-skip", action="append", default=[])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the cases out."""
    patterns = config.getoption("--live-skip")
    items[:] = [
        item for item in items if not any(fnmatch.fnmatchcase(_name(item), pattern) for pattern in patterns)
    ]


def _name(item: pytest.Item) -> str:
    file, *rest = item.nodeid.split("::")
    parts = [file.removesuffix(".py").replace("/", "."), *rest[:-1]]
    return ".".join(parts) + "::" + rest[-1]
