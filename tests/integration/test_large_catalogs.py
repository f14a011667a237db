"""Catalogs that are large: directories of very many entries, and the benchmark of snapshots in small."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from harness import Cluster
from largecatalog import build, path_of
from waiting import PATIENCE

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ENTRIES = 200_000
FREE_SPACE = 40 * 2**20
"""Bytes by which a node may grow while it lists them: as objects they would take 70 MB."""


def peak_memory(pid: int) -> int:
    """The most memory that the process has had since `forget_peak`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@contextlib.contextmanager
def serving(cluster: Cluster) -> Iterator[None]:
    """Start a cluster that is never healthy: the pictures of its catalog were never there."""
    try:
        cluster.local.start()
        cluster.local.put_user(
            "demo", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("demo"), PATIENCE
        )
        cluster.wait_ready("n1")
        yield
    finally:
        cluster.close()


def test_a_directory_of_200_000_entries_is_listed_in_bounded_memory(tmp_path):
    cluster = Cluster(tmp_path / "cluster", nodes=1)
    build(cluster.data("n1"), ENTRIES, directory=ENTRIES)
    names = [path_of(number, ENTRIES).rpartition("/")[2] for number in range(ENTRIES)]
    with serving(cluster), cluster.login("n1") as ftp:
        ftp.cwd("/0000")
        ftp.nlst("/bench")  # everything that is needed once is loaded
        pid = cluster.pid("n1")
        grown = {}
        for command in ("NLST", "MLSD", "LIST"):
            forget_peak(pid)
            before = peak_memory(pid)
            lines: list[str] = []
            ftp.retrlines(command, lines.append)
            grown[command] = peak_memory(pid) - before
            found = [line.partition("; ")[2] for line in lines] if command == "MLSD" else lines
            if command == "LIST":
                found = [line[-len(names[0]) :] for line in lines]
            assert found == names
        print(grown)
        assert max(grown.values()) < FREE_SPACE, grown


PHASES = ["before", "snapshot", "after"]


def test_the_benchmark_of_snapshots_works(tmp_path):
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(root), str(root / "tests" / "support")])
    found = subprocess.run(
        [
            *(sys.executable, str(root / "tests" / "bench" / "snapshot.py")),
            *("--files", "20000", "--seconds", "1", "--rounds", "1", "--template", str(tmp_path / "template")),
        ],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    # 1: what it prints is not what is wanted of a machine that does nothing else.
    assert found.returncode in (0, 1), found.stderr
    lines = found.stdout.splitlines()
    phases = [words[0] for line in lines[2:] if (words := line.split()) and words[0] in PHASES]
    assert phases == PHASES, found.stdout
    assert "longest stall" in lines[-1]
