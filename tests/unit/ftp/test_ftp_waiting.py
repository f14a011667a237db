"""Synchronous commands that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ftpgateway.ftp.waiting import Runner, SessionEnded
from raftstore.errors import NoQuorum, NotFound


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    problems: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        async with asyncio.timeout(30):
            await test()

    asyncio.run(main())
    assert not problems


async def answer(value: object) -> object:
    await asyncio.sleep(0)
    if isinstance(value, Exception):
        raise value
    return value


def test_results_and_errors_come_back() -> None:
    async def test() -> None:
        done = asyncio.Event()
        runner = Runner(asyncio.get_running_loop(), 30, done.set)
        seen: list[object] = []

        def command() -> None:
            seen.append(runner.wait(answer(1)))
            try:
                runner.wait(answer(NotFound("x")))
            except NotFound as error:
                seen.append(error.detail)
            seen.append(runner.wait(answer(2)))

        runner.run(command)
        assert runner.busy
        await done.wait()
        assert seen == [1, "x", 2]
        assert not runner.busy

    in_loop(test)


def test_a_command_that_does_not_wait_is_over_at_once() -> None:
    async def test() -> None:
        runner = Runner(asyncio.get_running_loop(), 30, lambda: pytest.fail("it did not wait"))
        seen: list[int] = []
        runner.run(lambda: seen.append(1))
        assert seen == [1]
        assert not runner.busy

    in_loop(test)


def test_the_end_of_the_session_cancels_and_unwinds() -> None:
    async def test() -> None:
        done = asyncio.Event()
        runner = Runner(asyncio.get_running_loop(), 30, done.set)
        seen: list[str] = []

        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                seen.append("cancelled")

        def command() -> None:
            try:
                runner.wait(forever())
            except Exception:
                pytest.fail("not an Exception")
            except SessionEnded:
                seen.append("ended")
                with pytest.raises(SessionEnded):
                    runner.wait(answer(1))
                raise
            finally:
                seen.append("unwound")

        runner.run(command)
        await asyncio.sleep(0)
        runner.cancel()
        await done.wait()
        assert seen == ["cancelled", "ended", "unwound"]
        assert not runner.busy

    in_loop(test)


def test_a_result_that_is_there_is_handed_over_all_the_same() -> None:
    """Otherwise an upload that was just opened would be lost and never closed."""

    async def test() -> None:
        done = asyncio.Event()
        runner = Runner(asyncio.get_running_loop(), 30, done.set)
        seen: list[object] = []

        async def open_something() -> str:
            asyncio.get_running_loop().call_soon(runner.cancel)
            return "an upload"

        runner.run(lambda: seen.append(runner.wait(open_something())))
        await done.wait()
        assert seen == ["an upload"]

    in_loop(test)


def test_every_wait_is_bounded() -> None:
    async def test() -> None:
        done = asyncio.Event()
        runner = Runner(asyncio.get_running_loop(), 0.01, done.set)

        def command() -> None:
            with pytest.raises(NoQuorum):
                runner.wait(asyncio.Event().wait())

        runner.run(command)
        await done.wait()

    in_loop(test)


def test_commands_of_several_sessions_interleave() -> None:
    async def test() -> None:
        order: list[str] = []
        done = asyncio.Semaphore(0)

        def command(runner: Runner, name: str) -> None:
            for step in range(3):
                runner.wait(asyncio.sleep(0))
                order.append(f"{name}{step}")

        for name in "ab":
            runner = Runner(asyncio.get_running_loop(), 30, done.release)
            runner.run(lambda runner=runner, name=name: command(runner, name))  # type: ignore[misc]
        await done.acquire()
        await done.acquire()
        assert order == ["a0", "b0", "a1", "b1", "a2", "b2"]

    in_loop(test)


def test_waiting_outside_of_a_command_is_a_bug() -> None:
    async def test() -> None:
        runner = Runner(asyncio.get_running_loop(), 30, lambda: None)
        waited = answer(1)
        with pytest.raises(AssertionError):
            runner.wait(waited)
        waited.close()

    in_loop(test)
