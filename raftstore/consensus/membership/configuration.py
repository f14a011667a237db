"""Who belongs to the cluster as of a log entry, and which step may follow. Pure; see MEMBERSHIP.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from raftstore.errors import Damaged, Invalid, TooNew
from raftstore.wire import raft_pb2

MAX_MEMBERS = 63
MAX_REMOVED = 256
"""Removals that are remembered, for telling the removed; the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Member:
    """One node. `address` is host:port ("": as in configuration files), `certificate` a SHA-256 (b"": any).

    `renewed` is that of a certificate which takes the place of the other: it may show either.
    """

    name: str
    voter: bool = True
    address: str = ""
    certificate: bytes = b""
    renewed: bytes = b""

    @property
    def certificates(self) -> frozenset[bytes]:
        """The hashes of those that it may show; none: any."""
        return frozenset(filter(None, (self.certificate, self.renewed)))


@dataclass(frozen=True, slots=True)
class Former:
    """A node that log entry `index` has removed."""

    name: str
    index: int
    certificate: bytes = b""


@dataclass(frozen=True)
class Configuration:
    """The members, by name. Changes make a new one."""

    members: tuple[Member, ...]
    removed: tuple[Former, ...] = ()

    @staticmethod
    def of(names: Iterable[str]) -> Configuration:
        """Make the configuration in which all of `names` vote."""
        return Configuration(tuple(Member(name) for name in sorted(set(names))))

    @cached_property
    def by_name(self) -> dict[str, Member]:
        """The members by name."""
        return {member.name: member for member in self.members}

    @cached_property
    def names(self) -> frozenset[str]:
        """All members."""
        return frozenset(self.by_name)

    @cached_property
    def voters(self) -> frozenset[str]:
        """Those who count for majorities."""
        return frozenset(member.name for member in self.members if member.voter)

    @property
    def majority(self) -> int:
        """How many voters decide."""
        return len(self.voters) // 2 + 1

    def removal(self, name: str) -> Former | None:
        """Return the latest removal of `name`, unless it is a member (again)."""
        if name in self.by_name:
            return None
        return next((former for former in reversed(self.removed) if former.name == name), None)

    # Steps.

    def with_learner(self, name: str, address: str, certificate: bytes) -> Configuration:
        """Return this with a new learner. Raises Invalid when it is a member."""
        if name in self.by_name:
            raise Invalid(f"{name} is a member already")
        return self._with(Member(name, False, address, certificate))

    def with_voter(self, name: str) -> Configuration:
        """Return this with a learner made a voter. Raises Invalid when there is no such learner."""
        member = self.by_name.get(name)
        if member is None or member.voter:
            raise Invalid(f"there is no learner {name}")
        return self._with(replace(member, voter=True))

    def with_address(self, name: str, address: str) -> Configuration:
        """Return this with a member at another address. Raises Invalid for an unknown one."""
        if name not in self.by_name:
            raise Invalid(f"{name} is not a member")
        return self._with(replace(self.by_name[name], address=address))

    def with_certificate(self, name: str, certificate: bytes) -> Configuration:
        """Return this with a member that may also show another certificate, which takes the place of its newest one.

        The one before that is let in no more. Raises Invalid for an unknown member, or one that may show any.
        """
        member = self.by_name.get(name)
        if member is None or not member.certificate:
            raise Invalid(f"{name} is no member of which the certificate is known")
        newest = member.renewed or member.certificate
        return self._with(replace(member, certificate=newest, renewed=certificate))

    def without(self, name: str, index: int) -> Configuration:
        """Return this without a member; `index` is the entry that this will be. Raises Invalid."""
        member = self.by_name.get(name)
        if member is None:
            raise Invalid(f"{name} is not a member")
        kept = tuple(former for former in self.removed if former.name != name)
        removed = (*kept, Former(name, index, member.certificate))[-MAX_REMOVED:]
        return Configuration(tuple(other for other in self.members if other is not member), removed)

    def _with(self, member: Member) -> Configuration:
        members = {**self.by_name, member.name: member}
        return Configuration(tuple(members[name] for name in sorted(members)), self.removed)

    # Bytes.

    def encode(self) -> bytes:
        """Return the log's form."""
        return raft_pb2.Configuration(
            members=[
                raft_pb2.Member(
                    name=m.name,
                    voter=m.voter,
                    address=m.address,
                    certificate=m.certificate,
                    renewed=m.renewed,
                )
                for m in self.members
            ],
            removed=[
                raft_pb2.Former(name=f.name, index=f.index, certificate=f.certificate) for f in self.removed
            ],
        ).SerializeToString(deterministic=True)

    @staticmethod
    def decode(data: bytes) -> Configuration:
        """Read what `encode` has made.

        Raises Damaged for what is no configuration with a voter, TooNew for one that says more than this version
        understands: it is in force as it stands, and nobody may take a part of it for the whole.
        """
        try:
            message = raft_pb2.Configuration.FromString(data)
        except DecodeError:
            raise Damaged("log entry: not a configuration") from None
        if any(len(UnknownFieldSet(part)) for part in (message, *message.members, *message.removed)):
            raise TooNew(f"log entry: members with what this version does not know. {TooNew.way_out}")
        members = tuple(Member(m.name, m.voter, m.address, m.certificate, m.renewed) for m in message.members)
        names = [member.name for member in members]
        if names != sorted(set(names)) or "" in names or not any(member.voter for member in members):
            raise Damaged(f"log entry: not a usable configuration: {names}")
        return Configuration(members, tuple(Former(f.name, f.index, f.certificate) for f in message.removed))


def check_step(old: Configuration, new: Configuration, leader: str) -> None:
    """Raise Invalid unless `leader` may let `new` follow on `old`: one voter more or less at most, itself kept.

    A new voter was a learner before: nobody is counted who has not caught up.
    """
    gone, come = old.voters - new.voters, new.voters - old.voters
    if len(gone) + len(come) > 1:
        raise Invalid("only one voter at a time can come or go")
    if leader not in new.voters:
        raise Invalid("a leader does not remove itself; transfer leadership first")
    if come - old.names:
        raise Invalid("a new node is a learner first")
    if gone & new.names:
        raise Invalid("a voter cannot become a learner; remove it and add it again")
    if len(new.members) > MAX_MEMBERS:
        raise Invalid(f"a cluster has at most {MAX_MEMBERS} members")
