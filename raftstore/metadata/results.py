"""Refusals of the state machine, which are values, turned into the errors that front-ends know."""

from __future__ import annotations

from raftstore import errors
from raftstore.wire import commands_pb2 as commands

_ERRORS: dict[int, type[errors.StoreError]] = {
    commands.NOT_FOUND: errors.NotFound,
    commands.EXISTS: errors.AlreadyExists,
    commands.NOT_EMPTY: errors.NotEmpty,
    commands.NOT_A_DIRECTORY: errors.NotADirectory,
    commands.IS_A_DIRECTORY: errors.IsADirectory,
    commands.NO_PARENT: errors.NotFound,
    commands.CYCLE: errors.Cycle,
    commands.QUOTA: errors.QuotaExceeded,
    commands.BAD_NAME: errors.BadName,
    commands.STALE: errors.OutcomeUnknown,
    commands.INVALID: errors.Invalid,
    commands.CHANGED: errors.Changed,
    commands.DENIED: errors.Denied,
    commands.SUPERSEDED: errors.Superseded,
}


def accepted(result: bytes) -> commands.Result:
    """Decode a serialised Result; raise the StoreError that stands for its status unless that is OK.

    Nothing at all stands for a result that is forgotten: it would decode as OK.
    """
    if not result:
        raise errors.OutcomeUnknown("its result is not remembered any more")
    decoded = commands.Result.FromString(result)
    if decoded.status != commands.OK:
        raise _ERRORS.get(decoded.status, errors.StoreError)(decoded.detail)
    return decoded
