"""How much of the node its clients hold at once: bounded for the node, for an account, for an address. Pure.

One `Ledger` a node is charged by all front-ends. Whoever is about to make something grow that lives in this process (a
buffer, a spool, a listing, a handle) asks for a `Charge` first, of the right size; it holds until it is released.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from raftstore.errors import StoreError
from raftstore.types import CHUNK_SIZE, ClientFigure
from raftstore.util.metrics import counter, gauge

MIB = 1024 * 1024


class Resource(enum.IntEnum):
    """What is counted. A small number, since it is a position in lists on the path of every transfer."""

    MEMORY = 0
    """Bytes of buffers, spools and what waits to be sent."""
    HANDLES = 1
    """Open files and directories."""
    NAMES = 2
    """Entries of listings that are held for a client."""
    CONNECTIONS = 3
    """Connections of clients, logged in or not."""
    PORTS = 4
    """Ports that wait for a passive data connection."""


_KINDS = len(Resource)


class LimitReached(StoreError):
    """A resource of the node is used up to its limit."""

    code = "LimitReached"
    message = "Too much is in use at once"


@dataclass(frozen=True, slots=True)
class Limits:
    """Most that may be held of each resource at once; 0: any amount."""

    memory: int = 0
    handles: int = 0
    names: int = 0
    connections: int = 0
    ports: int = 0

    def each(self) -> tuple[int, ...]:
        """Return the limits by resource; 0: none."""
        return tuple(getattr(self, resource.name.lower()) for resource in Resource)


NODE = Limits(memory=512 * MIB, handles=20_000, names=2_000_000)
ACCOUNT = Limits(memory=128 * MIB, handles=2_000, names=400_000)
NETWORK = Limits(memory=256 * MIB, handles=5_000, names=1_000_000)


@dataclass(frozen=True, slots=True)
class LedgerLimits:
    """The limits of all clients together, of one account, and of one network (`raftstore.util.networks`)."""

    node: Limits = NODE
    account: Limits = ACCOUNT
    network: Limits = NETWORK


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds something: an account ("": nobody has logged in, or everybody shares it) and a network ("": none)."""

    account: str = ""
    network: str = ""


class _Level:
    """What each of one kind of holder has; who has nothing has no entry, nor has who has no name."""

    __slots__ = ("_limits", "ample", "held")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits.each()
        self.ample = tuple(limit or sys.maxsize for limit in self._limits)
        self.held: dict[str, list[int]] = {}

    def has(self, name: str, resource: Resource) -> int:
        row = self.held.get(name)
        return 0 if row is None else row[resource]

    def fits(self, name: str, resource: Resource, more: int) -> bool:
        limit = self._limits[resource]
        if not limit or not name:
            return True
        row = self.held.get(name)
        return (more if row is None else row[resource] + more) <= limit

    def add(self, name: str, resource: Resource, more: int) -> None:
        if not name or not more:
            return
        row = self.held.get(name)
        if row is None:
            row = self.held[name] = [0] * _KINDS
        left = row[resource] = row[resource] + more
        if not left and not any(row):
            del self.held[name]


UPLOAD_BEGINS = 64 * 1024
"""Bytes up to which an upload takes no more memory than it has received (`raftstore.chunks.transfer.upload`)."""

_RESERVE = 4
"""One part in so many of the node is kept for who holds little."""
_LITTLE = 64
"""Little is one part in so many of the node."""


class Charge:
    """Something that is held. Grows and shrinks; released exactly once, further calls do nothing."""

    __slots__ = ("_ledger", "amount", "holder", "resource")

    def __init__(self, ledger: Ledger, holder: Holder, resource: Resource) -> None:
        self._ledger: Ledger | None = ledger
        self.holder = holder
        self.resource = resource
        self.amount = 0
        """How much is held now."""

    @property
    def released(self) -> bool:
        """Whether nothing is held any more, for good."""
        return self._ledger is None

    def resize(self, amount: int) -> None:
        """Hold `amount` from now on. Raises LimitReached, and holds what it held before then.

        Of a charge that was released this is a ValueError, as is a negative amount.
        """
        if self._ledger is None:
            raise ValueError("the charge was released")
        if amount < 0:
            raise ValueError("a charge cannot be negative")
        self._ledger._move(self, amount - self.amount)

    def pass_to(self, account: str) -> None:
        """Count it for `account`, too: its client has logged in. Raises LimitReached, and changes nothing then."""
        if self._ledger is None:
            raise ValueError("the charge was released")
        self._ledger._pass(self, account)

    def release(self) -> None:
        """Hold nothing. Idempotent."""
        if self._ledger is not None:
            self._ledger._move(self, -self.amount)
            self._ledger = None

    def __enter__(self) -> Charge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class UploadMemory:
    """What the chunk takes that an upload fills: its bytes while they are few, a whole chunk from then on."""

    __slots__ = ("_charge", "_whole")

    def __init__(self, charge: Callable[[Resource, int], Charge]) -> None:
        """`charge` is the session's. Raises LimitReached."""
        self._charge = charge(Resource.MEMORY, UPLOAD_BEGINS)
        self._whole = False

    def cover(self, position: int) -> None:
        """The upload is about to have `position` bytes. Raises LimitReached."""
        if not self._whole and position > UPLOAD_BEGINS:
            self._charge.resize(CHUNK_SIZE)
            self._whole = True

    def release(self) -> None:
        """The upload is over. Idempotent."""
        self._charge.release()


_RESOURCES = tuple(resource.name.lower() for resource in Resource)


class Ledger:
    """What all clients of a node hold. Every call takes the same time, however many there are."""

    def __init__(self, limits: LedgerLimits = LedgerLimits()) -> None:
        self.limits = limits
        self._account = _Level(limits.account)
        self._network = _Level(limits.network)
        self._node = limits.node.each()
        self._ample = tuple(limit - limit // _RESERVE or sys.maxsize for limit in self._node)
        self._used, self._peak, self._refused = ([0] * _KINDS for _ in range(3))

    def charge(self, holder: Holder, resource: Resource, amount: int = 0) -> Charge:
        """Return a charge of `amount` for `holder`. Raises LimitReached, whose detail says what to do."""
        if amount < 0:
            raise ValueError("a charge cannot be negative")
        charge = Charge(self, holder, resource)
        if amount:
            self._move(charge, amount)
        return charge

    def _move(self, charge: Charge, more: int) -> None:
        holder, resource = charge.holder, charge.resource
        used = self._used[resource] + more
        account = self._account.held.get(holder.account)
        network = self._network.held.get(holder.network)
        if account is None or network is None:
            if more > 0:
                self._check(holder, resource, more)
            self._account.add(holder.account, resource, more)
            self._network.add(holder.network, resource, more)
        else:
            # As mostly: who transfers holds its connection. The same without a call, unless something gets scarce.
            mine, theirs = account[resource] + more, network[resource] + more
            if more > 0 and (
                mine > self._account.ample[resource]
                or theirs > self._network.ample[resource]
                or used > self._ample[resource]
            ):
                self._check(holder, resource, more)
            account[resource], network[resource] = mine, theirs
            if not mine and not any(account):
                del self._account.held[holder.account]
            if not theirs and not any(network):
                del self._network.held[holder.network]
        if used > self._peak[resource]:
            self._peak[resource] = used
        self._used[resource] = used
        charge.amount += more

    def _pass(self, charge: Charge, account: str) -> None:
        if account and not self._account.fits(account, charge.resource, charge.amount):
            self._refuse(charge.resource, _ACCOUNT_FULL)
        self._account.add(charge.holder.account, charge.resource, -charge.amount)
        self._account.add(account, charge.resource, charge.amount)
        charge.holder = Holder(account, charge.holder.network)

    def _check(self, holder: Holder, resource: Resource, more: int) -> None:
        """Raise LimitReached; the narrowest limit is told, since that is what its holder can do something about."""
        if not self._account.fits(holder.account, resource, more):
            self._refuse(resource, _ACCOUNT_FULL)
        if not self._network.fits(holder.network, resource, more):
            self._refuse(resource, _NETWORK_FULL)
        limit = self._node[resource]
        if not limit:
            return
        after = self._used[resource] + more
        if after > limit or (
            after > limit - limit // _RESERVE and not self._holds_little(holder, resource, more)
        ):
            self._refuse(resource, _NODE_FULL)

    def _holds_little(self, holder: Holder, resource: Resource, more: int) -> bool:
        """Whether the last part of the node is open to `holder`, so that a few large ones do not keep others out."""
        level, name = (self._account, holder.account) if holder.account else (self._network, holder.network)
        return level.has(name, resource) + more <= max(1, self._node[resource] // _LITTLE)

    def _refuse(self, resource: Resource, who: str) -> None:
        self._refused[resource] += 1
        raise LimitReached(who.format(_THINGS[resource]))

    def figures(self) -> dict[str, ClientFigure]:
        """Return what all of them hold, by the resource's name."""
        return {
            resource.name.lower(): ClientFigure(*numbers)
            for resource, *numbers in zip(
                Resource, self._used, self._peak, self._node, self._refused, strict=True
            )
        }

    @gauge(
        "pixraft_clients_held",
        "What the clients of this node hold: bytes of memory, else how many.",
        label="resource",
        values=_RESOURCES,
    )
    def held(self) -> dict[str, int]:
        """By the resource's name."""
        return {name: figure.used for name, figure in self.figures().items()}

    @gauge(
        "pixraft_clients_limit",
        "How much the clients of this node may hold at once; 0: any amount.",
        label="resource",
        values=_RESOURCES,
    )
    def limit(self) -> dict[str, int]:
        """By the resource's name."""
        return {name: figure.limit for name, figure in self.figures().items()}

    @counter(
        "pixraft_clients_refused_total",
        "How often a client wanted to hold more than it may.",
        label="resource",
        values=_RESOURCES,
    )
    def refused(self) -> dict[str, int]:
        """By the resource's name."""
        return {name: figure.refused for name, figure in self.figures().items()}

    def holders(self) -> Iterator[tuple[str, str, Resource, int]]:
        """Yield every entry: "account" or "network", its name, what it holds and how much."""
        for kind, level in (("account", self._account), ("network", self._network)):
            for name, row in level.held.items():
                for resource in Resource:
                    if row[resource]:
                        yield kind, name, resource, row[resource]


_THINGS = {
    Resource.MEMORY: "much memory",
    Resource.HANDLES: "many open files and directories",
    Resource.NAMES: "many names of listings",
    Resource.CONNECTIONS: "many connections",
    Resource.PORTS: "many ports that wait for data connections",
}
_ACCOUNT_FULL = "your account has as {} here as it may; end something of it and try again"
_NETWORK_FULL = "your address has as {} here as it may; end something of it and try again"
_NODE_FULL = "the clients of this node have as {} as they may; try again in a moment or at another node"
