"""Syncs by the kernel: each is told of once, with its error; where there are none, threads do it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from peer_networks import event_loops, run_on

from raftstore.consensus.log import kernelsync
from raftstore.consensus.log.kernelsync import DEPTH, KernelSync
from raftstore.consensus.runtime import AsyncioRuntime
from raftstore.util.disk import RealDisk

DEADLINE = 60.0


def kernel() -> KernelSync:
    try:
        return KernelSync(asyncio.get_running_loop())
    except OSError as error:
        pytest.skip(f"no syncs by this kernel: {error}")


@pytest.mark.parametrize("loop", event_loops())
def test_each_is_told_of_once(loop: str, tmp_path: Path) -> None:
    async def main() -> None:
        syncs = kernel()
        descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        ended: list[tuple[int, OSError | None]] = []
        last = asyncio.Event()

        def finished(number: int) -> Callable[[OSError | None], None]:
            def done(error: OSError | None) -> None:
                ended.append((number, error))
                if len(ended) == DEPTH:
                    last.set()

            return done

        for number in range(DEPTH):
            os.write(descriptor, b"x" * 500)
            syncs.submit(descriptor, finished(number))
        with pytest.raises(BlockingIOError):  # the kernel has ended some, but nobody was told yet
            syncs.submit(descriptor, finished(DEPTH))
        os.close(descriptor)  # what is under way goes on
        async with asyncio.timeout(DEADLINE):
            await last.wait()
        assert sorted(number for number, _ in ended) == list(range(DEPTH))
        assert {error for _, error in ended} == {None}
        syncs.close()

    run_on(loop, main())


def test_an_error_is_told() -> None:
    async def main() -> None:
        syncs = kernel()
        reported: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
        with pytest.raises(OSError, match="Bad file descriptor"):
            syncs.submit(1 << 20, reported.set_result)
        assert not reported.done()
        ends = os.pipe()  # of which nothing can be synced
        try:
            with pytest.raises(OSError, match="Invalid argument"):
                syncs.submit(ends[0], reported.set_result)
                async with asyncio.timeout(DEADLINE):
                    raise await reported or AssertionError("a pipe was synced")
        finally:
            for end in ends:
                os.close(end)
            syncs.close()

    asyncio.run(main())


@pytest.mark.parametrize("machine", ["pdp11", None])
def test_without_it_a_thread_syncs(
    machine: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if machine is not None:
        monkeypatch.setattr(kernelsync.platform, "machine", lambda: machine)

    async def main() -> None:
        runtime = AsyncioRuntime()
        file = RealDisk().open(tmp_path / "file", create=True)
        file.write_at(0, b"something")
        ends: list[asyncio.Future[BaseException | None]] = []
        for _ in range(3):
            ends.append(asyncio.get_running_loop().create_future())
            runtime.datasync("worker", file, ends[-1].set_result)
        async with asyncio.timeout(DEADLINE):
            assert await asyncio.gather(*ends) == [None] * 3
        file.close()
        await runtime.close()

    asyncio.run(main())
