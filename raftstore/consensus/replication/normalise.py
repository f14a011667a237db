"""Decide what an append means for the log that is there (Raft, 5.3). Pure functions.

pysyncobj drops everything behind an append's previous entry, also what matches. So an append is brought into a
form in which there is something behind the previous entry only where the logs really differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raftstore.consensus.log.records import Entry
from raftstore.errors import Damaged, Invalid


@dataclass(frozen=True, slots=True)
class LogView:
    """A log: entries `first` to `last`, of which those up to `committed` (at least `first`) are committed."""

    first: int
    last: int
    committed: int
    term_of: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Accept:
    """Give the engine `entries` after (previous_index, previous_term): nothing behind that, or a conflict.

    The logs are then equal up to `matched`, and `commit_index` is at most that.
    """

    previous_index: int
    previous_term: int
    entries: Sequence[Entry]
    commit_index: int
    matched: int


@dataclass(frozen=True, slots=True)
class Reject:
    """The previous entry is missing or different; the leader should try from `next_index`."""

    next_index: int


def check_append(term: int, previous_index: int, previous_term: int, entries: Sequence[Entry]) -> None:
    """Raise Invalid for an append that no leader of `term` can have sent."""
    index, highest = previous_index, previous_term
    if previous_index < 1 or highest > term:
        raise Invalid("append: impossible previous entry")
    for command, entry_index, entry_term in entries:
        index += 1
        if entry_index != index or not highest <= entry_term <= term or not command:
            raise Invalid("append: impossible entry")
        highest = entry_term


def normalise(
    log: LogView, previous_index: int, previous_term: int, entries: Sequence[Entry], commit_index: int
) -> Accept | Reject:
    """Return what to do with a (checked) append. Damaged: it contradicts what is committed here."""
    if previous_index > log.last:
        return Reject(log.last + 1)
    end = previous_index + len(entries)
    if previous_index < log.first:
        # Compacted away here, so committed, so equal.
        entries = entries[log.first - previous_index :]
        if end < log.first:
            return nothing_new(log, end, commit_index)
        # `first` itself came as an entry and was just skipped: committed as well.
        previous_index, previous_term = log.first, log.term_of(log.first)
    elif log.term_of(previous_index) != previous_term:
        if previous_index <= log.committed:
            raise Damaged(f"the leader's log differs from this one at entry {previous_index}, committed here")
        return Reject(_start_of_term(log, previous_index))
    for position, (_, index, term) in enumerate(entries):
        if index <= log.last and log.term_of(index) == term:
            previous_index, previous_term = index, term
            continue
        if index <= log.committed:
            raise Damaged(f"the leader's log differs from this one at entry {index}, committed here")
        return Accept(previous_index, previous_term, entries[position:], min(commit_index, end), end)
    return nothing_new(log, end, commit_index)


def nothing_new(log: LogView, matched: int, commit_index: int) -> Accept:
    """All is there already. What follows stays: it may be the leader's too."""
    return Accept(log.last, log.term_of(log.last), (), min(commit_index, matched), matched)


def _start_of_term(log: LogView, index: int) -> int:
    """Return the first entry of `index`'s term above the commit index: at most one round trip a term."""
    term = log.term_of(index)
    while index - 1 > log.committed and log.term_of(index - 1) == term:
        index -= 1
    return index
