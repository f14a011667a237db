from __future__ import annotations

from raftstore.chunks.transfer.budget import Budget


def test_first_come_first_served() -> None:
    budget = Budget(10)
    granted: list[str] = []
    assert budget.take(8)
    budget.wait(5, lambda: granted.append("large"))
    budget.wait(1, lambda: granted.append("small"))
    assert not budget.take(1)  # although there is room: others were first
    budget.give(2)
    assert granted == []
    budget.give(1)
    assert granted == ["large"]
    budget.give(5)
    assert granted == ["large", "small"]
    assert budget.held == 6


def test_a_cancelled_ticket_holds_up_nobody() -> None:
    budget = Budget(10)
    granted: list[str] = []
    assert budget.take(10)
    first = budget.wait(10, lambda: granted.append("first"))
    budget.wait(3, lambda: granted.append("second"))
    first.cancel()
    budget.give(10)
    assert granted == ["second"]
    assert budget.held == 3
    assert budget.take(7)


def test_more_than_the_whole_is_granted_alone() -> None:
    budget = Budget(10)
    assert budget.take(1)
    assert not budget.take(11)
    granted: list[str] = []
    budget.wait(11, lambda: granted.append("huge"))
    budget.give(1)
    assert granted == ["huge"]


def test_a_grant_may_give_back_at_once() -> None:
    budget = Budget(4)
    order: list[int] = []

    def use(number: int) -> None:
        order.append(number)
        budget.give(4)

    assert budget.take(4)
    for number in range(500):
        budget.wait(4, lambda number=number: use(number))  # type: ignore[misc]
    budget.give(4)
    assert order == list(range(500))
    assert budget.held == 0
