"""`normalise` against the text of the paper (Raft, 5.3), for every small pair of logs."""

from __future__ import annotations

import itertools

import pytest

from raftstore.consensus.replication.normalise import Accept, LogView, Reject, check_append, normalise
from raftstore.errors import Damaged, Invalid

# Terms of the entries 2, 3, ...; entry 1 is common to all, of term 0. Terms never fall.
LOGS = [terms for length in range(5) for terms in itertools.combinations_with_replacement((1, 2, 3), length)]


def entries_of(terms):
    return [(b"0", 1, 0)] + [(b"%d" % term, index, term) for index, term in enumerate(terms, 2)]


def common(a, b):
    """Index of the last entry that two logs have in common (Log Matching: same index and term)."""
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count


def pairs():
    """All pairs of logs that there can be: with the Log Matching property."""
    for mine, leaders in itertools.product(LOGS, LOGS):
        log, leader = entries_of(mine), entries_of(leaders)
        if not set(log[common(log, leader) :]) & set(leader):
            yield log, leader


def view(log, committed, first=1):
    kept = {index: term for _, index, term in log if index >= first}
    return LogView(first=first, last=log[-1][1], committed=committed, term_of=kept.__getitem__)


def by_the_book(log, previous, entries):
    """Steps 2 to 4 of AppendEntries; None for a rejection."""
    position = previous[1]
    if position > len(log) or log[position - 1] != previous:
        return None
    result = list(log)
    for entry in entries:
        if entry[1] <= len(result):
            if result[entry[1] - 1] == entry:
                continue
            del result[entry[1] - 1 :]
        result.append(entry)
    return result


def as_the_library(log, decision):
    """What pysyncobj does with an accepted append."""
    assert log[decision.previous_index - 1][2] == decision.previous_term
    return log[: decision.previous_index] + list(decision.entries)


def situations():
    for log, leader in pairs():
        for previous in range(1, len(leader) + 1):
            for count in range(len(leader) - previous + 1):
                yield log, leader, previous, leader[previous : previous + count]


def test_every_small_case_is_as_in_the_paper():
    cases = 0
    for log, leader, previous, entries in situations():
        before = leader[previous - 1]
        expected = by_the_book(log, before, entries)
        for committed in range(1, common(log, leader) + 1):
            cases += 1
            decision = normalise(view(log, committed), previous, before[2], entries, len(leader))
            end = previous + len(entries)
            if expected is None:
                assert isinstance(decision, Reject)
                assert committed < decision.next_index <= len(log) + 1
                assert decision.next_index <= previous
                continue
            assert isinstance(decision, Accept)
            assert as_the_library(log, decision) == expected
            assert decision.matched == end
            assert decision.commit_index <= end
            # The point of it all: what the library drops was really different.
            dropped = log[decision.previous_index :]
            if dropped:
                assert decision.entries
                assert dropped[0] != decision.entries[0]
                assert dropped[0][1] == decision.entries[0][1]
    assert cases > 10_000


def test_a_leader_always_gets_to_the_end():
    """Following the hints, every follower's log becomes the leader's, in at most a step a term and two more."""
    for log, leader in pairs():
        for floor in {1, common(log, leader)}:
            current, next_index, steps = log, len(leader) + 1, 0
            while True:
                steps += 1
                assert steps <= 6
                before = leader[next_index - 2]
                decision = normalise(
                    view(current, floor), before[1], before[2], leader[next_index - 1 :], len(leader)
                )
                if isinstance(decision, Accept):
                    break
                next_index = decision.next_index
            current = as_the_library(current, decision)
            assert current[: len(leader)] == leader


def test_an_append_that_starts_before_a_compacted_log():
    for mine in LOGS:
        log = entries_of(mine)
        for first in range(1, len(log) + 1):
            for previous in range(1, len(log) + 1):
                for end in range(previous, len(log) + 1):
                    decision = normalise(
                        view(log, first, first), previous, log[previous - 1][2], log[previous:end], 99
                    )
                    assert decision == Accept(len(log), log[-1][2], (), end, end)


def test_new_entries_behind_a_compacted_log():
    log = entries_of((1, 1, 1, 1))
    new = [(b"2", 6, 2), (b"2", 7, 2)]
    decision = normalise(view(log, 4, 4), 2, 1, log[2:] + new, 6)
    assert isinstance(decision, Accept)
    assert (decision.previous_index, decision.previous_term, list(decision.entries)) == (5, 1, new)
    assert (decision.matched, decision.commit_index) == (7, 6)


def test_an_older_append_does_not_take_back_a_newer_one():
    log = entries_of((1, 1, 1, 1))
    decision = normalise(view(log, 1), 1, 0, log[1:3], 5)
    assert decision == Accept(5, 1, (), 3, 3)


@pytest.mark.parametrize(("previous", "term", "entries"), [(3, 2, []), (2, 1, [(b"x", 3, 2)])])
def test_a_leader_that_contradicts_what_is_committed_stops_the_node(previous, term, entries):
    log = entries_of((1, 1, 1, 1))
    with pytest.raises(Damaged):
        normalise(view(log, 3), previous, term, entries, 3)


@pytest.mark.parametrize(
    ("term", "previous", "previous_term", "entries"),
    [
        (2, 0, 0, []),
        (2, 1, 3, []),
        (2, 1, 0, [(b"x", 3, 1)]),
        (2, 1, 0, [(b"x", 2, 3)]),
        (2, 1, 2, [(b"x", 2, 1)]),
        (2, 1, 0, [(b"x", 2, 2), (b"x", 3, 1)]),
        (2, 1, 0, [(b"", 2, 2)]),
    ],
)
def test_what_no_leader_sends_is_refused(term, previous, previous_term, entries):
    with pytest.raises(Invalid):
        check_append(term, previous, previous_term, entries)


def test_what_a_leader_sends_is_not():
    check_append(2, 1, 0, [(b"x", 2, 1), (b"y", 3, 2)])
