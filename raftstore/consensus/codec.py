"""What stands in for `pickle` inside pysyncobj: the two shapes that occur, and nothing else.

So nothing that comes from the log or from the network is ever unpickled.
"""

from __future__ import annotations

from typing import Any, NoReturn

from google.protobuf.message import DecodeError
from pysyncobj.node import Node

from raftstore.errors import Damaged
from raftstore.wire import raft_pb2

CALL = b"C"
MEMBERSHIP = b"M"
METHOD = 0
"""pysyncobj's number of the one replicated method."""


def dumps(value: Any, protocol: int | None = None) -> bytes:
    """Encode a call of the one replicated method with one argument of bytes, or a change of membership.

    TypeError for anything else.
    """
    match value:
        case (int(method), (bytes(argument),)) if method == METHOD:
            return CALL + argument
        case [("add" | "rem") as change, str(name), Node() as node] if node.id == name:
            return MEMBERSHIP + raft_pb2.Membership(add=change == "add", node=name).SerializeToString()
    raise TypeError("pysyncobj asked for something to be pickled")


def loads(data: bytes) -> Any:
    """Decode what `dumps` has made. Damaged for anything else."""
    if data[:1] == CALL:
        return (METHOD, (data[1:],))
    if data[:1] == MEMBERSHIP:
        try:
            change = raft_pb2.Membership.FromString(data[1:])
        except DecodeError:
            raise Damaged("log entry: not a change of membership") from None
        return ["add" if change.add else "rem", change.node, Node(change.node)]
    raise Damaged(f"log entry: neither a call nor a change of membership: {data[:1]!r}")


def refuse(*_arguments: Any, **_options: Any) -> NoReturn:
    """Stand in for the rest of `pickle`."""
    raise TypeError("pysyncobj asked for something to be pickled")


dump = load = to_bytes = refuse
