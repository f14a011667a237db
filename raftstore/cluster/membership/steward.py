"""The steward: while this node leads, it carries out what operators want of the membership, step by step.

Nothing is kept of how far it has come: every look begins from the configuration and the intents, so a new leader
goes on where the last one stopped. `decide` is pure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import StoreError
from raftstore.util.tasks import Periodic
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

PERIOD = 0.25
CHANGE_TIMEOUT = 10.0
Intent = commands.Intent
Step = Callable[[Configuration, int], Configuration]


@dataclass(frozen=True, slots=True)
class Situation:
    """What a decision depends on. `alive` are the members heard lately, the leader among them.

    `caught_up` tells of a learner whether its log is the leader's, `drained` of a member whether everything has its
    copies without it.
    """

    leader: str
    configuration: Configuration
    alive: frozenset[str]
    caught_up: Callable[[str], bool]
    drained: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Write:
    """Put the next configuration into the log."""

    step: Step
    what: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """Hand leadership over to one of `targets`."""

    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """The intent is carried out."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done for it now."""

    why: str


Action = Write | Transfer | Finish | Wait


def decide(situation: Situation, intent: Intent) -> Action:
    """Return the next thing to do for an intent."""
    member = situation.configuration.by_name.get(intent.node)
    if intent.kind == Intent.REMOVE:
        return Finish(intent) if member is None else _remove(situation, intent.node, force=intent.force)
    if intent.kind == Intent.MOVE:
        if member is None or member.address == intent.address:
            return Finish(intent)
        address = intent.address
        return Write(lambda c, _: c.with_address(intent.node, address), f"{intent.node} moves to {address}")
    if intent.kind == Intent.RENEW:
        if member is None or not member.certificates or intent.certificate in member.certificates:
            return Finish(intent)
        fingerprint = intent.certificate
        return Write(
            lambda c, _: c.with_certificate(intent.node, fingerprint), f"{intent.node} has another certificate"
        )
    if not intent.nonce:
        return Wait(f"{intent.node} has not joined yet")
    return _join(situation, intent)


def _join(situation: Situation, intent: Intent) -> Action:
    node, configuration = intent.node, situation.configuration
    member = configuration.by_name.get(node)
    if member is None:
        return Write(lambda c, _: c.with_learner(node, intent.address, intent.certificate), f"{node} learns")
    if member.certificate != intent.certificate:
        # The one that is to be replaced, under the same name.
        return _remove(situation, node, force=intent.force)
    if not member.voter:
        voters = configuration.voters | {node}
        if node not in situation.alive or not situation.caught_up(node):
            return Wait(f"{node} has not caught up yet; is it running?")
        if lacking := _lacking(situation, voters):
            return Wait(f"{node} cannot vote yet: {lacking}")
        return Write(lambda c, _: c.with_voter(node), f"{node} votes")
    if intent.replaces != node and intent.replaces in configuration.names:
        return _remove(situation, intent.replaces, force=intent.force)
    return Finish(intent)


def _remove(situation: Situation, node: str, *, force: bool) -> Action:
    configuration = situation.configuration
    gone = Write(lambda c, index: c.without(node, index), f"{node} is removed")
    if node not in configuration.voters:
        return gone
    voters = configuration.voters - {node}
    if not voters:
        return Wait(f"{node} is the last node")
    if lacking := _lacking(situation, voters):
        return Wait(f"{node} is needed: {lacking}")
    if not force and not situation.drained(node):
        return Wait(f"pictures are being copied from {node} to other nodes")
    if node == situation.leader:
        targets = sorted(voters & situation.alive)
        return Transfer(tuple(targets))
    return gone


def _lacking(situation: Situation, voters: Collection[str]) -> str:
    """Say what keeps `voters` from having a majority; nothing does: an empty string."""
    alive = situation.alive.intersection(voters)
    majority = len(voters) // 2 + 1
    if len(alive) >= majority:
        return ""
    away = ", ".join(sorted(set(voters) - alive))
    return f"{away} cannot be reached, and {majority} of {len(voters)} nodes would be needed"


def leaving(configuration: Configuration, intents: Sequence[Intent]) -> frozenset[str]:
    """Return the members that are to go and so get no new copies, and whose copies do not count."""
    found = set()
    for intent in intents:
        if intent.done or (intent.kind == Intent.JOIN and not intent.nonce):
            continue
        if intent.kind == Intent.REMOVE:
            found.add(intent.node)
        elif intent.kind == Intent.JOIN and intent.replaces:
            member = configuration.by_name.get(intent.node)
            same = intent.replaces == intent.node
            if member is not None and (
                member.certificate != intent.certificate if same else intent.node in configuration.voters
            ):
                found.add(intent.replaces)
    return frozenset(found & configuration.names)


class Steward(Periodic):
    """Looks a few times a second, and does one thing at a time.

    `write` puts a configuration into the log and waits until it is committed; `transfer` asks a node to take over;
    `finish` proposes that an intent is carried out.
    """

    def __init__(
        self,
        *,
        leads: Callable[[], bool],
        initial: Callable[[], Configuration | None],
        intents: Callable[[], Sequence[Intent]],
        situation: Callable[[], Situation],
        write: Callable[[Step], Awaitable[object]],
        transfer: Callable[[str], bool],
        finish: Callable[[Intent], Awaitable[object]],
    ) -> None:
        super().__init__("steward", PERIOD, waits="membership waits")
        self._leads = leads
        self._initial = initial
        self._intents = intents
        self._situation = situation
        self._write = write
        self._transfer = transfer
        self._finish = finish
        self.waiting: tuple[str, ...] = ()
        """On the leader: why what is wanted is not done yet."""

    async def look(self) -> bool:
        """Do the first thing that can be done, if this node leads; return whether there may be more."""
        try:
            return self._leads() and await self._step()
        except StoreError as error:
            self.waiting = (str(error),)
            raise
        finally:
            if not self._leads():
                self.waiting = ()

    async def _step(self) -> bool:
        initial = self._initial()
        if initial is not None:
            await self._write(lambda _configuration, _index: initial)
            return True
        open_intents = [intent for intent in self._intents() if not intent.done]
        if not open_intents:
            self.waiting = ()
            return False
        situation = self._situation()
        actions = [decide(situation, intent) for intent in open_intents]
        self.waiting = tuple(action.why for action in actions if isinstance(action, Wait))
        for action in actions:
            if not isinstance(action, Wait):
                return await self._do(action)
        return False

    async def _do(self, action: Write | Transfer | Finish) -> bool:
        if isinstance(action, Write):
            log.info("membership", step=action.what)
            await self._write(action.step)
            return True
        if isinstance(action, Finish):
            log.info("membership", done=Intent.Kind.Name(action.intent.kind).lower(), peer=action.intent.node)
            await self._finish(action.intent)
            return True
        for target in action.targets:
            if self._transfer(target):
                log.info("membership", step="hands leadership over", to=target)
                break
        return False
