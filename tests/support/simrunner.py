"""The command line of the simulator."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import bugs
import simdeterminism
from simpool import each
from simscenario import MIXES, scenario
from simulation import Verdict, simulate

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "tests/simulation/run.py"


def main() -> int:
    """Run what the command line asks for; 1 when something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one, with all events")
    parser.add_argument("--seeds", type=int, default=200, help="run so many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="processes")
    parser.add_argument("--nodes", type=int, choices=(2, 3, 4, 5), help="instead of what the seed chooses")
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


@dataclass
class Result:
    """What is told of a seed that ran in another process."""

    seed: int
    violation: str | None = None
    lines: list[str] = field(default_factory=list)
    acknowledged: int = 0
    seconds: float = 0.0


def _work(seed: int, arguments: argparse.Namespace) -> Result:
    begin = time.process_time()
    verdict = _run(seed, arguments)
    lines = []
    if verdict.violation is not None:
        lines = _run(seed, arguments, messages=True).trace.lines()
    return Result(seed, verdict.violation, lines, verdict.acknowledged, time.process_time() - begin)


def _many(arguments: argparse.Namespace) -> int:
    begin, total = time.monotonic(), arguments.seeds
    failures: list[int] = []
    acknowledged, cpu = 0, 0.0
    seeds = range(arguments.first, arguments.first + total)
    work = partial(_work, arguments=arguments)
    for done, result in enumerate(each(work, seeds, arguments.jobs, lambda seed, why: Result(seed, why)), 1):
        acknowledged += result.acknowledged
        cpu += result.seconds
        if result.violation is not None:
            failures.append(result.seed)
            _report(result, arguments)
        if not done % max(100, total // 20) and done < total:
            print(
                f"{done} of {total} seeds, {len(failures)} failed, {time.monotonic() - begin:.0f} s", flush=True
            )
    elapsed = time.monotonic() - begin
    print(
        f"{total} seeds, {len(failures)} violations, {acknowledged} operations answered; {elapsed:.1f} s, "
        f"{total / elapsed:.1f} seeds/s, {cpu:.0f} s of CPU, {1000 * cpu / total:.0f} ms a seed"
    )
    return int(bool(failures))


def _report(result: Result, arguments: argparse.Namespace) -> None:
    assert result.violation is not None
    directory = ROOT / "build" / "simulation"
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"seed-{result.seed}.trace"
    file.write_text("\n".join([*result.lines, f"VIOLATION: {result.violation}", ""]))
    print(
        f"FAILED: {result.violation.splitlines()[0]}\n"
        f"  again: {command(result.seed, arguments)}\n  trace: {file}",
        flush=True,
    )
