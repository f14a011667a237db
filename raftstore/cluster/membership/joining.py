"""A machine with a token becomes a member: the answering node's side, and the joiner's."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from google.protobuf.message import DecodeError

from raftstore import errors
from raftstore.cluster.membership.roster import Roster, parse_address
from raftstore.cluster.membership.tokens import Token
from raftstore.cluster.proposals import Propose
from raftstore.cluster.settings import StoreSettings
from raftstore.errors import Incompatible, Invalid, Refused, StoreError, Unavailable, error_of
from raftstore.peers.joining import ask_to_join
from raftstore.peers.security.pki import Identity
from raftstore.peers.versions import Versions
from raftstore.wire import commands_pb2 as commands
from raftstore.wire import join_pb2

log = structlog.get_logger()

ASK_TIME = 20.0
"""Seconds that a joiner waits for one node."""

Intent = commands.Intent


class Doorkeeper:
    """Answers join requests, whose MAC was checked already, on any node of the cluster.

    Invariant: the sealed identity leaves only after the token was used up, for this very request, in the log.
    """

    def __init__(
        self,
        settings: StoreSettings,
        roster: Roster,
        intents: Callable[[], Sequence[Intent]],
        propose: Propose,
        fits: Callable[[str, Versions], str | None],
    ) -> None:
        """`fits` says why a node of that name and program cannot work with the cluster, None when it can."""
        self._settings = settings
        self._roster = roster
        self._intents = intents
        self._propose = propose
        self._fits = fits

    def open(self) -> bool:
        """Whether any token is known that has not expired."""
        now = time.time_ns()
        return any(intent.kind == Intent.JOIN and intent.expires_ns > now for intent in self._intents())

    def key(self, token: bytes) -> bytes | None:
        """Return the key of the token with that id, also of one that is used up, to say so."""
        intent = self._find(token)
        return None if intent is None else intent.token_key

    def _find(self, token: bytes) -> Intent | None:
        return next((i for i in self._intents() if i.id == token and i.kind == Intent.JOIN), None)

    async def answer(self, token: bytes, nonce: bytes, body: bytes) -> bytes:
        """Answer an authentic request. Raises nothing."""
        try:
            reply = await self._answer(token, nonce, body)
        except StoreError as error:
            log.warning("join refused", reason=str(error))
            reply = join_pb2.Reply(error=error.code, detail=error.detail)
        return reply.SerializeToString()

    async def _answer(self, token: bytes, nonce: bytes, body: bytes) -> join_pb2.Reply:
        try:
            request = join_pb2.Request.FromString(body)
        except DecodeError:
            raise Invalid("not a join request") from None
        intent = self._find(token)
        if intent is None or request.node != intent.node:
            raise Refused(f"the token is not for a node named {request.node}")
        misfit = self._fits(request.node, Versions(request.program, request.oldest, request.newest))
        if misfit is not None:
            raise Incompatible(misfit)
        self._roster.check_free(request.address, request.node, intent.replaces)
        redeem = commands.RedeemToken(id=token, nonce=nonce, address=request.address)
        await self._propose(commands.Command(redeem_token=redeem))
        log.info("token used", peer=request.node, address=request.address)
        index, _ = self._roster.committed
        settings = self._settings
        return join_pb2.Reply(
            sealed=intent.sealed,
            members=[
                join_pb2.Seed(node=name, address=str(address))
                for name, address in self._roster.addresses.items()
                if name != request.node
            ],
            replicas=settings.replicas,
            encryption=settings.peers.encryption,
            index=index,
        )


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a joiner gets: its identity, where the members are, and what they have in common."""

    identity: Identity
    members: dict[str, str]
    replicas: int
    encryption: str
    index: int


async def join(token: Token, address: str, versions: Versions) -> Welcome:
    """Use a token for a node of this program that the others will reach at `address` (host:port).

    Raises Invalid (expired, used, not a usable address), Incompatible (another version is needed; the token stays
    good), Refused (no member knows the token), Unavailable (no member answers; the token may be used up), NoQuorum.
    """
    token.check_expiry()
    parse_address(address)
    nonce = secrets.token_bytes(16)
    request = join_pb2.Request(
        node=token.node,
        address=address,
        oldest=versions.oldest,
        newest=versions.newest,
        program=versions.program,
    ).SerializeToString()
    failures: list[StoreError] = []
    for place in token.addresses:
        try:
            body = await ask_to_join(
                parse_address(place),
                authority=token.authority,
                token=token.id,
                key=token.key,
                nonce=nonce,
                body=request,
                timeout=ASK_TIME,
            )
            return _welcome(token, body)
        except (Unavailable, errors.NoQuorum, Refused) as error:
            # The same request again, at another member: it is the same use of the token.
            failures.append(error)
    for failure in failures:
        if not isinstance(failure, Unavailable):
            raise failure
    raise Unavailable("; ".join(failure.detail for failure in failures) or "the token names no member")


def _welcome(token: Token, body: bytes) -> Welcome:
    try:
        reply = join_pb2.Reply.FromString(body)
    except DecodeError:
        raise Unavailable("a member answered with something else; another version?") from None
    if reply.error:
        raise error_of(reply.error, reply.detail)
    members = {seed.node: seed.address for seed in reply.members}
    return Welcome(token.open(reply.sealed), members, reply.replicas, reply.encryption, reply.index)
