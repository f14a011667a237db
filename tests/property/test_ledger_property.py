"""Whatever is charged, grown, shrunk and released: no sum is negative, all agree, no limit is passed."""

from __future__ import annotations

from collections import Counter

from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from ftpgateway.access.ledger import Charge, Holder, Ledger, LedgerLimits, LimitReached, Limits, Resource

NODE, ACCOUNT, NETWORK = 60, 25, 35

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["charge", "resize", "release", "pass"]),
        st.integers(0, 30),
        st.sampled_from(["", "a", "b", "c"]),
        st.sampled_from(["", "x", "y"]),
        st.sampled_from([Resource.MEMORY, Resource.NAMES]),
    ),
    max_size=60,
)


@examples(200)
@given(STEPS)
def test_the_ledger_is_the_sum_of_its_charges(
    steps: list[tuple[str, int, str, str, Resource]],
) -> None:
    def limits(most: int) -> Limits:
        return Limits(memory=most, names=most)

    ledger = Ledger(LedgerLimits(limits(NODE), limits(ACCOUNT), limits(NETWORK)))
    charges: list[Charge] = []
    for step, number, account, network, resource in steps:
        charge = charges[number % len(charges)] if charges else None
        before = charge.amount if charge is not None else 0
        try:
            if step == "charge":
                charges.append(ledger.charge(Holder(account, network), resource, number))
            elif charge is None:
                continue
            elif step == "release":
                charge.release()
            elif charge.released:
                continue
            elif step == "resize":
                charge.resize(number)
            else:
                charge.pass_to(account)
        except LimitReached:
            assert charge is None or charge.amount == before
        _agree(ledger, charges)
    for charge in charges:
        charge.release()
    assert not list(ledger.holders())
    assert not any(figure.used for figure in ledger.figures().values())


def _agree(ledger: Ledger, charges: list[Charge]) -> None:
    sums: Counter[tuple[str, str, Resource]] = Counter()
    for charge in charges:
        assert charge.amount >= 0
        assert not (charge.released and charge.amount)
        for kind, name in (
            ("account", charge.holder.account),
            ("network", charge.holder.network),
            ("node", "all"),
        ):
            if name:
                sums[kind, name, charge.resource] += charge.amount
    held = {entry[:3]: entry[3] for entry in ledger.holders()}
    assert held == {key: amount for key, amount in sums.items() if amount and key[0] != "node"}
    for resource in (Resource.MEMORY, Resource.NAMES):
        assert ledger.figures()[resource.name.lower()].used == sums["node", "all", resource] <= NODE
    for (kind, _, _), amount in sums.items():
        assert 0 <= amount <= {"account": ACCOUNT, "network": NETWORK, "node": NODE}[kind]
