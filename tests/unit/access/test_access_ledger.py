"""What clients hold is counted for the node, the account and the network, and refused at each limit."""

from __future__ import annotations

import pytest

from ftpgateway.access.ledger import Holder, Ledger, LedgerLimits, LimitReached, Limits, Resource
from ftpgateway.ftp.replies import Doing, refusal
from ftpgateway.sftp import packets, refusals
from raftstore.types import ClientFigure

MEMORY = Resource.MEMORY
ALICE = Holder("alice", "192.0.2.1")


def _ledger(node: int = 0, account: int = 0, network: int = 0) -> Ledger:
    return Ledger(LedgerLimits(Limits(memory=node), Limits(memory=account), Limits(memory=network)))


def _used(ledger: Ledger) -> int:
    return ledger.figures()["memory"].used


def _held(ledger: Ledger) -> dict[str, int]:
    """Memory by account and network."""
    return {name: amount for _, name, resource, amount in ledger.holders() if resource == MEMORY}


def test_a_charge_counts_at_every_level_until_it_is_released() -> None:
    ledger = _ledger()
    charge = ledger.charge(ALICE, MEMORY, 10)
    charge.resize(15)
    charge.resize(12)
    assert charge.amount == _used(ledger) == 12
    assert _held(ledger) == {"alice": 12, "192.0.2.1": 12}
    assert ledger.figures()["handles"].used == 0
    charge.release()
    charge.release()
    assert charge.released
    assert _used(ledger) == 0
    assert not list(ledger.holders())
    with pytest.raises(ValueError, match="released"):
        charge.resize(1)


def test_a_with_block_releases_also_after_an_error() -> None:
    ledger = _ledger()
    with pytest.raises(KeyError), ledger.charge(ALICE, MEMORY, 10):
        raise KeyError
    assert not list(ledger.holders())


@pytest.mark.parametrize(
    ("limits", "who"),
    [
        ({"account": 10}, "your account"),
        ({"network": 10}, "your address"),
        ({"node": 10}, "the clients of this node"),
    ],
)
def test_each_limit_refuses_and_says_what_to_do(limits: dict[str, int], who: str) -> None:
    ledger = _ledger(**limits)
    charge = ledger.charge(ALICE, MEMORY, 7) if "node" in limits else ledger.charge(ALICE, MEMORY, 10)
    with pytest.raises(LimitReached, match=f"{who}.*memory.*try again") as refused:
        charge.resize(charge.amount + 4)
    assert ledger.figures()["memory"].refused == 1
    assert charge.amount == _used(ledger) == (7 if "node" in limits else 10)
    assert refusal(refused.value).startswith("450 ")
    assert refusal(refused.value, Doing.WRITING).startswith("452 ")
    code, text = refusals.said(refused.value)
    assert code == packets.FAILURE and who in text


def test_an_account_is_one_at_every_address_and_an_address_one_for_every_account() -> None:
    ledger = _ledger(account=10, network=15)
    ledger.charge(ALICE, MEMORY, 6)
    with pytest.raises(LimitReached, match="account"):
        ledger.charge(Holder("alice", "192.0.2.2"), MEMORY, 5)
    ledger.charge(Holder("bob", "192.0.2.1"), MEMORY, 9)
    with pytest.raises(LimitReached, match="address"):
        ledger.charge(Holder("carol", "192.0.2.1"), MEMORY, 1)


def test_the_last_part_of_the_node_is_for_who_holds_little() -> None:
    ledger = _ledger(node=6400)
    large = ledger.charge(ALICE, MEMORY, 4800)
    with pytest.raises(LimitReached, match="node"):
        large.resize(4801)
    little = ledger.charge(Holder("bob", "192.0.2.2"), MEMORY, 100)
    with pytest.raises(LimitReached, match="node"):
        little.resize(101)
    ledger.charge(Holder("", "192.0.2.3"), MEMORY, 100)
    large.release()
    little.resize(1100)


def test_what_was_held_before_the_login_passes_to_the_account() -> None:
    ledger = _ledger(account=10)
    charge = ledger.charge(Holder("", "192.0.2.1"), MEMORY, 8)
    ledger.charge(ALICE, MEMORY, 3)
    with pytest.raises(LimitReached, match="account"):
        charge.pass_to("alice")
    assert _held(ledger) == {"alice": 3, "192.0.2.1": 11} and charge.holder.account == ""
    charge.pass_to("bob")
    assert _held(ledger) == {"alice": 3, "bob": 8, "192.0.2.1": 11} and _used(ledger) == 11
    charge.release()
    assert _held(ledger) == {"alice": 3, "192.0.2.1": 3}


def test_the_figures_remember_the_peak() -> None:
    ledger = _ledger(node=100)
    ledger.charge(ALICE, MEMORY, 70).release()
    figure = ledger.figures()["memory"]
    assert figure == ClientFigure(used=0, peak=70, limit=100, refused=0)
