"""Third-party suites against a live cluster: what stock pyftpdlib passes on a plain directory must pass there.

    python tests/conformance/run.py            both servers, all cases; writes passed.json (make conformance)
    python tests/conformance/run.py --short    the cluster only, the cases of a short run (.ci/run)

`passed.json` has what stock pyftpdlib passed; `exceptions.toml` the cases that differ here, each with its reason.
An exception that is not needed any more is a failure, too.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from servers import Nodes, Stock
from suites import BUILD, HERE, LIMIT, SUITES, Outcome, Suite, prepare, results, start

PASSED = HERE / "passed.json"
EXCEPTIONS = HERE / "exceptions.toml"


@dataclass(frozen=True, slots=True)
class Exempt:
    """Cases (patterns) of a suite that need not pass, and why. Slow ones are left out of a short run."""

    suite: str
    cases: Sequence[str]
    reason: str
    slow: bool = False
    unsure: bool = False
    """It depends on timing which way it goes."""


def exceptions(text: str) -> list[Exempt]:
    """Read the exceptions."""
    return [Exempt(**entry) for entry in tomllib.loads(text)["exception"]]


def verdict(
    suite: str, passed: Sequence[str], outcomes: Mapping[str, Outcome], exempt: Sequence[Exempt], *, short: bool
) -> list[str]:
    """Compare what stock passed with what happened here; return what is wrong, one line each."""
    wrong = []
    patterns = [(pattern, entry) for entry in exempt if entry.suite == suite for pattern in entry.cases]
    used: set[str] = set()
    for case in passed:
        outcome = outcomes.get(case)
        fitting = [(pattern, entry) for pattern, entry in patterns if fnmatch.fnmatchcase(case, pattern)]
        matching = [pattern for pattern, _ in fitting]
        if outcome is None:
            if not short:
                wrong.append(f"{suite}: {case} was not run")
        elif outcome.kind == "passed":
            unneeded = [pattern for pattern, entry in fitting if not entry.unsure]
            wrong += [
                f"{suite}: {case} passes: the exception {pattern!r} is not needed" for pattern in unneeded
            ]
        elif not matching:
            wrong.append(f"{suite}: {case} {outcome.kind}: {' / '.join(outcome.message.split(chr(10)))[:300]}")
        used.update(matching)
    wrong += [
        f"{suite}: the exception {pattern!r} fits no case that stock passes"
        for pattern, _ in patterns
        if pattern not in used
    ]
    return wrong


def run(server: str, addresses: Path, works: Mapping[str, Path], suites: Sequence[Suite], short: bool) -> None:
    """Run suites side by side against one server."""
    python = prepare()
    slow = [pattern for entry in exceptions(EXCEPTIONS.read_text()) if entry.slow for pattern in entry.cases]
    running: list[tuple[Suite, subprocess.Popen[bytes]]] = []
    try:
        for suite in suites:
            options = [*suite.short, *(f"--live-skip={pattern}" for pattern in slow)] if short else []
            running.append((suite, start(suite, python, server, addresses, works[suite.name], options)))
        deadline = time.monotonic() + LIMIT
        for suite, process in running:
            code = process.wait(max(0.0, deadline - time.monotonic()))
            if code not in (0, 1):
                log = (BUILD / f"{suite.name}-{server}.log").read_text(errors="replace")
                raise RuntimeError(f"{suite.name} did not run (exit {code}):\n{log[-3000:]}")
    finally:
        for _, process in running:
            if process.poll() is None:
                process.kill()
                process.wait()


def compare(names: Sequence[str], *, short: bool, here: bool) -> int:
    """Run, compare, print; return the exit code."""
    suites = [SUITES[name] for name in names]
    python = prepare()
    passed: dict[str, list[str]] = json.loads(PASSED.read_text()) if PASSED.exists() else {}
    with tempfile.TemporaryDirectory(prefix="pixraft-conformance-") as scratch:
        place = Path(scratch)
        with Nodes(place / "nodes") as nodes:
            works = {suite.name: place / "work" / suite.name for suite in suites}
            for work in works.values():
                work.mkdir(parents=True)
            run("pixraft", nodes.addresses, works, suites, short)
            if not short and not here:
                with contextlib.ExitStack() as stack:
                    for suite in suites:
                        stock = Stock(place / "stock" / suite.name / "files", python, nodes.certificate)
                        stack.enter_context(stock)
                        run("stock", stock.addresses, {suite.name: stock.directory}, [suite], short)
                        found = results(suite, "stock")
                        passed[suite.name] = sorted(
                            case for case, outcome in found.items() if outcome.kind == "passed"
                        )
                PASSED.write_text(json.dumps(passed, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return report(suites, passed, short)


def report(suites: Sequence[Suite], passed: Mapping[str, Sequence[str]], short: bool) -> int:
    """Print a line a suite and what is wrong; return the exit code."""
    exempt = exceptions(EXCEPTIONS.read_text())
    wrong: list[str] = []
    for suite in suites:
        outcomes = results(suite, "pixraft")
        tried = [case for case in passed[suite.name] if case in outcomes]
        here = sum(outcomes[case].kind == "passed" for case in tried)
        print(
            f"{suite.name}: stock passes {len(passed[suite.name])}; of the {len(tried)} tried here {here} pass"
        )
        wrong += verdict(suite.name, passed[suite.name], outcomes, exempt, short=short)
    for line in wrong:
        print(line)
    print("conformance: " + (f"{len(wrong)} wrong" if wrong else "ok"))
    return 1 if wrong else 0


def main() -> int:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--here", action="store_true", help="the cluster only, all cases")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}")
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    return compare(options.suites or list(SUITES), short=options.short, here=options.here)


if __name__ == "__main__":
    sys.exit(main())
