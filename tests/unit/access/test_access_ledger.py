"""What clients hold is counted for the node, the account and the network, and refused at each limit."""

from __future__ import annotations

import pytest

from ftpgateway.access.ledger import Holder, Ledger, LedgerLimits, LimitReached, Limits, Resource
from ftpgateway.ftp.replies import refusal
from ftpgateway.serving.refusals import Doing
from ftpgateway.sftp import packets, refusals

MEMORY = Resource.MEMORY
ALICE = Holder("alice", "192.0.2.1")


def _ledger(node: int = 0, account: int = 0, network: int = 0) -> Ledger:
    return Ledger(LedgerLimits(Limits(memory=node), Limits(memory=account), Limits(memory=network)))


def test_a_charge_counts_at_every_level_until_it_is_released() -> None:
    ledger = _ledger()
    charge = ledger.charge(ALICE, MEMORY, 10)
    charge.grow(5)
    charge.shrink(3)
    assert charge.amount == 12
    assert (
        ledger.used(MEMORY)
        == ledger.of_account("alice", MEMORY)
        == ledger.of_network("192.0.2.1", MEMORY)
        == 12
    )
    assert ledger.used(Resource.HANDLES) == 0
    charge.release()
    charge.release()
    assert charge.released
    assert ledger.used(MEMORY) == 0
    assert not list(ledger.holders())
    with pytest.raises(ValueError, match="released"):
        charge.grow(1)


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
        charge.grow(4)
    assert ledger.figures()[MEMORY].refused == 1
    assert charge.amount == ledger.used(MEMORY) == (7 if "node" in limits else 10)
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
        large.grow(1)
    little = ledger.charge(Holder("bob", "192.0.2.2"), MEMORY, 100)
    with pytest.raises(LimitReached, match="node"):
        little.grow(1)
    ledger.charge(Holder("", "192.0.2.3"), MEMORY, 100)
    large.release()
    little.grow(1000)


def test_what_was_held_before_the_login_passes_to_the_account() -> None:
    ledger = _ledger(account=10)
    charge = ledger.charge(Holder("", "192.0.2.1"), MEMORY, 8)
    ledger.charge(ALICE, MEMORY, 3)
    with pytest.raises(LimitReached, match="account"):
        charge.pass_to("alice")
    assert ledger.of_account("alice", MEMORY) == 3 and charge.holder.account == ""
    charge.pass_to("bob")
    assert ledger.of_account("bob", MEMORY) == 8 and ledger.used(MEMORY) == 11
    charge.release()
    assert ledger.of_account("bob", MEMORY) == 0 and ledger.of_network("192.0.2.1", MEMORY) == 3


def test_the_figures_remember_the_peak() -> None:
    ledger = _ledger(node=100)
    ledger.charge(ALICE, MEMORY, 70).release()
    figure = ledger.figures()[MEMORY]
    assert (figure.used, figure.peak, figure.limit, figure.refused) == (0, 70, 100, 0)
