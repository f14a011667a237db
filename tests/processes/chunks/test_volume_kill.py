"""A process that is killed while it writes."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from blake3 import blake3

from raftstore.chunks.volumes.volumeset import VolumeSet

WRITER = """
import asyncio, sys
from pathlib import Path
from blake3 import blake3
from raftstore.chunks.volumes.volumeset import VolumeSet

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


COMPACTER = """
import asyncio, random, sys
from pathlib import Path
from blake3 import blake3
from raftstore.chunks.volumes.volumeset import VolumeSet

async def main():
    chance = random.Random(int(sys.argv[2]))
    volumes = VolumeSet(Path(sys.argv[1]), volume_bytes=200_000, checkpoint_after=300)
    await volumes.open()
    async def worker(part):
        while True:
            number = chance.randrange(0, 400, 8) + part
            data = number.to_bytes(8, "little") * (number % 700)
            digest = blake3(data).digest()
            putting = chance.random() < 0.4
            sys.stdout.write(f"begin {number}\\n")
            if putting:
                await volumes.put(digest, data, verified=True)
            else:
                await volumes.remove(digest)
            sys.stdout.write(f"{'put' if putting else 'removed'} {number}\\n")
            sys.stdout.flush()
    async def compact():
        while True:
            await volumes.compact()
            await asyncio.sleep(0.001)
    await asyncio.gather(compact(), *(worker(part) for part in range(8)))

asyncio.run(main())
"""


def test_kill_while_compacting(tmp_path):
    root = str(Path(__file__).parents[3])
    state: dict[int, str] = {}
    for round_number in range(4):
        command = [sys.executable, "-c", COMPACTER, str(tmp_path / "v"), str(round_number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
            assert process.stdout is not None
            seen = 0
            for line in process.stdout:
                what, _, number = line.partition(" ")
                if what in ("begin", "put", "removed") and line.endswith("\n"):
                    state[int(number)] = what
                    seen += 1
                    if seen == 4000 + 777 * round_number:
                        process.send_signal(signal.SIGKILL)
            assert process.wait(30) == -signal.SIGKILL

        async def check():
            volumes = VolumeSet(tmp_path / "v", volume_bytes=200_000)
            await volumes.open()
            for number in range(400):
                data = number.to_bytes(8, "little") * (number % 700)
                digest = blake3(data).digest()
                if state.get(number) in ("put", "removed"):
                    assert (digest in volumes) == (state[number] == "put"), number
                if digest in volumes:
                    assert await volumes.get(digest) == data
            await volumes.compact()
            stats = volumes.stats()
            assert stats.quarantined == 0
            used = sum(path.stat().st_size for path in (tmp_path / "v").glob("*.vol"))
            assert used <= 1.5 * stats.bytes + 200_000 // 8
            await volumes.close()

        asyncio.run(check())
