from __future__ import annotations

import pytest

from raftstore.cluster.membership.superseded import Currency
from raftstore.errors import Superseded


def test_a_node_alone_is_certain() -> None:
    assert Currency("n1").certain({"n1"})


def test_a_majority_of_voters_must_have_answered() -> None:
    voters = {"n1", "n2", "n3", "n4", "n5"}
    currency = Currency("n1")
    assert not currency.certain(voters)
    currency.hear("n2", superseded=False, outdated=False, caught_up=True)
    currency.hear("n2", superseded=False, outdated=False, caught_up=True)
    currency.hear("learner", superseded=False, outdated=False, caught_up=True)
    assert not currency.certain(voters)
    currency.hear("n5", superseded=False, outdated=False, caught_up=True)
    assert currency.certain(voters)


def test_who_has_just_started_may_not_have_applied_yet_that_the_disk_was_replaced() -> None:
    currency = Currency("n1")
    currency.hear("n2", superseded=False, outdated=False, caught_up=False)
    assert not currency.certain({"n1", "n2", "n3"})
    currency.hear("n2", superseded=False, outdated=False, caught_up=True)
    assert currency.certain({"n1", "n2", "n3"})


def test_one_that_knows_better_is_enough() -> None:
    currency = Currency("n1")
    currency.hear("n2", superseded=False, outdated=False, caught_up=True)
    with pytest.raises(Superseded, match="n3 says that n1"):
        currency.hear("n3", superseded=True, outdated=False, caught_up=False)


def test_an_older_copy_is_no_less_old_than_an_old_disk() -> None:
    with pytest.raises(Superseded, match="n3 knows that n1 had newer data"):
        Currency("n1").hear("n3", superseded=False, outdated=True, caught_up=False)
