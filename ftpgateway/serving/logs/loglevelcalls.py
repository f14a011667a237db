"""What operators ask of a node's log level: apart from it, since every command sets up a log."""

from __future__ import annotations

from ftpgateway.serving.logs.loglevel import LEVELS, LogLevel
from raftstore.errors import Invalid
from raftstore.peers.calls import admin_call
from raftstore.wire import admin_pb2 as admin

MAX_SECONDS = 30 * 86_400


def _described(level: LogLevel) -> admin.LogLevel:
    return admin.LogLevel(level=level.current, configured=level.configured, seconds=level.left)


@admin_call("admin.log_level", admin.LogLevelRequest, admin.LogLevel, changes=False)
async def show_log_level(level: LogLevel, _request: admin.LogLevelRequest) -> admin.LogLevel:
    """Tell the level of the asked node's log."""
    return _described(level)


@admin_call("admin.log_level_set", admin.LogLevelSet, admin.LogLevel, changes=True)
async def set_log_level(level: LogLevel, request: admin.LogLevelSet) -> admin.LogLevel:
    """Set it for a while; without a level it is as configured again. Raises Invalid."""
    if not request.level:
        level.reset()
    elif request.level not in LEVELS or not 0 < request.seconds <= MAX_SECONDS:
        raise Invalid(f"a level ({', '.join(LEVELS)}), for at most 30 days")
    else:
        level.set(request.level, request.seconds)
    return _described(level)


LOG_LEVEL_CALLS = (show_log_level, set_log_level)
