"""Switch known bugs on, one at a time, and see that the simulator notices each within `--within` seeds.

Prints how many seeds each took. Fails when one survives.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if os.environ.get("PYTHONHASHSEED") != "0":
    # See run.py.
    os.environ["PYTHONHASHSEED"] = "0"
    os.execv(sys.executable, [sys.executable, *sys.argv])

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "simulation")]
try:
    import raftstore  # noqa: F401
except ImportError:
    sys.path.insert(0, str(ROOT))

from simgate import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
