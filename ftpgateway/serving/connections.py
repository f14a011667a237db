"""Which clients a front-end takes: FTP and SFTP alike. Counts them, and finds who gives way to a newcomer.

Invariant: who has logged in is never cut off for somebody else; who has not logged in never keeps others out for long
(`raftstore.util.limits.admission`); no account has all the places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from ftpgateway.access.ledger import Charge, Holder, Ledger, LimitReached, Resource
from ftpgateway.access.refusal import LoginRefused
from ftpgateway.serving.opensessions import OpenSessions
from raftstore.util.limits.admission import Admission
from raftstore.util.metrics import gauge
from raftstore.util.networks import network_of

TOO_MANY = "Too many sessions; try again later or at another node."
TOO_MANY_LOGINS = "Too many logins at once; try again in a moment."
TOO_MANY_OF_ADDRESS = "Too many sessions from your address."
TOO_MANY_OF_ACCOUNT = "Your account has as many sessions at this node as it may; end one, or use another node."

_SHARE = 3, 4
"""Part of the places before login that one network, and of all places that one account, may have."""


class TooMany(Exception):
    """The client is not taken; `str()` is a sentence for it."""


@dataclass(frozen=True, slots=True)
class Places:
    """Connections at once: in all, of one network (0: as many), and of those that have not logged in, in all.

    An account has at most three quarters of all, a network three quarters of those that have not logged in.
    """

    most: int
    most_of_address: int = 0
    logging_in: int = 64


class Slot:
    """One connection's place. `close` ends it, with a sentence for its client; it may be set anew."""

    __slots__ = ("account", "charge", "close", "network")

    def __init__(self, network: str, charge: Charge, close: Callable[[str], None]) -> None:
        self.network = network
        self.charge = charge
        self.close = close
        self.account: str | None = None
        """Who has logged in."""


def share_of(places: int) -> int:
    """Return the part of `places` that one of many may have."""
    return max(1, places * _SHARE[0] // _SHARE[1])


class Connections:
    """The clients of one front-end. On the loop."""

    def __init__(self, ledger: Ledger, places: Places, sessions: OpenSessions | None = None) -> None:
        """`sessions` says whether clients are taken at all."""
        self._ledger = ledger
        self._places = places
        self._sessions = sessions
        self._strangers: Admission[Slot] = Admission(places.logging_in, share_of(places.logging_in))
        self._known = 0
        self._accounts: Counter[str] = Counter()
        self._networks: Counter[str] = Counter()  # of those who have logged in

    def __len__(self) -> int:
        return self._known + len(self._strangers)

    @property
    def logging_in(self) -> int:
        """How many have not logged in."""
        return len(self._strangers)

    @gauge(
        "pixraft_connections",
        "Connections of clients at this node.",
        label="state",
        values=("logged_in", "logging_in"),
        also=("protocol",),
    )
    def by_state(self) -> dict[str, int]:
        """How many have logged in, and how many have not."""
        return {"logged_in": self._known, "logging_in": self.logging_in}

    def enter(self, peer: str, close: Callable[[str], None]) -> Slot:
        """Take a client from address `peer`; another one may be closed for it. Raises TooMany."""
        if self._sessions is not None and (refusal := self._sessions.refusal()):
            raise TooMany(refusal)
        network = network_of(peer)
        try:
            charge = self._ledger.charge(Holder("", network), Resource.CONNECTIONS, 1)
        except LimitReached as error:
            raise TooMany(f"{error.detail[:1].upper()}{error.detail[1:]}.") from None
        slot = Slot(network, charge, close)
        try:
            self._admit(slot)
        except TooMany:
            charge.release()
            raise
        return slot

    def _admit(self, slot: Slot) -> None:
        left = self._places.most - self._known
        if left <= 0:
            raise TooMany(TOO_MANY)
        share, most = self._strangers.share, self._places.most_of_address
        if most:
            share = min(share, most - self._networks[slot.network])
            if share <= 0:
                raise TooMany(TOO_MANY_OF_ADDRESS)
        decision = self._strangers.admit(slot, slot.network, places=left, share=share)
        if not decision.taken:
            raise TooMany(TOO_MANY_LOGINS)
        if decision.replaced is not None:
            decision.replaced.charge.release()
            decision.replaced.close(TOO_MANY_LOGINS)

    def spoke(self, slot: Slot) -> None:
        """The client has sent its first bytes. Harmless when repeated."""
        self._strangers.spoke(slot)

    def logged_in(self, slot: Slot, account: str, *, shared: bool = False) -> None:
        """Count the client for its account, for good. Raises LoginRefused when that has as many as it may.

        `shared`: everybody uses the account (anonymous), so that it is charged to the address alone.
        """
        if self._accounts[account] >= share_of(self._places.most):
            raise LoginRefused(TOO_MANY_OF_ACCOUNT)
        try:
            slot.charge.pass_to("" if shared else account)
        except LimitReached:
            raise LoginRefused(TOO_MANY_OF_ACCOUNT) from None
        self._strangers.gone(slot)
        slot.account = account
        self._known += 1
        self._accounts[account] += 1
        self._networks[slot.network] += 1

    def logged_out(self, slot: Slot) -> None:
        """The client has logged out and stays. Raises TooMany: it cannot."""
        self._unknown(slot)
        slot.charge.pass_to("")
        self._admit(slot)
        self._strangers.spoke(slot)

    def left(self, slot: Slot) -> None:
        """The connection is over. Idempotent."""
        self._unknown(slot)
        self._strangers.gone(slot)
        slot.charge.release()

    def _unknown(self, slot: Slot) -> None:
        if slot.account is None:
            return
        self._known -= 1
        for counter, key in ((self._accounts, slot.account), (self._networks, slot.network)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]
        slot.account = None
