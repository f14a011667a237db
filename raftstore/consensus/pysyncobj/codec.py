"""What stands in for `pickle` inside pysyncobj: the two shapes that occur, and nothing else.

So nothing that comes from the log or from the network is ever unpickled.
"""

from __future__ import annotations

from typing import Any, NoReturn

from raftstore.errors import TooNew

CALL = b"C"
CONFIGURATION = b"M"
METHOD = 0
"""pysyncobj's number of the replicated method that takes a batch."""
CONFIGURE = 1
"""... and of the one that takes a configuration, which only `Raft.append_configuration` puts into the log."""


def dumps(value: Any, protocol: int | None = None) -> bytes:
    """Encode a call of the replicated method `batch` with one argument of bytes. TypeError for anything else."""
    match value:
        case (int(method), (bytes(argument),)) if method == METHOD:
            return CALL + argument
    raise TypeError("pysyncobj asked for something to be pickled")


def loads(data: bytes) -> Any:
    """Decode what `dumps` has made, or a configuration. TooNew for anything else: the journal vouches for its bytes."""
    if data[:1] == CALL:
        return (METHOD, (data[1:],))
    if data[:1] == CONFIGURATION:
        return (CONFIGURE, (data[1:],))
    raise TooNew(f"log entry of a kind that this version does not know: {data[:1]!r}. {TooNew.way_out}")


def refuse(*_arguments: Any, **_options: Any) -> NoReturn:
    """Stand in for the rest of `pickle`."""
    raise TypeError("pysyncobj asked for something to be pickled")


dump = load = to_bytes = refuse
