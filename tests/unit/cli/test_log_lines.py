"""What a node logs as text: one line an event, whatever is in it."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from ftpgateway.cli.logs import Clock, configure, text_line
from ftpgateway.node.config.log import LogSettings


def render(**event: object) -> str:
    return text_line(None, "info", {"timestamp": "T", "level": "info", **event})


def test_a_line_has_time_level_phrase_and_details_by_name():
    line = render(event="transfer", result="226", bytes=3, path="/a.jpg", seconds=0.25, tls=True, leader=None)
    assert line.split(None, 4)[:4] == ["T", "[info", "]", "transfer"]
    assert line.endswith(" bytes=3 leader=None path=/a.jpg result=226 seconds=0.25 tls=True")


def test_what_could_be_misread_is_quoted():
    for value in ("a b", "", "a=b", "it's", 'say "x"', "back\\slash", "line\nfeed", "\x1b[31m", "\u202etxt"):
        assert render(event="e", key=value).endswith(f" key={value!r}"), value
    assert render(event="e", key="/Bilder/Fähre.jpg").endswith(" key=/Bilder/Fähre.jpg")


def test_a_traceback_follows_its_line():
    assert render(event="failed", a=1, exception="Traceback\n  boom").splitlines()[1:] == [
        "Traceback",
        "  boom",
    ]


def test_the_clock_tells_utc_with_microseconds():
    before = datetime.now(UTC)
    stamp = Clock()(None, "info", {})["timestamp"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stamp)
    reported = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    assert before.replace(microsecond=0) <= reported <= datetime.now(UTC)


@pytest.fixture
def _logging() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("_logging")
def test_lines_of_json_name_the_node_that_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    configure(LogSettings(format="json"), lines, node="n1")
    structlog.get_logger().warning("peer cannot be reached", peer="n2")
    reported = json.loads(lines.getvalue())
    assert (reported["node"], reported["peer"], reported["event"]) == ("n1", "n2", "peer cannot be reached")
