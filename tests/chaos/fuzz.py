"""`make fuzz`: hundreds of thousands of inputs for the control connection, SFTP and the port between nodes.

Two real nodes must neither crash nor hang nor tell anybody a traceback, and their memory must stay steady. A session
that fails is written to a file; `--replay FILE` does it again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import fuzzing


def main() -> int:
    """Run a campaign or one session of it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=220_000)
    parser.add_argument("--peers", type=float, default=0.25, help="share of the port between nodes")
    parser.add_argument("--sftp", type=float, default=0.2, help="share of SFTP, after login")
    parser.add_argument("--seed", default=str(random.randrange(1 << 31)))
    parser.add_argument("--failures", type=Path, default=Path("build/fuzz"), help="directory for what fails")
    parser.add_argument("--replay", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    begun = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - begun:7.1f} s  {text}", flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="pixraft-fuzz-") as place,
        fuzzing.ground(Path(place) / "c") as here,
    ):
        if arguments.replay is not None:
            return _replay(here, json.loads(arguments.replay.read_text()))
        tell(f"seed {arguments.seed}")
        kinds = {kind: int(arguments.inputs * getattr(arguments, kind)) for kind in ("peers", "sftp")}
        kinds["ftp"] = arguments.inputs - sum(kinds.values())
        result = asyncio.run(fuzzing.campaign(here, kinds, arguments.seed, arguments.failures, tell))
    memory = [size >> 20 for _, size in result.memory]
    tell(f"{result.inputs} inputs in {sum(result.sessions.values())} sessions {dict(result.sessions)}")
    print(f"memory of both nodes, MiB: {memory[:: max(1, len(memory) // 20)]}")
    print("\n".join(result.failures) or "no failure")
    if not result.memory_is_steady():
        print("memory grows")
        return 1
    return 1 if result.failures else 0


def _replay(here: fuzzing.Ground, reported: dict[str, str]) -> int:
    session = here.session(reported["kind"], reported["seed"])
    try:
        asyncio.run(session.run())
        here.check()
        print(f"{session.sent} inputs, no failure")
    except fuzzing.Failure as error:
        print("".join(f"  {data!r}\n" for data in session.transcript), error, sep="")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
