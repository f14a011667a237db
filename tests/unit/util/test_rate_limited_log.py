"""What a peer or a stranger can cause at any rate is written now and then, and counted."""

from __future__ import annotations

from structlog.testing import capture_logs

from raftstore.util.limits.ratelimitedlog import RateLimitedLog


def test_one_line_a_while_for_each_peer_tells_how_many_there_were() -> None:
    now = 100.0
    seldom = RateLimitedLog.per_peer(lambda: now)
    with capture_logs() as lines:
        for _ in range(1000):
            seldom.warning("message dropped", peer="n2", error="no message")
        seldom.warning("message dropped", peer="n3", error="no message")
        now += 9.5
        seldom.warning("proposal refused", peer="n2", error="too early, whatever the event")
        now += 0.5
        seldom.warning("message dropped", peer="n2", error="another")
        for number in range(3000):
            seldom.warning("message dropped", peer=f"x{number}", error="many")
    assert [(line["peer"], line["error"], line.get("left_out")) for line in lines[:3]] == [
        ("n2", "no message", None),
        ("n3", "no message", None),
        ("n2", "another", 1000),
    ]
    assert 1000 < len(lines) < 1100


def test_a_few_lines_of_each_event_at_once_and_then_at_a_rate() -> None:
    now = 0.0
    limited = RateLimitedLog(burst=3, rate=0.5, clock=lambda: now)
    with capture_logs() as lines:
        for _ in range(1000):
            limited.warning("knock", peer="whoever")
        limited.warning("another", reason="x")
        now = 2.0
        limited.warning("knock")
        limited.warning("knock")
    assert [line["event"] for line in lines] == ["knock"] * 3 + ["another", "knock"]
    assert lines[-1]["left_out"] == 997
