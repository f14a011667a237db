"""Write what comes from elsewhere in the pages of docs/: whole pages from the program, the tables of benchmarks.md from
the figures in docs/benchmarks. `--check` fails when something is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

import figures

from ftpgateway.cli.manpages import FOLDER
from ftpgateway.cli.reference import pages

DOCS = Path(__file__).resolve().parent


def benchmarks() -> str:
    """Return docs/benchmarks.md with its tables made anew."""
    measured = {
        file.stem: figures.read(file.read_text(encoding="utf-8")) for file in DOCS.glob("benchmarks/*.json")
    }
    return figures.filled((DOCS / "benchmarks.md").read_text(encoding="utf-8"), measured)


def main() -> int:
    """Write or check; return the exit code."""
    check = sys.argv[1:] == ["--check"]
    stale = []
    made = {**pages(), "benchmarks.md": benchmarks()}
    for name, text in made.items():
        file = DOCS / name
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
    for file in DOCS.glob(f"{FOLDER}/*"):
        if f"{FOLDER}/{file.name}" not in made:
            stale.append(f"{FOLDER}/{file.name}")
            if not check:
                file.unlink()
    if check and stale:
        print(f"stale: {', '.join(stale)}; run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
