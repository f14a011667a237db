"""Who the members are and where, as far as this node knows: from its log, from the others, from its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import Invalid
from raftstore.util.addresses import Address

Versioned = tuple[int, Configuration]


def parse_address(text: str) -> Address:
    """Read host:port, an IPv6 host in brackets. Raises Invalid."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise Invalid(f"{text!r} is not an address (host:port)")
    return Address(host, int(port))


class Roster:
    """The newest committed configuration that this node has heard of, and what its own log adds to that.

    For finding the members and for the door, never for a majority: that goes by the log alone. `seeds` are the
    addresses of the configuration file, used where the cluster's own membership has none.
    """

    def __init__(self, node: str, seeds: Mapping[str, Address], changed: Callable[[], None]) -> None:
        self._node = node
        self._seeds = dict(seeds)
        self._changed = changed
        self._committed: Versioned = (0, Configuration.of(seeds))
        self._own: Versioned = self._committed

    @property
    def node(self) -> str:
        """The name of this node."""
        return self._node

    @property
    def committed(self) -> Versioned:
        """The newest committed configuration heard of, with its log index (0: the file's)."""
        return self._committed

    def offer(self, index: int, configuration: Configuration) -> None:
        """Take a committed configuration, if it is newer than what is known."""
        if index > self._committed[0]:
            self._take(committed=(index, configuration))

    def follow(self, own: Versioned) -> None:
        """Take the configuration that is in force in this node's log, committed or not."""
        if own[0] and own != self._own:
            self._take(own=own)

    def _take(self, *, committed: Versioned | None = None, own: Versioned | None = None) -> None:
        before = (self.addresses, self.certificates, self.removed)
        self._committed, self._own = committed or self._committed, own or self._own
        if (self.addresses, self.certificates, self.removed) != before:
            self._changed()

    def _members(self) -> Configuration:
        """Return the members of both: who comes is let in at once, who goes only when that is committed."""
        index, committed = self._committed
        if self._own[0] <= index:
            return committed
        members = {**committed.by_name, **self._own[1].by_name}
        return Configuration(tuple(members.values()), committed.removed)

    @property
    def configuration(self) -> Configuration:
        """All that are members, or will be when what this log has is committed."""
        return self._members()

    @property
    def addresses(self) -> dict[str, Address]:
        """Where to reach each member, this node too; without those of whom nobody has said it."""
        found = {}
        for member in self._members().members:
            address = parse_address(member.address) if member.address else self._seeds.get(member.name)
            if address is not None:
                found[member.name] = address
        return found

    def check_free(self, address: str, *names: str) -> None:
        """Raise Invalid unless `address` is one, and of no other member than `names`."""
        wanted = parse_address(address)
        for name, taken in self.addresses.items():
            if taken == wanted and name not in names:
                raise Invalid(f"{name} is at {address}; two nodes need two addresses")

    @property
    def certificates(self) -> dict[str, frozenset[bytes]]:
        """The hashes of the only certificates that may be shown under a name, where not any may."""
        return {m.name: m.certificates for m in self._members().members if m.certificates}

    @property
    def removed(self) -> dict[str, int]:
        """By which log entry former members were removed."""
        return {former.name: former.index for former in self._committed[1].removed}
