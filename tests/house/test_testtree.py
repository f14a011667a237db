"""The test tree mirrors the source tree, and what is in tests/unit starts no processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from noprocesses import no_processes

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    path.parent.name for top in ("raftstore", "ftpgateway") for path in (ROOT / top).glob("*/__init__.py")
}


@pytest.mark.parametrize("kind", ["unit", "processes"])
def test_each_folder_is_named_for_a_package(kind: str) -> None:
    folders = {
        path.parent.relative_to(ROOT / "tests" / kind) for path in (ROOT / "tests" / kind).rglob("test_*.py")
    }
    assert {str(folder) for folder in folders} - {"."} <= PACKAGES


def test_what_starts_a_process_fails() -> None:
    with no_processes():
        for start in (
            lambda: subprocess.run([sys.executable, "-V"], check=False),
            lambda: asyncio.run(asyncio.create_subprocess_exec(sys.executable)),
            os.fork,
            lambda: os.system("true"),
        ):
            with pytest.raises(pytest.fail.Exception, match="tests/processes"):
                start()
    assert subprocess.run([sys.executable, "-c", ""], check=True).returncode == 0
