"""Whoever comes, speaks and leaves in whatever order: no bound is passed, and nobody who is known is replaced."""

from __future__ import annotations

from collections import Counter

from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from raftstore.util.limits.admission import GRACE, PATIENCE, Admission

PLACES, SHARE = 8, 4

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "come", "speak", "leave", "login", "wait"]),
        st.integers(0, 60),
        st.sampled_from(["a", "b", "c", "d", "e"]),
        st.integers(0, PLACES),
    ),
    max_size=120,
)


@examples(300)
@given(STEPS)
def test_the_bounds_hold_and_who_is_known_stays(steps: list[tuple[str, int, str, int]]) -> None:
    now = 0.0
    admission: Admission[int] = Admission(PLACES, SHARE, clock=lambda: now)
    strangers: dict[int, tuple[str, bool, float]] = {}
    for number, (step, which, network, places) in enumerate(steps):
        present = list(strangers)
        one = present[which % len(present)] if present else None
        if step == "wait":
            now += PATIENCE / 2 if which % 2 else GRACE / 2
        elif step == "come":
            before = Counter(there for there, _, _ in strangers.values())
            decision = admission.admit(number, network, places=max(places, len(strangers)))
            if decision.replaced is not None:
                assert decision.taken
                theirs, spoke, since = strangers.pop(decision.replaced)
                fair = before[theirs] > before[network] + 1
                assert not spoke or fair or now - since >= PATIENCE
                # Never one of a network that holds fewer, unless that one only holds the place.
                assert before[theirs] >= before[network] or (not spoke and now - since >= GRACE)
                if spoke:
                    assert all(known for there, known, _ in strangers.values() if there == theirs)
                assert before[network] < SHARE or theirs == network
            if decision.taken:
                strangers[number] = network, False, now
            else:
                assert strangers or not places
                assert before[network] >= SHARE or len(strangers) >= min(PLACES, max(places, len(strangers)))
        elif one is None:
            continue
        elif step == "speak":
            network, spoke, since = strangers[one]
            admission.spoke(one)
            strangers[one] = network, True, since if spoke else now
        else:
            admission.gone(one)
            del strangers[one]
        assert len(admission) == len(strangers) <= PLACES
        counts = Counter(there for there, _, _ in strangers.values())
        assert all(admission.of(there) == counts[there] <= SHARE for there in "abcde")
    for one in strangers:
        admission.gone(one)
    assert len(admission) == 0
    assert not admission._all.queues and not admission._all.by_count and not admission._all.most
    assert not admission._silent.queues and not admission._silent.by_count and not admission._silent.most
    assert not admission._speaking.queues and not admission._speaking.by_count and not admission._speaking.most
