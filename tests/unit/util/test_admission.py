"""Strangers who hold connections keep nobody out, and nobody pushes out a login that is under way."""

from __future__ import annotations

from raftstore.util.limits.admission import GRACE, PATIENCE, Admission, Decision


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _admission(places: int, share: int = 0) -> tuple[Admission[str], _Clock]:
    clock = _Clock()
    return Admission(places, share, clock=clock), clock


def test_the_oldest_silent_one_gives_way_to_a_newcomer_of_its_network() -> None:
    admission, _ = _admission(3)
    for key in "abc":
        assert admission.admit(key, "x") == Decision(True)
    assert admission.admit("d", "x") == Decision(True, "a")
    assert admission.admit("e", "y") == Decision(True, "b")
    assert len(admission) == 3 and "a" not in admission and "e" in admission


def test_the_network_with_most_silent_ones_gives_way() -> None:
    admission, clock = _admission(4)
    for key, network in (("a", "x"), ("b", "y"), ("c", "y"), ("d", "z")):
        admission.admit(key, network)
    assert admission.admit("e", "w").replaced == "b"
    # As many as the newcomer's would have: none of them, until it has had time enough to say something.
    assert admission.admit("f", "w") == Decision(True, "e")
    assert admission.admit("g", "v").replaced == "a"
    clock.now += GRACE
    assert admission.admit("h", "u").replaced == "d"


def test_a_login_under_way_is_not_pushed_out_by_its_own_network() -> None:
    admission, clock = _admission(2)
    for key in "ab":
        admission.admit(key, "x")
        admission.spoke(key)
    assert admission.admit("c", "x") == Decision(False)
    clock.now += PATIENCE
    assert admission.admit("c", "x") == Decision(True, "a")


def test_a_network_that_holds_more_gives_way_to_another_at_once() -> None:
    admission, _ = _admission(3)
    for key in "abc":
        admission.admit(key, "x")
        admission.spoke(key)
    assert admission.admit("d", "y") == Decision(True, "a")
    admission.spoke("d")
    # Now x has two of three: one more of y would only turn it round.
    assert admission.admit("e", "y") == Decision(False)


def test_many_who_have_spoken_do_not_push_out_one_who_has_not_yet() -> None:
    admission, _ = _admission(6)
    for number in range(6):
        admission.admit(f"x{number}", f"x{number % 2}")
        admission.spoke(f"x{number}")
    assert admission.admit("y", "y").taken
    assert admission.admit("more", "x0") == Decision(False)
    assert "y" in admission
    # One that comes alone takes the place of the many, too, and not of the other who is alone.
    assert admission.admit("z", "z").replaced in {"x0", "x1"}
    assert "y" in admission


def test_a_network_has_its_share_and_no_more() -> None:
    admission, _ = _admission(10, share=2)
    admission.admit("a", "x")
    admission.admit("b", "x")
    admission.spoke("a")
    assert admission.admit("c", "x") == Decision(True, "b")
    admission.spoke("c")
    assert admission.admit("d", "x") == Decision(False)
    assert admission.admit("e", "y") == Decision(True)


def test_who_is_known_is_out_of_it() -> None:
    admission, _ = _admission(1)
    admission.admit("a", "x")
    admission.gone("a")
    admission.gone("a")
    assert admission.admit("b", "x") == Decision(True)
    assert admission.admit("c", "x", places=0) == Decision(False)


def test_a_flood_of_many_networks_stays_within_the_places() -> None:
    admission: Admission[int] = Admission(1000, 10)
    for number in range(20_000):
        admission.admit(number, str(number % 5000))
    assert len(admission) == 1000
