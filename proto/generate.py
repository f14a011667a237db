"""Generate `raftstore/wire/*_pb2.py(i)` from `proto/*.proto`; `--check` fails when they are stale."""

from __future__ import annotations

import filecmp
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

SOURCE = Path(__file__).resolve().parent
TARGET = SOURCE.parent / "raftstore" / "wire"


def generate(target: Path) -> None:
    """Run protoc over every .proto file, writing modules and stubs into `target`."""
    files = sorted(str(path) for path in SOURCE.glob("*.proto"))
    standard = Path(grpc_tools.__file__).parent / "_proto"
    arguments = [
        "protoc",
        f"-I{SOURCE}",
        f"-I{standard}",
        f"--python_out={target}",
        f"--pyi_out={target}",
        *files,
    ]
    if protoc.main(arguments) != 0:
        sys.exit("protoc failed")


def check() -> int:
    """Compare a fresh generation with what is committed; return the exit code."""
    with tempfile.TemporaryDirectory() as directory:
        generate(Path(directory))
        fresh = {path.name for path in Path(directory).iterdir()}
        committed = {path.name for path in TARGET.glob("*_pb2.py*")}
        stale = sorted(fresh ^ committed)
        stale += sorted(
            name
            for name in fresh & committed
            if not filecmp.cmp(Path(directory) / name, TARGET / name, shallow=False)
        )
    if stale:
        print(f"stale generated code: {', '.join(stale)}; run `make proto`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(check())
    generate(TARGET)
