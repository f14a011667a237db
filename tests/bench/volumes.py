"""`make bench-volumes`: how long a node with many chunks takes to start, and what each chunk costs besides its bytes.

Volumes with a million small chunks (`--chunks`) are written without the way through the network. Then they are opened,
all from the page cache, in three ways, of which the second is the worst case after a crash: the saved index and behind
it as much as is ever written until it is saved again. The third is what all others are measured by: no saved index.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import structlog
from blake3 import blake3

from raftstore.chunks.volumes.volumeset import VolumeSet

PAYLOAD = 128
PORTION = 500
GOAL = 5.0


async def put(volumes: VolumeSet, numbers: range) -> None:
    """Put small chunks, many at a time."""
    for start in range(numbers.start, numbers.stop, PORTION):
        portion = range(start, min(start + PORTION, numbers.stop))
        chunks = [number.to_bytes(8, "little") * (PAYLOAD // 8) for number in portion]
        await asyncio.gather(*(volumes.put(blake3(chunk).digest(), chunk, verified=True) for chunk in chunks))


async def start(directory: Path, expected: int) -> tuple[float, float]:
    """Open the volumes; return the seconds that took, and how many bytes of memory the index has for a chunk."""
    volumes = VolumeSet(directory, checkpoint_after=sys.maxsize)
    begin = time.monotonic()
    await volumes.open()
    seconds = time.monotonic() - begin
    if volumes.stats().chunks != expected:
        raise AssertionError(f"{volumes.stats().chunks} chunks instead of {expected}")
    buckets = volumes._holdings.index._buckets
    memory = sys.getsizeof(buckets) + sum(sys.getsizeof(bucket) for bucket in buckets)
    await volumes.close()
    return seconds, memory / expected


async def measure(directory: Path, count: int) -> dict[str, float]:
    """Write the volumes and open them in the three ways."""
    tail = count // 16
    volumes = VolumeSet(directory / "v", checkpoint_after=sys.maxsize)
    await volumes.open()
    await put(volumes, range(count - tail))
    await volumes.close()
    shutil.copyfile(directory / "v" / "index", directory / "earlier")
    volumes = VolumeSet(directory / "v", checkpoint_after=sys.maxsize)
    await volumes.open()
    await put(volumes, range(count - tail, count))
    await volumes.close()

    disk = (directory / "v" / "index").stat().st_size / count
    closed, memory = await start(directory / "v", count)
    os.replace(directory / "earlier", directory / "v" / "index")
    crashed, _ = await start(directory / "v", count)
    (directory / "v" / "index").unlink()
    scanned, _ = await start(directory / "v", count)
    return {
        "chunks": count,
        "memory_bytes_a_chunk": memory,
        "disk_bytes_a_chunk": disk,
        "closed_s": closed,
        "crashed_s": crashed,
        "scanned_s": scanned,
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="pixraft-bench-") as name:
        figures = asyncio.run(measure(Path(name), options.chunks))
    if options.json:
        print(json.dumps(figures))
        return 0
    print(f"{options.chunks:,} chunks; index: {figures['memory_bytes_a_chunk']:.1f} bytes a chunk in memory,")
    print(f"{figures['disk_bytes_a_chunk']:.1f} on disk")
    for text, key in (
        ("start after a clean end", "closed_s"),
        ("start after a crash, a sixteenth not in the saved index", "crashed_s"),
        ("start without a saved index", "scanned_s"),
    ):
        print(f"{text:55} {figures[key]:7.2f} s  {figures[key] / figures['scanned_s']:.3f}x")
    return 0 if max(figures["closed_s"], figures["crashed_s"]) < GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
