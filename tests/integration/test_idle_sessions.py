"""Sessions that only stand around cost next to nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench" / "idle.py"

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_5000_idle_sessions_at_one_node(tmp_path):
    command = [sys.executable, str(BENCH), "--sessions", "5000", "--seconds", "3", "--directory", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.iterdir())
