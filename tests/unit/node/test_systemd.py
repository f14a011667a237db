"""Whether and where a node reports to systemd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ftpgateway.node import systemd


def test_watchdog_only_where_it_is_asked_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert systemd.watchdog_period() is None
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    assert systemd.watchdog_period() == 1.0
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert systemd.watchdog_period() == 1.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert systemd.watchdog_period() is None


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    systemd.notify("READY=1")
