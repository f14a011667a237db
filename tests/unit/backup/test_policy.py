"""Which backups a policy keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftpgateway.backup.policy import Policy, kept

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


def at(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def hours(*ago: int) -> list[tuple[str, int]]:
    return [(f"-{hour}", at(NOW - timedelta(hours=hour))) for hour in ago]


def test_the_newest_so_many_are_kept() -> None:
    assert kept(Policy(last=2), hours(5, 1, 3, 9)) == {"-1", "-3"}
    assert kept(Policy(last=9), hours(5, 1)) == {"-5", "-1"}
    assert kept(Policy(last=1), []) == set()


def test_the_newest_of_each_day_week_and_month() -> None:
    """Now is a Tuesday, noon: Monday began 36 hours ago, and the month 12."""
    backups = hours(1, 2, 13, 20, 40, 60, 24 * 9, 24 * 40, 24 * 70)
    assert kept(Policy(daily=1), backups) == {"-1"}
    assert kept(Policy(daily=3), backups) == {"-1", "-13", "-40"}
    assert kept(Policy(weekly=2), backups) == {"-1", "-40"}
    assert kept(Policy(weekly=3), backups) == {"-1", "-40", f"-{24 * 9}"}
    assert kept(Policy(monthly=3), backups) == {"-1", "-13", f"-{24 * 40}"}


def test_a_day_without_a_backup_does_not_count() -> None:
    assert kept(Policy(daily=2), hours(1, 24 * 30)) == {"-1", f"-{24 * 30}"}


def test_weeks_are_those_of_iso_also_at_the_turn_of_a_year() -> None:
    eve, day = datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    assert kept(Policy(weekly=2), [("eve", at(eve)), ("day", at(day))]) == {"day"}
    assert kept(Policy(monthly=2), [("eve", at(eve)), ("day", at(day))]) == {"day", "eve"}


@pytest.mark.parametrize("policy", [Policy(last=1), Policy(daily=1), Policy(weekly=1), Policy(monthly=1)])
def test_whatever_is_asked_the_newest_stays(policy: Policy) -> None:
    assert not policy.keeps_nothing
    assert "-1" in kept(policy, hours(700, 1, 30))
    assert Policy().keeps_nothing


counts = st.integers(0, 5)


@given(
    st.builds(Policy, counts, counts, counts, counts),
    st.lists(st.integers(0, 400 * 24), unique=True, max_size=40),
)
def test_pruning_again_removes_nothing_more(policy: Policy, ago: list[int]) -> None:
    backups = hours(*ago)
    once = kept(policy, backups)
    assert once <= {name for name, _ in backups}
    assert kept(policy, [each for each in backups if each[0] in once]) == once
    assert len(once) <= policy.last + policy.daily + policy.weekly + policy.monthly
