"""What a peer can cause at any rate is written now and then, and counted."""

from __future__ import annotations

from structlog.testing import capture_logs

from raftstore.util import seldomlog
from raftstore.util.seldomlog import SeldomLog


def test_one_line_a_while_for_each_peer_tells_how_many_there_were() -> None:
    now = 100.0
    seldom = SeldomLog(lambda: now)
    with capture_logs() as lines:
        for _ in range(1000):
            seldom.warning("message dropped", peer="n2", error="no message")
        seldom.warning("message dropped", peer="n3", error="no message")
        now += seldomlog.PERIOD
        seldom.warning("message dropped", peer="n2", error="another")
        for number in range(3000):
            seldom.warning("message dropped", peer=f"x{number}", error="many")
    assert [(line["peer"], line["error"], line.get("left_out")) for line in lines[:3]] == [
        ("n2", "no message", None),
        ("n3", "no message", None),
        ("n2", "another", 999),
    ]
    assert len(lines) < 1100
