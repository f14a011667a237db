from __future__ import annotations

import pytest

from raftstore.cluster.membership.superseded import SupersededCheck
from raftstore.errors import Superseded


def test_a_node_alone_is_certain() -> None:
    assert SupersededCheck("n1").certain({"n1"})


def test_a_majority_of_voters_must_have_answered() -> None:
    voters = {"n1", "n2", "n3", "n4", "n5"}
    check = SupersededCheck("n1")
    assert not check.certain(voters)
    check.hear("n2", superseded=False, outdated=False, caught_up=True)
    check.hear("n2", superseded=False, outdated=False, caught_up=True)
    check.hear("learner", superseded=False, outdated=False, caught_up=True)
    assert not check.certain(voters)
    check.hear("n5", superseded=False, outdated=False, caught_up=True)
    assert check.certain(voters)


def test_who_has_no_vote_does_not_count_itself() -> None:
    """An old disk of a node that was a learner then, put back, would be certain before anybody has answered."""
    check = SupersededCheck("n2")
    assert not check.certain({"n1"})
    assert not check.certain({"n1", "n3", "n4"})
    check.hear("n1", superseded=False, outdated=False, caught_up=True)
    assert check.certain({"n1"})
    assert not check.certain({"n1", "n3", "n4"})


def test_who_has_just_started_may_not_have_applied_yet_that_the_disk_was_replaced() -> None:
    check = SupersededCheck("n1")
    check.hear("n2", superseded=False, outdated=False, caught_up=False)
    assert not check.certain({"n1", "n2", "n3"})
    check.hear("n2", superseded=False, outdated=False, caught_up=True)
    assert check.certain({"n1", "n2", "n3"})


def test_one_that_knows_better_is_enough() -> None:
    check = SupersededCheck("n1")
    check.hear("n2", superseded=False, outdated=False, caught_up=True)
    with pytest.raises(Superseded, match="n3 says that n1"):
        check.hear("n3", superseded=True, outdated=False, caught_up=False)


@pytest.mark.parametrize(("superseded", "outdated"), [(True, False), (False, True)])
def test_others_that_do_not_know_it_yet_change_nothing(superseded: bool, outdated: bool) -> None:
    """The node goes on for seconds until it is stopped: it must not vote, or put anything in the log, meanwhile."""
    check = SupersededCheck("n1")
    with pytest.raises(Superseded):
        check.hear("n2", superseded=superseded, outdated=outdated, caught_up=True)
    check.hear("n3", superseded=False, outdated=False, caught_up=True)
    assert not check.certain({"n1", "n2", "n3"})


def test_an_older_copy_is_no_less_old_than_an_old_disk() -> None:
    with pytest.raises(Superseded, match="n3 knows that n1 had newer data"):
        SupersededCheck("n1").hear("n3", superseded=False, outdated=True, caught_up=False)
