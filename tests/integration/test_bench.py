"""The benchmark itself, in small: it must not rot between the runs that somebody looks at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench" / "run.py"

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_the_short_benchmark_measures_every_load(tmp_path):
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(BENCH), "--quick", "--encryption", "bulk-auth", "--json", str(figures)]
    done = subprocess.run(
        [*command, "--directory", str(tmp_path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    (report,) = json.loads(figures.read_text())
    assert "250 idle sessions" in done.stdout
    assert report["encryption"] == "bulk-auth"
    assert len(report["peak_memory"]) == 3
    names = [row["scenario"] for row in report["rows"]]
    assert len(names) == 12
    for row in report["rows"]:
        assert row["rate"] > 0, row
        assert row["reference_rate"] > 0, row
        assert row["p50_ms"] <= row["p99_ms"], row
        assert row["scenario"] in done.stdout
    # Nothing is left behind but the figures.
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]
