"""The benchmark of starts, in small: it must not rot between the runs that somebody looks at."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench" / "volumes.py"

pytestmark = pytest.mark.integration


def test_the_benchmark_of_starts_measures_all_three(tmp_path):
    command = [sys.executable, str(BENCH), "--chunks", "20000", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["chunks"] == 20_000
    assert min(figures[key] for key in ("closed_s", "crashed_s", "scanned_s")) > 0
    assert figures["memory_bytes_a_chunk"] < 40
    assert figures["disk_bytes_a_chunk"] < 40
