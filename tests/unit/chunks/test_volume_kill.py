"""A process that is killed while it writes."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from blake3 import blake3

from raftstore.chunks.volumes import VolumeSet

WRITER = """
import asyncio, sys
from pathlib import Path
from blake3 import blake3
from raftstore.chunks.volumes import VolumeSet

async def main():
    volumes = VolumeSet(Path(sys.argv[1]), volume_bytes=300_000)
    await volumes.open()
    numbers = iter(range(10**9))
    async def worker():
        for number in numbers:
            data = number.to_bytes(8, "little") * (number % 700)
            await volumes.put(blake3(data).digest(), data, verified=True)
            sys.stdout.write(f"acknowledged {number}\\n")
            sys.stdout.flush()
    await asyncio.gather(*(worker() for _ in range(8)))

asyncio.run(main())
"""


def test_kill_while_writing(tmp_path):
    root = str(Path(__file__).parents[3])
    acknowledged = set()
    for round_number in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "v")], stdout=subprocess.PIPE, text=True, cwd=root
        ) as process:
            assert process.stdout is not None
            seen = 0
            for line in process.stdout:
                if line.startswith("acknowledged "):
                    if not line.endswith("\n"):
                        break
                    acknowledged.add(int(line.split()[1]))
                    seen += 1
                    if seen == 150 * (round_number + 1):
                        process.send_signal(signal.SIGKILL)
            assert process.wait(30) == -signal.SIGKILL

        async def check():
            volumes = VolumeSet(tmp_path / "v", volume_bytes=300_000)
            await volumes.open()
            for number in acknowledged:
                data = number.to_bytes(8, "little") * (number % 700)
                assert await volumes.get(blake3(data).digest()) == data
            assert volumes.stats().quarantined == 0
            await volumes.close()

        asyncio.run(check())
