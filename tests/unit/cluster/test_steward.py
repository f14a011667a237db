"""What the steward does next, as a pure decision; what the roster makes of what it hears."""

from __future__ import annotations

import pytest

from raftstore.cluster.membership.roster import Roster, parse_address
from raftstore.cluster.membership.steward import (
    Finish,
    Intent,
    Situation,
    Transfer,
    Wait,
    Write,
    decide,
    leaving,
)
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import Invalid

THREE = Configuration.of(["n1", "n2", "n3"])
OLD, NEW = b"o" * 32, b"n" * 32
JOIN = Intent(kind=Intent.JOIN, node="n4", address="h4:1", certificate=NEW, nonce=b"x")


def situation(
    configuration=THREE, *, alive=("n1", "n2", "n3", "n4"), caught_up=True, drained=True
) -> Situation:
    return Situation("n1", configuration, frozenset(alive), lambda name: caught_up, lambda name: drained)


def after(action, configuration=THREE) -> Configuration:
    assert isinstance(action, Write), action
    return action.step(configuration, 99)


def test_a_node_joins_step_by_step():
    unused = Intent(kind=Intent.JOIN, node="n4", certificate=NEW)
    assert isinstance(decide(situation(), unused), Wait)
    learns = after(decide(situation(), JOIN))
    assert learns.by_name["n4"].address == "h4:1"
    assert learns.voters == THREE.voters
    assert isinstance(decide(situation(learns, caught_up=False), JOIN), Wait)
    assert isinstance(decide(situation(learns, alive=("n1", "n2")), JOIN), Wait)
    votes = after(decide(situation(learns), JOIN), learns)
    assert votes.voters == {"n1", "n2", "n3", "n4"}
    assert isinstance(decide(situation(votes), JOIN), Finish)


def test_a_node_replaces_another_one():
    intent = Intent(kind=Intent.JOIN, node="n4", replaces="n3", certificate=NEW, nonce=b"x")
    votes = THREE.with_learner("n4", "", NEW).with_voter("n4")
    assert leaving(THREE, [intent]) == set()
    assert leaving(votes, [intent]) == {"n3"}
    gone = after(decide(situation(votes), intent), votes)
    assert gone.names == {"n1", "n2", "n4"}
    assert isinstance(decide(situation(gone), intent), Finish)


def test_a_node_replaces_one_of_its_own_name():
    intent = Intent(kind=Intent.JOIN, node="n3", replaces="n3", address="h:1", certificate=NEW, nonce=b"x")
    assert leaving(THREE, [intent]) == {"n3"}
    assert isinstance(decide(situation(drained=False), intent), Wait)
    gone = after(decide(situation(), intent))
    assert gone.names == {"n1", "n2"}
    back = after(decide(situation(gone), intent), gone)
    assert back.by_name["n3"].certificate == NEW
    assert leaving(back, [intent]) == set()
    again = after(decide(situation(back), intent), back)
    assert isinstance(decide(situation(again), intent), Finish)


def test_a_node_is_removed_when_that_is_safe():
    intent = Intent(kind=Intent.REMOVE, node="n3")
    assert leaving(THREE, [intent]) == {"n3"}
    assert isinstance(decide(situation(drained=False), intent), Wait)
    forced = Intent(kind=Intent.REMOVE, node="n3", force=True)
    assert after(decide(situation(drained=False), forced)).names == {"n1", "n2"}
    needed = decide(situation(alive=("n1", "n3")), forced)
    assert isinstance(needed, Wait), "not even by force"
    assert "n2 cannot be reached" in needed.why
    gone = after(decide(situation(), intent))
    assert gone.removal("n3").index == 99
    assert isinstance(decide(situation(gone), intent), Finish)
    alone = Configuration.of(["n1"])
    assert isinstance(decide(situation(alone), Intent(kind=Intent.REMOVE, node="n1")), Wait)


def test_the_leader_hands_over_before_it_is_removed():
    action = decide(situation(alive=("n1", "n3")), Intent(kind=Intent.REMOVE, node="n1"))
    assert isinstance(action, Wait), "n3 alone is no majority of two"
    action = decide(situation(), Intent(kind=Intent.REMOVE, node="n1"))
    assert action == Transfer(("n2", "n3"))


def test_a_learner_goes_at_once():
    learns = THREE.with_learner("n4", "", NEW)
    gone = after(decide(situation(learns, drained=False), Intent(kind=Intent.REMOVE, node="n4")), learns)
    assert gone.names == THREE.names


def test_a_vote_that_would_cost_the_majority_waits():
    learns = THREE.with_learner("n4", "", NEW)
    waits = decide(situation(learns, alive=("n1", "n4")), JOIN)
    assert isinstance(waits, Wait)
    assert "n2, n3" in waits.why


def test_a_node_moves():
    intent = Intent(kind=Intent.MOVE, node="n2", address="h:9")
    moved = after(decide(situation(), intent))
    assert moved.by_name["n2"].address == "h:9"
    assert isinstance(decide(situation(moved), intent), Finish)
    assert isinstance(decide(situation(), Intent(kind=Intent.MOVE, node="n9", address="h:9")), Finish)


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:x", "host:0", "host:65536", "host:-1"])
def test_what_is_no_address(text):
    with pytest.raises(Invalid):
        parse_address(text)


@pytest.mark.parametrize("text", ["host:1", "[::1]:7420", "10.0.0.1:65535"])
def test_addresses(text):
    assert str(parse_address(text)) == text


def test_the_roster_lets_in_early_and_out_late():
    reported = []
    roster = Roster(
        "n1", {name: (name, 1) for name in ("n1", "n2", "n3")}, lambda: reported.append(roster.addresses)
    )
    learns = THREE.with_learner("n4", "h4:2", NEW)
    roster.follow((5, learns))  # in this node's log, not committed
    assert roster.addresses["n4"] == ("h4", 2)
    assert roster.certificates == {"n4": {NEW}}
    gone = learns.without("n3", 7)
    roster.offer(6, learns)
    roster.follow((7, gone))
    assert "n3" in roster.addresses, "its removal may still be rolled back"
    roster.offer(7, gone)
    assert "n3" not in roster.addresses
    assert roster.removed == {"n3": 7}
    roster.offer(6, learns)
    assert "n3" not in roster.addresses, "what is older says nothing"
    roster.offer(9, gone.with_address("n2", "elsewhere:3"))
    assert roster.addresses["n2"] == ("elsewhere", 3)
    assert roster.addresses["n1"] == ("n1", 1), "where the cluster has no address, the file's"
    assert len(reported) == 3
