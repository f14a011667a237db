"""The audit log: what admins ask is recorded, whichever call it is, by one recorder around all of them.

A command that a call proposes carries its record (`Auditor.carry`), so that the entry that changes something is the one
that records it. Where no such command was applied, the record is a command of its own: of refusals, which are limited
in rate, and of what changes nothing in the log. Secrets never get there: `arguments_of`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from raftstore.cluster.feed import Feed
from raftstore.cluster.proposals import Barrier, Propose
from raftstore.cluster.settings import AuditSettings
from raftstore.errors import Invalid, OutcomeUnknown, Refused, StoreError
from raftstore.metadata import Catalog
from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.metadata.tables.events.audit import ARGUMENTS, MAX_TRIMMED, AuditLog, AuditRecord
from raftstore.peers import Peer
from raftstore.peers.calls import Answered
from raftstore.rights.reserved import LEVEL
from raftstore.util.limits.rates import Rates
from raftstore.util.metrics import counter
from raftstore.util.tasks import Periodic, cancel_and_wait
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

TEXT = 200
"""Characters of one text among the arguments, and of the beginning of what is too long as a whole."""
ITEMS = 20
"""Values of one repeated field among them."""
LEFT_OUT = "(left out)"
"""Stands for a secret."""

REFUSALS = (1.0, 60.0)
"""Refusals of one caller that are recorded: a second, and at once."""
ANSWER = 2.0
"""Seconds that an answer waits at most for a record of its own."""
PATIENCE = 600.0
"""Seconds for which a record is tried again."""
RETRY = 1.0
PENDING = 200
"""Records under way at once."""
LOOK = 30.0
"""Seconds between two looks of the leader whether some are to go."""

_Reply = TypeVar("_Reply", bound=Message)


def arguments_of(request: Message) -> str:
    """Return the fields of a request that are set as JSON, without secrets: bytes, and what `debug_redact` marks."""
    text = json.dumps(_shown(request), ensure_ascii=False)
    if len(text) > ARGUMENTS:
        text = json.dumps({"too_long": len(text), "begins": text[:TEXT]}, ensure_ascii=False)
    return text


def _shown(message: Message) -> dict[str, Any]:
    return {field.name: _value(field, value) for field, value in message.ListFields()}


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.GetOptions().debug_redact:
        return LEFT_OUT
    if not field.is_repeated:
        return _single(field, value)
    shown = [_single(field, each) for each in value[:ITEMS]]
    return [*shown, f"and {len(value) - ITEMS} more"] if len(value) > ITEMS else shown


def _single(field: FieldDescriptor, value: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return f"({len(value)} bytes)"
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _shown(value)
    if field.enum_type is not None:
        found = field.enum_type.values_by_number.get(value)
        return found.name.lower() if found is not None else value
    return value[:TEXT] + "..." if isinstance(value, str) and len(value) > TEXT else value


class AuditFeed(Feed[AuditRecord]):
    """Reads the audit log (`Feed`)."""

    name = "is no audit log"

    def __init__(self, catalog: Catalog, barrier: Barrier) -> None:
        """Its signal is the only one that the catalog tells of the audit log. To be made and used in one loop."""
        super().__init__(catalog, barrier, AuditLog)
        catalog.watch_audit(self.changed)

    def _row(self, row: AuditRecord) -> AuditRecord:
        return row


@dataclass(slots=True)
class Asked:
    """A call under way. `recorded`: an entry that records it was applied."""

    audit: commands.Audit
    task: asyncio.Task[Any] | None
    recorded: bool = False


_asked: ContextVar[Asked | None] = ContextVar("asked", default=None)


class Auditor:
    """Records the calls of admins at one node. Before the level has an audit log there are no records."""

    def __init__(self, node: str, level: Callable[[], int], propose: Propose) -> None:
        self._node = node
        self._level = level
        self._propose = propose
        self._methods: set[str] = set()
        self._rates: Rates[str] = Rates(*REFUSALS)
        self._omitted = 0
        self._lost = 0
        self._writing: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Give up what could not be written yet."""
        await cancel_and_wait(*self._writing)

    @counter(
        "pixraft_audit_lost_total",
        "Records of admins' calls that this node gave up: the cluster took none in time.",
    )
    def lost(self) -> int:
        """Of refusals that came too often, and were not to be recorded, it counts none."""
        return self._lost

    def takes(self, method: str) -> None:
        """Record from now on who is refused the method for its role, too."""
        self._methods.add(method)

    # While a call is answered.

    async def recorded(
        self,
        call: Answered[Any, Any, Any],
        peer: Peer,
        request: Any,
        answer: Callable[[], Awaitable[_Reply]],
    ) -> _Reply:
        """Have a call answered and record it.

        An answer waits for its record, for ANSWER at most where the record is a command of its own.
        """
        asked = Asked(self._audit(call, peer, request), asyncio.current_task())
        token = _asked.set(asked)
        try:
            reply = await answer()
        except asyncio.CancelledError:
            self._write(asked.audit, OutcomeUnknown.code, "whoever asked did not wait for the answer")
            raise
        except StoreError as error:
            await self._refuse(asked.audit, error)
            raise
        except Exception as error:
            await self._refuse(asked.audit, StoreError(f"the node failed with {type(error).__name__}"))
            raise
        finally:
            _asked.reset(token)
        if not asked.recorded:
            await _written(self._write(asked.audit, "", ""))
        return reply

    def carry(self, command: commands.Command) -> Asked | None:
        """Have a command that is to be proposed carry the record of the call that proposes it, if it has none yet.

        Only of the call's own task: what that has started goes on for reasons of its own.
        """
        asked = _asked.get()
        if asked is None or asked.recorded or asked.task is not asyncio.current_task() or self._level() < LEVEL:
            return None
        command.audit.CopyFrom(asked.audit)
        return asked

    def refused(self, peer: Peer, method: str, error: Refused) -> None:
        """Record that a peer was refused a method for its role."""
        if method in self._methods and self._rated(peer.name):
            self._write(self._of(method, peer, ""), error.code, str(error))

    # The record.

    def _audit(self, call: Answered[Any, Any, Any], peer: Peer, request: Message) -> commands.Audit:
        try:
            shown = call.shown(request) if call.shown is not None else request
        except Invalid:
            shown = request
        return self._of(call.method, peer, arguments_of(shown))

    def _of(self, method: str, peer: Peer, arguments: str) -> commands.Audit:
        return commands.Audit(
            call=secrets.token_bytes(16),
            caller=peer.name,
            role=peer.role.value,
            address=peer.address,
            node=self._node,
            method=method,
            arguments=arguments,
        )

    async def _refuse(self, audit: commands.Audit, error: StoreError) -> None:
        if self._rated(audit.caller):
            await _written(self._write(audit, error.code, str(error)))

    def _rated(self, caller: str) -> bool:
        if self._rates.take(caller):
            return True
        self._omitted += 1
        return False

    def _write(self, audit: commands.Audit, code: str, detail: str) -> asyncio.Task[None] | None:
        if self._level() < LEVEL:
            return None
        if len(self._writing) >= PENDING:
            self._give_up(audit, "too many wait already")
            return None
        omitted, self._omitted = self._omitted, 0
        record = commands.RecordAudit(audit=audit, code=code, detail=detail, omitted=omitted)
        task = asyncio.get_running_loop().create_task(self._tried(record), name="audit record")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    async def _tried(self, record: commands.RecordAudit) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while True:
            try:
                await self._propose(commands.Command(record_audit=record))
                return
            except StoreError as error:
                if isinstance(error, Invalid) or loop.time() > until:
                    self._give_up(record.audit, str(error))
                    return
            await asyncio.sleep(RETRY)

    def _give_up(self, audit: commands.Audit, reason: str) -> None:
        self._lost += 1
        log.warning("a record of the audit log is lost", caller=audit.caller, call=audit.method, reason=reason)


async def _written(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        await asyncio.wait({task}, timeout=ANSWER)


class AuditTrimming(Periodic):
    """Removes the oldest records while this node leads."""

    def __init__(
        self, settings: AuditSettings, *, catalog: Catalog, leads: Callable[[], bool], propose: Propose
    ) -> None:
        super().__init__("trimming of the audit log", LOOK, waits="the audit log stays as long as it is")
        self._settings = settings
        self._catalog = catalog
        self._leads = leads
        self._propose = propose

    async def look(self) -> bool:
        """Remove some if there are too many, or too old ones; return whether there may be more."""
        if self._catalog.level < LEVEL or not self._leads():
            return False
        before = self._catalog.ask(Clock, lambda clock: clock.now_ns) - int(self._settings.age * 1e9)
        up_to = self._catalog.ask(AuditLog, lambda audit: audit.surplus(self._settings.records, before))
        if not up_to:
            return False
        done = await self._propose(commands.Command(trim_audit=commands.TrimAudit(up_to=up_to)))
        return done.removed >= MAX_TRIMMED
