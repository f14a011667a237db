"""`make stalls`: the worst that clients and operators can ask of a node's loop, and how long that holds it.

A real node with a directory of 100,000 names (`--names`) and 1,000 accounts. For each case the looks of the stall watch
are told by processor time of the loop's thread; fails where more than one look in a thousand took over 100 ms.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import stalling


def main() -> int:
    """Run the cases; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=100_000)
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each case")
    parser.add_argument("--case", choices=list(stalling.CASES), action="append")
    arguments = parser.parse_args()
    failures = []
    with (
        tempfile.TemporaryDirectory(prefix="pixraft-stalls-") as place,
        stalling.ground(Path(place) / "c", arguments.names, arguments.accounts) as here,
    ):
        for case in arguments.case or stalling.CASES:
            held = here.run(case, arguments.seconds)
            print(f"{case}: {held}", flush=True)
            failures += [held.failure()] if held.failure() else []
        stalls = [line for line in here.cluster.log("n1").splitlines() if "held up" in line]
    print("\n".join(["What was logged last:", *stalls[-10:]]) if stalls else "No stall was logged.")
    print("\n".join(failures) or f"nothing above {stalling.LIMIT * 1000:g} ms")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
