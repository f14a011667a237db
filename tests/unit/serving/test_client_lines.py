"""What clients cause in the log is bounded by the second and in length, and what is left out is told."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from ftpgateway.cli import logs
from ftpgateway.node.config.log import LogSettings
from ftpgateway.serving.logs.clientlines import (
    BURST,
    LONGEST,
    LONGEST_PATH,
    MOST_REPORTED,
    OF_ONE,
    WIDER,
    ClientLines,
    shown,
)

RATE = 20.0


class _Log:
    def __init__(self) -> None:
        self.now = 0.0
        self.lines = ClientLines(RATE, lambda: self.now)

    def say(self, event: str = "client", **fields: Any) -> dict[str, Any] | None:
        try:
            return dict(self.lines(None, "info", {"event": event, **fields}))
        except structlog.DropEvent:
            return None

    def summary(self) -> list[Any]:
        with capture_logs() as reported:
            self.lines.summary()
        return reported


def test_one_address_gets_its_part_and_what_is_left_out_is_told_in_its_next_line() -> None:
    log = _Log()
    said = sum(log.say(peer="192.0.2.1") is not None for _ in range(10_000))
    assert said == RATE / OF_ONE * BURST
    # Another kind of line, another address, lines of the node and of members: not for that.
    assert log.say("refused", peer="192.0.2.1") and log.say(peer="192.0.2.2")
    assert all(log.say("peer link down", peer="n2") and log.say("node ready") for _ in range(5000))
    log.now += 1
    line = log.say(peer="192.0.2.1")
    assert line is not None and line["left_out"] == 10_000 - said
    assert not log.summary()


@pytest.mark.slow
def test_all_strangers_together_are_bounded() -> None:
    log = _Log()
    said = sum(
        log.say(peer=f"192.0.{number % 100}.{number // 100 % 250}") is not None for number in range(20_000)
    )
    assert said == RATE * BURST
    log.now += 10
    assert sum(log.say(peer=f"198.51.100.{number % 250}") is not None for number in range(5000)) == RATE * 10


@pytest.mark.slow
def test_an_ipv6_network_is_one() -> None:
    log = _Log()
    said = sum(log.say(peer=f"2001:db8::{number:x}") is not None for number in range(5000))
    assert said == RATE / OF_ONE * BURST


def test_work_of_who_has_logged_in_is_bounded_more_widely_and_apart() -> None:
    log = _Log()
    while log.say(peer="192.0.2.1"):
        pass
    said = sum(log.say("transfer", peer="192.0.2.1", user="a", path="/a") is not None for _ in range(20_000))
    assert said == WIDER * RATE / OF_ONE * BURST
    assert log.say("refused", peer="192.0.2.9", user="a")
    # Without a login it is no work.
    assert sum(log.say("session closed", peer="192.0.2.8", user="") is not None for _ in range(1000)) <= 250


def test_a_summary_tells_of_who_said_nothing_more() -> None:
    log = _Log()
    for number in range(40):
        for _ in range(300 + number):
            log.say(peer=f"192.0.2.{number}")
    reported = log.summary()
    assert len(reported) == MOST_REPORTED + 1
    assert (
        reported[0]["event"].endswith("more lines like this were left out")
        and reported[0]["address"] == "192.0.2.39"
    )
    assert reported[-1]["addresses"] == 40 - MOST_REPORTED
    total = sum(int(line["event"].split()[0]) for line in reported)
    assert total == sum(300 + number for number in range(40)) - RATE * BURST
    assert not log.summary()


@pytest.mark.slow
def test_what_is_counted_is_bounded() -> None:
    log = _Log()
    for number in range(20_000):
        log.say(peer=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(log.lines._left_out) <= 1025
    assert sum(log.lines._left_out.values()) == 20_000 - RATE * BURST


def test_values_are_bounded_and_on_one_line() -> None:
    log = _Log()
    line = log.say("login refused", peer="192.0.2.1", user="a\u202eb\n\x85c" + "x" * 10_000, bytes=3)
    assert line is not None and line["bytes"] == 3
    assert line["user"].startswith("a\\u202eb\\n\\x85c") and len(line["user"]) < LONGEST + 40
    assert line["user"].endswith(" more)")
    path = "/" + "y" * 4000
    line = log.say("transfer", peer="192.0.2.1", user="a", path=path)
    assert line is not None and line["path"] == path
    line = log.say("refused", peer="192.0.2.1", user="a", path=path)
    assert line is not None and len(line["path"]) < LONGEST + 20 < LONGEST_PATH


def test_shown_never_grows_beyond_escapes() -> None:
    random.seed(1)
    for _ in range(300):
        text = "".join(
            chr(random.choice([10, 65, 0x85, 0x202E, 0x1F600, 0xDC80])) for _ in range(random.randrange(600))
        )
        line = shown(text, 100)
        assert line.isprintable() and len(line) <= 100 * 10 + 20


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_of_a_node_is_bounded(form: str) -> None:
    before = structlog.get_config()
    stream = io.StringIO()
    try:
        lines = logs.configure(LogSettings(format=form, client_lines=5), stream)
        log = structlog.get_logger().bind(peer="192.0.2.1")
        for _ in range(3000):
            log.info("client", client="\u202e" + "A" * 197)
        lines.summary()
    finally:
        structlog.configure(**before)
    written = stream.getvalue().splitlines()
    most = 5 / OF_ONE * BURST + 1
    assert most - 1 <= len(written) <= most + 3  # some time passes
    assert "\u202e" not in stream.getvalue() and f"{3000 - len(written) + 1} more lines" in written[-1]
    if form == "json":
        assert json.loads(written[-1])["address"] == "192.0.2.1"
