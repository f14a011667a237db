"""The last descriptors of a process are kept: how many, says its limit."""

from __future__ import annotations

import subprocess
import sys

from raftstore.util.descriptors import RESERVED


def test_the_last_ones_are_kept() -> None:
    for most, kept in ((4096, RESERVED), (200, 50)):
        code = (
            f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most}))\n"
            "from raftstore.util.descriptors import scarce\n"
            f"assert [scarce(number) for number in ({most - kept - 1}, {most - kept})] == [False, True]"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
