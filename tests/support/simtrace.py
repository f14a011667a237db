"""What happened, for people; and a sum over it, which is equal when a seed is run again."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from google.protobuf import text_format

from raftstore.wire import raft_pb2

MAX_EVENTS = 200_000


class Trace:
    """A list of events. Messages are in it only with `messages`, but always in the sum."""

    def __init__(self, *, messages: bool = False) -> None:
        self.clock: Callable[[], float] = lambda: 0.0
        self._messages = messages
        self._events: list[tuple[float, str, str, str]] = []
        self._sum = 0

    def event(self, node: str, what: str, detail: str) -> None:
        now = self.clock()
        if len(self._events) < MAX_EVENTS:
            self._events.append((now, node, what, detail))
        # Not the detail of errors: tracebacks and paths differ from place to place.
        self._sum = zlib.crc32(f"{now!r} {node} {what}".encode(), self._sum)

    def message(self, source: str, target: str, body: bytes, envelope: raft_pb2.Envelope) -> None:
        self._sum = zlib.crc32(body, zlib.crc32(f"{self.clock()!r} {source} {target}".encode(), self._sum))
        if self._messages and len(self._events) < MAX_EVENTS:
            kind = envelope.WhichOneof("kind") or "nothing"
            detail = f"from {source}, term {envelope.term}: {_short(kind, envelope)}"
            self._events.append((self.clock(), target, kind, detail))

    def digest(self) -> str:
        return f"{self._sum:08x}"

    def lines(self) -> list[str]:
        return [
            f"{now:10.5f}  {node:4} {what:14} {detail}".rstrip() for now, node, what, detail in self._events
        ]


def _short(kind: str, envelope: raft_pb2.Envelope) -> str:
    if kind == "append":
        append = envelope.append
        return (
            f"seq {append.sequence} after {append.previous_index}/{append.previous_term} "
            f"terms {[entry.term for entry in append.entries]} commit {append.commit_index}"
            f"{' oldest' if append.oldest else ''}"
        )
    if kind == "propose":
        return f"boot {envelope.propose.boot} request {envelope.propose.request}"
    return text_format.MessageToString(getattr(envelope, kind), as_one_line=True)
