"""Uploads that end together are published together, and nobody waits long or for nobody."""

from __future__ import annotations

import asyncio

from raftstore.store.transfers.publishbatch import PublishBatch


def test_who_is_alone_waits_for_nobody() -> None:
    async def main() -> None:
        publish_batch = PublishBatch(patience=60)
        with publish_batch:
            pass
        await asyncio.wait_for(publish_batch.together(), 10)

    asyncio.run(main())


def test_all_go_when_the_last_has_come() -> None:
    async def main() -> None:
        publish_batch = PublishBatch(patience=60)
        gone: list[int] = []
        gates = [asyncio.Event() for _ in range(3)]

        async def one(number: int) -> None:
            with publish_batch:
                await gates[number].wait()
            await publish_batch.together()
            gone.append(number)

        tasks = [asyncio.create_task(one(number)) for number in range(3)]
        for gate in gates:
            for _ in range(5):
                await asyncio.sleep(0)
            assert not gone
            gate.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)
        assert sorted(gone) == [0, 1, 2]

    asyncio.run(main())


def test_nobody_waits_longer_than_the_patience() -> None:
    async def main() -> None:
        publish_batch = PublishBatch(patience=0.01)
        with publish_batch:  # and never gets there
            for _ in range(3):
                await asyncio.wait_for(publish_batch.together(), 30)

    asyncio.run(main())


def test_who_fails_or_gives_up_holds_nobody() -> None:
    async def main() -> None:
        publish_batch = PublishBatch(patience=60)

        async def failing() -> None:
            with publish_batch:
                await asyncio.sleep(0)
                raise OSError

        task = asyncio.create_task(failing())
        await asyncio.sleep(0)
        given_up = asyncio.create_task(publish_batch.together())
        waiting = asyncio.create_task(publish_batch.together())
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait_for(waiting, 30)
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], OSError)

    asyncio.run(main())
