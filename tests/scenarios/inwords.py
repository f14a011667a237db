"""Messages, log entries and errors in words. An entry is INDEX/TERM, with its commands behind a `=`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from raftstore.consensus.membership.configuration import Configuration
from raftstore.consensus.membership.watchedlog import PREFIX
from raftstore.consensus.pysyncobj.raft import CALL_PREFIX
from raftstore.consensus.snapshots import exchange
from raftstore.wire import commands_pb2, raft_pb2

CALLS = {
    exchange.OPEN.method: ("which snapshot is there?", "this snapshot"),
    exchange.READ.method: ("the next piece of the snapshot?", "the next piece"),
}
"""Question and answer of the calls between nodes."""
OUTCOMES = {
    raft_pb2.AppendReply.ALIVE: "I follow",
    raft_pb2.AppendReply.MATCHED: "I have all up to",
    raft_pb2.AppendReply.REJECTED: "does not fit, try from",
}
PADDING = "."
"""What makes a command long, and is not shown."""


def message_in_words(envelope: raft_pb2.Envelope) -> str:
    """Return what a message says, with its sender's term."""
    kind = envelope.WhichOneof("kind") or "nothing"
    return f"[{envelope.term}] {_WORDS[kind](getattr(envelope, kind))}"


def _append(append: raft_pb2.Append) -> str:
    after = f"after {append.previous_index}/{append.previous_term}"
    entries = [
        entry_in_words(entry.command, index, entry.term)
        for index, entry in enumerate(append.entries, append.previous_index + 1)
    ]
    oldest = ", my oldest" if append.oldest else ""
    what = f"append {' '.join(entries)} {after}" if entries else f"heartbeat {after}"
    return f"{what}{oldest}, committed {append.commit_index}"


def _append_reply(reply: raft_pb2.AppendReply) -> str:
    words = OUTCOMES[reply.outcome]
    if reply.outcome == raft_pb2.AppendReply.MATCHED:
        return f"{words} {reply.next_index - 1}"
    return f"{words} {reply.next_index}" if reply.next_index else words


def _proposed(reply: raft_pb2.Proposed) -> str:
    return "proposal refused" if reply.error else f"proposal is entry {reply.index}/{reply.entry_term}"


_WORDS: dict[str, Callable[[Any], str]] = {
    "append": _append,
    "append_reply": _append_reply,
    "vote_request": lambda m: (
        f"vote for me{', the leader wants it' if m.transfer else ''}; my log ends at {m.last_index}/{m.last_term}"
    ),
    "vote": lambda m: "my vote",
    "poll_request": lambda m: f"would you vote for me? my log ends at {m.last_index}/{m.last_term}",
    "poll_reply": lambda m: "yes, I would" if m.granted else "no, I would not",
    "propose": lambda m: f"proposal {command_in_words(m.command)}",
    "proposed": _proposed,
    "timeout_now": lambda m: "take over",
    "stale_term": lambda m: "your term is over",
    "read_request": lambda m: "up to where must I read?",
    "read_reply": lambda m: "I do not lead" if m.refused else f"read up to {m.index}",
    "probe": lambda m: f"do I still lead? (probe {m.sequence})",
    "probe_ack": lambda m: f"as far as I know (probe {m.sequence})",
}


def command_in_words(command: bytes) -> str:
    """Return what a log entry holds."""
    if command.startswith(PREFIX):
        return f"members({members_in_words(Configuration.decode(command[len(PREFIX) :]))})"
    if command.startswith(CALL_PREFIX):
        operations = commands_pb2.Batch.FromString(command[len(CALL_PREFIX) :]).operations
        return "+".join(text_of(operation.command) for operation in operations)
    return ""


def text_of(command: bytes) -> str:
    """Return a command without what makes it long."""
    return command.decode().rstrip(PADDING)


def entry_in_words(command: bytes, index: int, term: int) -> str:
    """Return an entry; one with no command (a leader's first) is its index and term."""
    words = command_in_words(command)
    return f"{index}/{term}={words}" if words else f"{index}/{term}"


def log_in_words(entries: Iterable[tuple[bytes, int, int]]) -> str:
    return " ".join(entry_in_words(*entry) for entry in entries)


def members_in_words(configuration: Configuration) -> str:
    """Return the voters, then the learners with a `?`."""
    names = sorted(configuration.voters) + [f"{n}?" for n in sorted(configuration.names - configuration.voters)]
    return " ".join(names)


def error_in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
