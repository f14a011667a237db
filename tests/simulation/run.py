"""Run seeds of the simulator. `--seed N` runs one, and says what happened; `--seeds N` runs many on all cores."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if os.environ.get("PYTHONHASHSEED") != "0":
    # The order of sets of names must be the same in every run.
    os.environ["PYTHONHASHSEED"] = "0"
    os.execv(sys.executable, [sys.executable, *sys.argv])

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "simulation")]
try:
    import raftstore  # noqa: F401
except ImportError:
    sys.path.insert(0, str(ROOT))

from simrunner import main  # noqa: E402

sys.exit(main())
