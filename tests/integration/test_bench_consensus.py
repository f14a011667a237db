"""The benchmark of consensus, in small and without etcd: it must not rot between the runs that somebody looks at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def test_the_short_benchmark_of_consensus_measures_both_state_machines(tmp_path):
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(ROOT / "tests" / "bench" / "consensus.py"), "--no-etcd", "--rounds", "1"]
    command += ["--seconds", "0.5", "--clients", "4", "--directory", str(tmp_path), "--json", str(figures)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = json.loads(figures.read_text())
    assert {row["system"] for row in rows} == {"pixraft, counting", "pixraft, catalog"}
    assert all(row["rate"] > 0 and row["p50"] > 0 for row in rows)
