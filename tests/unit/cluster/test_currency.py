from __future__ import annotations

import pytest

from raftstore.cluster.currency import Currency
from raftstore.errors import Superseded


def test_a_node_alone_is_certain() -> None:
    assert Currency("n1").certain({"n1"})


def test_a_majority_of_voters_must_have_answered() -> None:
    voters = {"n1", "n2", "n3", "n4", "n5"}
    currency = Currency("n1")
    assert not currency.certain(voters)
    currency.hear("n2", superseded=False)
    currency.hear("n2", superseded=False)
    currency.hear("learner", superseded=False)
    assert not currency.certain(voters)
    currency.hear("n5", superseded=False)
    assert currency.certain(voters)


def test_one_that_knows_better_is_enough() -> None:
    currency = Currency("n1")
    currency.hear("n2", superseded=False)
    with pytest.raises(Superseded, match="n3 says that n1"):
        currency.hear("n3", superseded=True)
