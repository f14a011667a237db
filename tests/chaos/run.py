"""`make chaos`: kills, pauses and one-way cuts against three real nodes under load, and what they cost.

Prints its seed; the same seed makes the same choices, as far as real processes allow.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import campaigns
from campaigns import Times, ground

CAMPAIGNS = ("kills", "pauses", "followers", "power", "cuts")
LIMIT = 3.0
"""Seconds within which, in 99 of 100 kills of the leader, the cluster acknowledges the next change."""


def main() -> int:
    """Run the campaigns and print the table; exit 1 when the fail-over takes too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--only", choices=CAMPAIGNS, action="append")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pauses", type=int, default=30)
    parser.add_argument("--followers", type=int, default=10)
    parser.add_argument("--power", type=int, default=10, help="kills of all nodes at once")
    parser.add_argument("--cuts", type=int, default=3, help="rounds of the four kinds of one-way cuts")
    arguments = parser.parse_args()
    chosen = arguments.only or CAMPAIGNS
    print(f"seed {arguments.seed}", flush=True)
    begin = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - begin:7.1f} s  {text}", flush=True)

    table: list[Times] = []
    with tempfile.TemporaryDirectory(prefix="pixraft-chaos-") as place:
        for number, name in enumerate(chosen):
            tell(f"--- {name}")
            seed, directory = arguments.seed + number, Path(place) / name
            with ground(directory, seed, tell, proxied=name == "cuts") as here:
                if number == 0:
                    table.append(campaigns.no_fault(here, 50))
                if name == "kills":
                    table.append(campaigns.kill_leaders(here, arguments.kills))
                elif name == "pauses":
                    table.append(campaigns.pause(here, arguments.pauses, leader=True))
                elif name == "followers":
                    table.append(campaigns.pause(here, arguments.followers, leader=False))
                elif name == "power":
                    table.append(campaigns.kill_all(here, arguments.power))
                else:
                    table += campaigns.cut_one_way(here, arguments.cuts)
    print(
        f"\nSeconds from the fault to the next acknowledged change (seed {arguments.seed}):\n\n{campaigns.HEAD}"
    )
    for times in table:
        print(times.row())
    if any(times.name == "leader killed" and times.quantile(0.99) > LIMIT for times in table):
        print(f"\nthe promise is {LIMIT:g} s at most, for 99 of 100")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
