"""Write the pages of docs/ that come from the program; `--check` fails when they are stale."""

from __future__ import annotations

import sys
from pathlib import Path

from ftpgateway.cli.reference import pages

DOCS = Path(__file__).resolve().parent


def main() -> int:
    """Write or check; return the exit code."""
    check = sys.argv[1:] == ["--check"]
    stale = []
    for name, text in pages().items():
        file = DOCS / name
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            file.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"stale: {', '.join(stale)}; run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
