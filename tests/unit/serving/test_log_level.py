"""The level of the log, changed as a node runs: for those who log already, and back by itself."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator

import pytest
import structlog
import virtualtime

from ftpgateway.cli import logs
from ftpgateway.cli.operating import log_level as command
from ftpgateway.node.config.log import LogSettings
from ftpgateway.serving.logs.loglevel import LogLevel
from ftpgateway.serving.logs.loglevelcalls import set_log_level, show_log_level
from raftstore.errors import Invalid
from raftstore.peers import Peer, Role
from raftstore.wire import admin_pb2 as admin

ADMIN = Peer("admin", Role.ADMIN, b"")


@pytest.fixture
def lines() -> Iterator[tuple[LogLevel, io.StringIO]]:
    kept, root = structlog.get_config(), logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    stream, made = io.StringIO(), LogLevel("info")
    logs.configure(LogSettings(level="info"), stream, log_level=made)
    yield made, stream
    structlog.configure(**kept)
    root.setLevel(level)
    root.handlers[:] = handlers


def test_loggers_that_are_there_follow_and_it_returns_by_itself(lines: tuple[LogLevel, io.StringIO]) -> None:
    level, stream = lines
    log = structlog.get_logger()
    bound = log.bind(session=3)

    def heard(word: str) -> bool:
        log.debug(f"a {word}")
        bound.debug(f"b {word}")
        text = stream.getvalue()
        assert (f"a {word}" in text) is (f"b {word}" in text)
        return f"a {word}" in text

    async def main() -> None:
        assert not heard("one")
        level.set("debug", 60.0)
        assert heard("two") and logging.getLogger().level == logging.WARNING
        await asyncio.sleep(30)
        assert heard("three") and 29 < level.left < 31
        level.set("error", 60.0)  # in place of it
        log.warning("not heard")
        assert "not heard" not in stream.getvalue() and logging.getLogger().level == logging.ERROR
        await asyncio.sleep(40)
        assert level.current == "error"
        await asyncio.sleep(30)
        assert (level.current, level.left) == ("info", 0.0)
        log.info("heard again")
        assert "heard again" in stream.getvalue() and not heard("four")
        assert logging.getLogger().level == logging.WARNING

    virtualtime.run(main())


def test_the_calls() -> None:
    async def main() -> None:
        level = LogLevel("warning")
        for wrong in (("loud", 5.0), ("debug", 0.0), ("debug", 31 * 86_400.0)):
            with pytest.raises(Invalid):
                await set_log_level.answer(level, admin.LogLevelSet(level=wrong[0], seconds=wrong[1]), ADMIN)
        done = await set_log_level.answer(level, admin.LogLevelSet(level="debug", seconds=60), ADMIN)
        assert (done.level, done.configured) == ("debug", "warning") and 59 < done.seconds <= 60
        assert (await show_log_level.answer(level, admin.LogLevelRequest(), ADMIN)).level == "debug"
        back = await set_log_level.answer(level, admin.LogLevelSet(), ADMIN)
        assert (back.level, back.seconds) == ("warning", 0.0)

    asyncio.run(main())


def test_arguments_and_sentences() -> None:
    assert command.parsed(()) == (None, None)
    assert command.parsed(("debug",)) == (None, "debug")
    assert command.parsed(("n2",)) == ("n2", None)
    assert command.parsed(("n2", "configured")) == ("n2", "configured")
    for wrong in (("n2", "loud"), ("n2", "debug", "x"), ("debug", "n2")):
        with pytest.raises(command.click.UsageError):
            command.parsed(wrong)
    shown = admin.LogLevel(level="debug", configured="info", seconds=130)
    assert command.said("n1", shown) == "n1 logs at level debug; in 2m 10s at info again."
    shown = admin.LogLevel(level="info", configured="info")
    assert command.said("n1", shown) == "n1 logs at level info, as configured."
