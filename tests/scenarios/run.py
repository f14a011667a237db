"""Run scenarios: `python tests/scenarios/run.py [--rewrite] [--bug NAME] [FILE ...]`. See docs/scenarios.md.

Prints how those that fail differ. `--rewrite` puts what they print now into their files. `--bug NAME` (of
tests/simulation/bugs_*.py, more than once) puts a known bug into the code, and prints which scenarios notice it.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), *(str(ROOT / "tests" / name) for name in ("scenarios", "support", "simulation"))]

import structlog  # noqa: E402
from scenariofile import files, replay  # noqa: E402
from simdeterminism import Silent  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rewrite", action="store_true", help="put the present output into the files")
    parser.add_argument("--bug", action="append", default=[], help="a known bug that is to be noticed")
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=Silent)
    paths = arguments.files or files()
    for bug in arguments.bug:
        print(bug, *noticing(bug, paths))
    return 0 if arguments.bug else check(paths, rewrite=arguments.rewrite)


def noticing(bug: str, paths: list[Path]) -> list[str]:
    """Return the names of the scenarios that fail with a known bug."""
    from bugs import switched_on

    found = []
    for path in paths:
        with switched_on(bug):
            before, after = replay(path)
        if before != after:
            found.append(path.stem)
    return found


def check(paths: list[Path], *, rewrite: bool) -> int:
    """Print, or take over, all differences; return the exit code."""
    failed = 0
    for path in paths:
        before, after = replay(path)
        if before == after:
            continue
        failed += 1
        if rewrite:
            path.write_text(after, encoding="utf-8")
        lines = before.splitlines(), after.splitlines()
        print(*difflib.unified_diff(*lines, path.name, "now", lineterm=""), sep="\n")
    print(f"{len(paths)} scenarios, {failed} {'rewritten' if rewrite else 'differ'}")
    return 0 if rewrite or not failed else 1


if __name__ == "__main__":
    sys.exit(main())
