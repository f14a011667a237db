"""Ports for nodes: two processes that ask at the same time never get the same."""

from __future__ import annotations

import json
import subprocess
import sys

from ftpgateway.demo import ports

HOST = "127.0.0.1"

CHILD = """
import json, sys
from ftpgateway.demo import ports
print(json.dumps([ports.free("127.0.0.1", 40), ports.row("127.0.0.1", 3), ports.consecutive("127.0.0.1", 3, None)]))
sys.stdout.flush()
sys.stdin.read()
"""


def test_no_other_process_and_no_second_call_gets_the_same() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        theirs = [set(some) for some in json.loads(child.stdout.readline())]
        ours = [set(ports.free(HOST, 40)), set(ports.row(HOST, 3)), set(ports.consecutive(HOST, 3, None))]
        again = [set(ports.free(HOST, 40)), set(ports.row(HOST, 3)), set(ports.consecutive(HOST, 3, None))]
        # Nor does who asks for many.
        everything = set(ports.free(HOST, 1_000))
        child.communicate()
    seen: set[int] = set()
    for some in (*theirs, *ours, *again, everything):
        assert not seen & some
        seen |= some
    assert max(theirs[1]) - min(theirs[1]) == 2
