"""The benchmark of starts, in small: the saved index must be what makes them short."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench" / "volumes.py"

pytestmark = pytest.mark.integration


def test_a_start_from_the_saved_index_is_the_shorter_one(tmp_path):
    command = [sys.executable, str(BENCH), "--chunks", "20000", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["chunks"] == 20_000
    assert figures["closed_s"] < figures["scanned_s"]
    assert figures["memory_bytes_a_chunk"] < 40
    assert figures["disk_bytes_a_chunk"] < 40
