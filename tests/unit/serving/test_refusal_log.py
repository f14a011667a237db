"""The bound on what a session's refusals write into the log."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from ftpgateway.serving.logs import refusallog
from ftpgateway.serving.logs.refusallog import RefusalLog


def test_a_flood_is_counted_and_not_written() -> None:
    now = 0.0
    with capture_logs() as lines:
        log = RefusalLog(lambda: structlog.get_logger().bind(session=7), lambda: now)
        for _ in range(refusallog.BURST + 500):
            log.refused(command="MKD", path="a", reason="no")
            log.refused(command="SIZE", path="a", reason="not there", probe=True)
        now += refusallog.PERIOD
        for _ in range(3):
            log.refused(command="RMD", path="b", reason="no")
    written = [line for line in lines if line["log_level"] == "info"]
    assert len(written) == refusallog.BURST + 1
    assert not any("left_out" in line for line in written[:-1])
    assert written[-1] == {
        **{"event": "refused", "log_level": "info", "session": 7},
        **{"command": "RMD", "path": "b", "reason": "no", "left_out": 500},
    }
    assert len(lines) - len(written) == refusallog.BURST, "probes have a bound of their own"
    assert log.total == refusallog.BURST + 503
