"""Failures of the command itself, and every exit code there is (docs/exit-codes.md comes from here)."""

from __future__ import annotations

from collections.abc import Iterator

from ftpgateway.node.config.errors import ConfigError
from raftstore import errors
from raftstore.errors import StoreError


class AddressInUse(StoreError):
    """An address to listen on belongs to another process."""

    code = "AddressInUse"
    message = "An address to listen on cannot be had"
    exit_code = 9


class NotReachable(StoreError):
    """No node of the cluster answers."""

    code = "NotReachable"
    message = "No node of the cluster answers"
    exit_code = 5


class DemoFailed(StoreError):
    """A step of the demo failed."""

    code = "DemoFailed"
    message = "A step of the demo failed"
    exit_code = 6


OK = 0
USAGE = 2
NODE_FAILED = 4
NOT_CLEAN = 7
DEGRADED = 8
INTERRUPTED = 130

VERDICTS = {
    "healthy": OK,
    "degraded": DEGRADED,
    "no quorum": errors.NoQuorum.exit_code,
    "unreachable": NotReachable.exit_code,
}
"""Exit code of `pixraft status` by verdict."""


def exit_codes() -> Iterator[tuple[int, str, str]]:
    """Yield (code, name, meaning) of every exit code, in order."""
    table = {
        OK: ("", "Done. `status`: the cluster is healthy"),
        USAGE: ("", "The command line is wrong; the message says how"),
        NODE_FAILED: (
            "",
            "`serve`: the node stopped: it could no longer keep its promises",
        ),
        NOT_CLEAN: (
            "",
            "`fsck`: something is missing, damaged or too much; --apply mends it. `doctor`: there is a problem",
        ),
        DEGRADED: (
            "",
            "`status`: degraded: it works, but a node is down or pictures lack copies. `doctor`: warnings",
        ),
        INTERRUPTED: ("", "Interrupted with Ctrl-C"),
    }
    own: list[type[StoreError]] = [ConfigError, AddressInUse, NotReachable, DemoFailed]
    for error in [*own, *errors.KINDS]:
        table[error.exit_code] = (error.code, error.message)
    for code in sorted(table):
        yield code, *table[code]
