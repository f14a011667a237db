"""A node whose clock is behind its certificate waits for the right time; who only asks is told."""

from __future__ import annotations

import datetime
import types
from pathlib import Path

import pytest
from commandline import pixraft

from ftpgateway.cli.local import serve
from ftpgateway.node.config.reading import load_node_config
from raftstore.errors import WrongClock
from raftstore.peers.security import pki


class _SetBack(datetime.datetime):
    """Three days behind, and a day further at each look."""

    looks = 0

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        behind = max(0, 3 - cls.looks)
        cls.looks += 1
        return datetime.datetime.now(tz) - datetime.timedelta(days=behind)


@pytest.fixture(autouse=True)
def _clock(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_SetBack, "looks", 0)
    monkeypatch.setattr(pki, "datetime", types.SimpleNamespace(datetime=_SetBack, UTC=datetime.UTC))
    monkeypatch.setattr(serve, "CLOCK_POLL", 0)


def test_a_node_starts_when_the_clock_is_right(node: Path) -> None:
    serve._wait_for_clock(load_node_config(node))
    assert _SetBack.looks > 3


def test_who_asks_whether_it_could_start_is_told_that_it_is_the_clock(node: Path) -> None:
    result = pixraft("serve", "--check", "--config", str(node))
    assert result.exit_code == WrongClock.exit_code
    assert "This machine's clock is wrong: it says 20" in result.stderr
    assert "set the clock" in result.stderr
