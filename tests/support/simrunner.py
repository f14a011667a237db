"""The command line of the simulator."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import bugs
import simdeterminism
from simscenario import MIXES, scenario
from simulation import Verdict, simulate

ROOT = Path(__file__).resolve().parents[2]
WITHIN = 300
"""Seeds within which every known bug must be seen."""
PROGRAM = "tests/simulation/run.py"


def main() -> int:
    """Run what the command line asks for; 1 when something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one, with all events")
    parser.add_argument("--seeds", type=int, default=200, help="run so many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="processes")
    parser.add_argument("--nodes", type=int, choices=(3, 5), help="instead of what the seed chooses")
    parser.add_argument("--mix", choices=sorted(MIXES), help="instead of what the seed chooses")
    parser.add_argument("--duration", type=float, help="instead of what the seed chooses")
    parser.add_argument("--bug", choices=sorted(bugs.BUGS), help="with this bug in the code")
    parser.add_argument("--messages", action="store_true", help="show the messages too")
    parser.add_argument("--digest", action="store_true", help="print only the sum over each seed's trace")
    arguments = parser.parse_args()
    simdeterminism.prepare()
    if arguments.digest:
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            print(seed, _run(seed, arguments).trace.digest())
        return 0
    if arguments.seed is not None:
        return _one(arguments)
    return _many(arguments)


def _run(seed: int, arguments: argparse.Namespace, *, messages: bool = False) -> Verdict:
    with simdeterminism.chance(seed), bugs.switched_on(arguments.bug):
        chosen = scenario(seed, nodes=arguments.nodes, mix=arguments.mix, duration=arguments.duration)
        return simulate(chosen, messages=messages)


def _one(arguments: argparse.Namespace) -> int:
    verdict = _run(arguments.seed, arguments, messages=arguments.messages)
    for line in verdict.trace.lines():
        print(line)
    print(_summary(verdict))
    if verdict.violation is not None:
        print(f"VIOLATION: {verdict.violation}")
    return int(verdict.violation is not None)


def _summary(verdict: Verdict) -> str:
    return (
        f"{verdict.scenario}: {verdict.acknowledged} of {verdict.operations} operations answered, "
        f"{verdict.committed} entries, {verdict.virtual:.1f} virtual s ({verdict.recovery:.1f} to recover), "
        f"{verdict.steps} steps, sum {verdict.trace.digest()}"
    )


def command(seed: int, arguments: argparse.Namespace) -> str:
    """The line that runs a seed again, exactly."""
    options = [
        f" --{name} {value}"
        for name in ("nodes", "mix", "duration", "bug")
        if (value := getattr(arguments, name)) is not None
    ]
    return f"python {PROGRAM} --seed {seed}{''.join(options)}"


Result = tuple[int, str | None, list[str], int, float]


def _work(job: tuple[int, argparse.Namespace]) -> Result:
    seed, arguments = job
    begin = time.process_time()
    verdict = _run(seed, arguments)
    lines = []
    if verdict.violation is not None:
        lines = _run(seed, arguments, messages=True).trace.lines()
    gc.collect()
    return seed, verdict.violation, lines, verdict.acknowledged, time.process_time() - begin


def results(jobs: list[tuple[int, argparse.Namespace]], processes: int) -> Iterator[Result]:
    """Run the jobs, on so many processes; in their order."""
    if processes <= 1:
        yield from map(_work, jobs)
        return
    context = multiprocessing.get_context("fork")
    with context.Pool(processes, maxtasksperchild=500) as pool:
        yield from pool.imap(_work, jobs, chunksize=4)


def _many(arguments: argparse.Namespace) -> int:
    begin = time.monotonic()
    jobs = [(seed, arguments) for seed in range(arguments.first, arguments.first + arguments.seeds)]
    failures: list[int] = []
    acknowledged, cpu = 0, 0.0
    for seed, violation, lines, answered, seconds in results(jobs, arguments.jobs):
        acknowledged += answered
        cpu += seconds
        if violation is not None:
            failures.append(seed)
            _report(seed, violation, lines, arguments)
    elapsed = time.monotonic() - begin
    print(
        f"{len(jobs)} seeds, {len(failures)} violations, {acknowledged} operations answered; {elapsed:.1f} s, "
        f"{len(jobs) / elapsed:.1f} seeds/s, {1000 * cpu / len(jobs):.0f} ms CPU a seed"
    )
    return int(bool(failures))


def _report(seed: int, violation: str, lines: list[str], arguments: argparse.Namespace) -> None:
    directory = ROOT / "build" / "simulation"
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"seed-{seed}.trace"
    file.write_text("\n".join([*lines, f"VIOLATION: {violation}", ""]))
    print(
        f"FAILED: {violation.splitlines()[0]}\n  again: {command(seed, arguments)}\n  trace: {file}", flush=True
    )
    sys.stdout.flush()


def mutants() -> int:
    """The command line of the mutation gate."""
    parser = argparse.ArgumentParser(description=mutants.__doc__)
    parser.add_argument("names", nargs="*", metavar="BUG", help="only these")
    parser.add_argument("--within", type=int, default=WITHIN, help="seeds within which each must be seen")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="processes")
    given = parser.parse_args()
    simdeterminism.prepare()
    survivors = [name for name in given.names or bugs.BUGS if not _caught(name, given)]
    print(f"{len(given.names or bugs.BUGS)} bugs, {len(survivors)} not seen within {given.within} seeds")
    return int(bool(survivors))


def _caught(name: str, given: argparse.Namespace) -> bool:
    arguments = argparse.Namespace(nodes=None, mix=None, duration=None, bug=name)
    context = multiprocessing.get_context("fork")
    begin = time.monotonic()
    with context.Pool(given.jobs) as pool:
        jobs = [(seed, arguments) for seed in range(given.first, given.first + given.within)]
        for seed, violation, _, _, _ in pool.imap(_try, jobs):
            if violation is not None:
                taken, text = seed - given.first + 1, violation.splitlines()[0]
                print(
                    f"{name:26} seen in seed {taken:4} ({time.monotonic() - begin:5.1f} s): {text}", flush=True
                )
                pool.terminate()
                return True
    print(f"{name:26} NOT SEEN in {given.within} seeds: {bugs.BUGS[name][0]}", flush=True)
    return False


def _try(job: tuple[int, argparse.Namespace]) -> Result:
    seed, arguments = job
    verdict = _run(seed, arguments)
    gc.collect()
    return seed, verdict.violation, [], verdict.acknowledged, 0.0
