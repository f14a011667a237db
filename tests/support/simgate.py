"""The command line of the mutation gate: switch known bugs on, one at a time, and see that the simulator notices."""

from __future__ import annotations

import argparse
import faulthandler
import gc
import multiprocessing
import time
from dataclasses import dataclass
from functools import partial

import bugs
import simdeterminism
from simpool import PATIENCE, each
from simscenario import scenario
from simulation import simulate

WITHIN = 600
"""Seeds within which every known bug must be seen. The rarest one shows in about one seed of 140."""
NONE = "(no bug)"
BROKEN = ("AttributeError: ", "NameError: ", "TypeError: ")
"""Words of a violation that says only that the bug does not fit the production code any more."""
COLLECT = 8
"""Seeds after which the memory of those before is collected."""


@dataclass
class Hunt:
    """How the search for one bug went: how many seeds it took, and what the last one showed."""

    bug: str
    seeds: int
    violation: str | None
    seconds: float
    error: str = ""


def main() -> int:
    """Run the gate; 1 when a bug survives, or when a seed fails without one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="BUG", help="only these")
    parser.add_argument("--within", type=int, default=WITHIN, help="seeds within which each must be seen")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="processes")
    given = parser.parse_args()
    names = given.names or list(bugs.BUGS)
    simdeterminism.prepare()
    begin, hunts = time.monotonic(), []
    print(f"{'bug':26} {'seeds':>5} {'CPU s':>6}  seen by")
    for hunt in each(partial(_hunt, given=given), names, given.jobs, _lost, chunk=1):
        hunts.append(hunt)
        seen_by = hunt.violation or f"NOT SEEN: {bugs.BUGS[hunt.bug].text} {hunt.error}"
        print(f"{hunt.bug:26} {hunt.seeds:5} {hunt.seconds:6.1f}  {seen_by}", flush=True)
    survivors = [hunt.bug for hunt in hunts if hunt.violation is None]
    clean = _clean(given, max(hunt.seeds for hunt in hunts))
    print(
        f"{len(hunts)} bugs, {len(survivors)} not seen within {given.within} seeds, {time.monotonic() - begin:.0f} s"
    )
    return int(bool(survivors) or not clean)


def _hunt(name: str | None, given: argparse.Namespace) -> Hunt:
    begin = time.process_time()
    for number in range(given.within):
        violation = _seen(given.first + number, name)
        if violation is not None:
            first = violation.splitlines()[0]
            if any(word in first for word in BROKEN):
                raise RuntimeError(f"the bug {name} does not fit the code any more: {violation}")
            return Hunt(name or NONE, number + 1, first, time.process_time() - begin)
        if not (number + 1) % COLLECT:
            gc.collect()
    return Hunt(name or NONE, given.within, None, time.process_time() - begin)


def _seen(seed: int, name: str | None) -> str | None:
    # A bug may make a seed hang, too.
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    with simdeterminism.chance(seed), bugs.switched_on(name):
        return simulate(scenario(seed)).violation


def _lost(name: str, why: str) -> Hunt:
    return Hunt(name, 0, None, 0.0, why)


def _clean(given: argparse.Namespace, seeds: int) -> bool:
    """Whether the same seeds say nothing of the code as it is."""
    wanted = range(given.first, given.first + seeds)
    results = each(partial(_timed, name=None), wanted, given.jobs, lambda seed, why: (why, 0.0))
    failed, total = [], 0.0
    for seed, (violation, seconds) in zip(wanted, results, strict=True):
        total += seconds
        if violation is not None:
            failed.append(f"{seed}: {violation.splitlines()[0]}")
    print(f"{NONE:26} {seeds:5} {total:6.1f}  {'; '.join(failed) or 'nothing, as it should be'}", flush=True)
    return not failed


def _timed(seed: int, name: str | None) -> tuple[str | None, float]:
    begin = time.process_time()
    return _seen(seed, name), time.process_time() - begin
