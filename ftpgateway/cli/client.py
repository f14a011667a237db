"""Talk to a cluster as an admin: try its members until one answers, and turn messages into values."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from google.protobuf.message import Message

from ftpgateway.cli import output
from ftpgateway.cli.access import Access
from ftpgateway.cli.errors import NotReachable
from ftpgateway.node.config.errors import ConfigError
from raftstore.cluster.calls import status as status_call
from raftstore.cluster.status.convert import node_from_wire
from raftstore.errors import Damaged, Invalid, NoQuorum, OutcomeUnknown, Refused, StoreError, Unavailable
from raftstore.peers import PeerClient
from raftstore.peers.calls import Answered
from raftstore.peers.security.pki import Identity, exposed
from raftstore.types import ClusterStatus, NodeStatus
from raftstore.util.settings.kinds import Member
from raftstore.wire import admin_pb2

_Request = TypeVar("_Request", bound=Message)
_Reply = TypeVar("_Reply", bound=Message)
_Result = TypeVar("_Result")

COMMAND_TIME = 15.0
"""Seconds that a node may need beyond the timeout to have a command agreed on; its own deadline is shorter."""


def run(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine of this module from a command."""
    return asyncio.run(coroutine)


class ClusterClient:
    """Calls to the members of one cluster. Connections are made for one call: a command makes few."""

    def __init__(self, access: Access) -> None:
        self._access = access
        try:
            self._identity = Identity.load(access.ca, access.certificate, access.key)
        except (Invalid, Damaged) as error:
            raise ConfigError(f"{error.detail}; copy it again from what `pixraft init` made") from None
        if problem := exposed(access.key):
            output.warn(f"{problem}; chmod 600 {access.key}")

    async def ask(
        self, call: Answered[Any, _Request, _Reply], request: _Request, *, repeat: bool = False
    ) -> _Reply:
        """Call the first member that answers; one without quorum is passed over while others are left.

        When what changes something was sent and no answer came, it is not sent to another member, which might do it
        twice: that is OutcomeUnknown. `repeat`: done twice it does no harm. Raises NotReachable when no member
        answers, and what the answering one raised.
        """
        changes = call.changes and not repeat
        failures: dict[str, Exception] = {}
        for member in self._access.asked():
            try:
                return await self.call(member, call, request, changes=changes, patience=COMMAND_TIME)
            except OutcomeUnknown:
                raise
            except (Unavailable, Refused, NoQuorum) as error:
                failures[member.name] = error
        for failure in failures.values():
            if isinstance(failure, NoQuorum):
                raise NoQuorum(f"{failure.detail}; `pixraft status` tells which nodes answer") from None
            if not isinstance(failure, Unavailable):
                raise failure
        raise NotReachable("; ".join(f"{name}: {reason_of(error, name)}" for name, error in failures.items()))

    async def call(
        self,
        member: Member,
        call: Answered[Any, _Request, _Reply],
        request: _Request,
        *,
        changes: bool = False,
        patience: float = 0.0,
    ) -> _Reply:
        """Call one member; Unavailable (OutcomeUnknown with `changes`) when it does not answer in time.

        It has the access's timeout for the connection and, with `patience` seconds more, for the answer.
        """
        timeout = self._access.timeout
        async with PeerClient(self._identity, member.address, timeout=timeout, expected=member.name) as client:
            try:
                answer = await client.call(call.method, request.SerializeToString(), timeout=timeout + patience)
            except Unavailable as error:
                if changes:
                    raise OutcomeUnknown(f"{member.name}: {reason_of(error, member.name)}") from None
                raise
        return call.read(answer.body, member.name)

    def kept(self) -> list[KeptClient]:
        """Return a client for each member, or the one that was named, that keeps its connection."""
        return [KeptClient(self._identity, member, self._access.timeout) for member in self._access.asked()]

    async def ask_each(
        self, call: Answered[Any, _Request, _Reply], request: _Request
    ) -> tuple[dict[str, _Reply], dict[str, StoreError]]:
        """Call all members, or the one that was named, at once; return the answers and the failures by node.

        Who does not answer has NotReachable.
        """
        members = self._access.asked()
        results = await asyncio.gather(
            *(self.call(member, call, request) for member in members), return_exceptions=True
        )
        answers: dict[str, _Reply] = {}
        failures: dict[str, StoreError] = {}
        for member, result in zip(members, results, strict=True):
            if isinstance(result, Unavailable):
                failures[member.name] = NotReachable(reason_of(result, member.name))
            elif isinstance(result, StoreError):
                failures[member.name] = result
            elif isinstance(result, BaseException):
                raise result
            else:
                answers[member.name] = result
        return answers, failures

    async def status(self) -> ClusterStatus:
        """Ask for the cluster's status; a node without quorum is passed over for one that has it.

        When no node answers, every member is listed as not reachable, with the reason.
        """
        lost: ClusterStatus | None = None
        failures: dict[str, str] = {}
        for member in self._access.asked():
            try:
                answer = await self.call(member, status_call.status, admin_pb2.StatusRequest())
            except (Unavailable, Refused, NoQuorum) as error:
                failures[member.name] = reason_of(error, member.name)
                continue
            status = status_from_wire(answer)
            if status.verdict != "no quorum":
                return status
            lost = lost or status
        return lost or self._unreachable(failures)

    def _unreachable(self, failures: dict[str, str]) -> ClusterStatus:
        nodes = [
            NodeStatus(name=name, address=str(address), error=failures.get(name, "was not asked"))
            for name, address in self._access.members
        ]
        return ClusterStatus(verdict="unreachable", asked="", leader=None, term=0, nodes=nodes)


class KeptClient:
    """Asks one member again and again over one connection, which is made anew when it breaks. `close` it."""

    def __init__(self, identity: Identity, member: Member, timeout: float) -> None:
        self._identity = identity
        self._member = member
        self._timeout = timeout
        self._client: PeerClient | None = None

    @property
    def name(self) -> str:
        """The member's."""
        return self._member.name

    async def ask(self, call: Answered[Any, _Request, _Reply], request: _Request) -> _Reply:
        """Ask it. Raises StoreError, Unavailable among them when it does not answer in time."""
        if self._client is None:
            client = PeerClient(
                self._identity, self._member.address, timeout=self._timeout, expected=self._member.name
            )
            self._client = await client.__aenter__()
        try:
            answer = await self._client.call(call.method, request.SerializeToString(), timeout=self._timeout)
        except BaseException:
            await self.close()
            raise
        return call.read(answer.body, self._member.name)

    async def close(self) -> None:
        """End the connection. Idempotent."""
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(None, None, None)


def reason_of(error: Exception, name: str) -> str:
    """Return what a node's failure was, without the node's name and address at the beginning."""
    text = getattr(error, "detail", "") or str(error)
    before, colon, rest = text.partition(": ")
    return rest if colon and before.startswith(f"{name} at ") else text


def status_from_wire(message: admin_pb2.ClusterStatus) -> ClusterStatus:
    """Turn the message into the value."""
    return ClusterStatus(
        verdict=message.verdict,
        asked=message.asked,
        leader=message.leader or None,
        term=message.term,
        nodes=[node_from_wire(node) for node in message.nodes],
        files=message.files,
        bytes=message.bytes,
        short=list(message.short),
        short_count=message.short_count,
        lost_count=message.lost_count,
        partials=message.partials,
        partial_bytes=message.partial_bytes,
        error=message.error,
    )
