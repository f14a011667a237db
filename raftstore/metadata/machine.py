"""Frames what is applied: each operation once, judged, by the rules of the level in force, by its command's handler.

What a command does stands in the module of its table (`tables`), under `handles`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import structlog

from raftstore.metadata.database.database import level_of, set_level
from raftstore.metadata.judging import judged
from raftstore.metadata.levels import OLDEST, raised
from raftstore.metadata.operations import command_of, operations_of
from raftstore.metadata.refusal import Refusal
from raftstore.metadata.registry import Context, Handler, Table, Tables, handlers_of, handles
from raftstore.metadata.tables import TABLES
from raftstore.metadata.tables.accounts.accounts import Accounts
from raftstore.metadata.tables.cluster.intents import Intents
from raftstore.metadata.tables.cluster.remembered import Remembered
from raftstore.metadata.tables.cluster.state import State
from raftstore.metadata.tables.contents.contents import Contents
from raftstore.metadata.tables.contents.replicas import ReplicaSets
from raftstore.metadata.tables.contents.staging import Staging
from raftstore.metadata.tables.events.audit import AuditLog
from raftstore.metadata.tables.names.files import Files, check_reach
from raftstore.metadata.tables.names.namespace import Namespace
from raftstore.metadata.tables.names.partials import Orphans
from raftstore.metadata.tables.names.reservations import Reservations
from raftstore.metadata.weighing import Weighing
from raftstore.rights.reserved import LEVEL as AUDITED
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()


class Machine:
    """The state machine's state over one connection, and its transitions. Knows nothing of transactions.

    After an exception out of `apply` (not a refusal) its memory no longer matches the database: make a new one.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.at = Context(level_of(database))
        """The operation that is being applied, or was applied last; its level is the one in force."""
        self.tables = Tables(database, self.at)
        self._all = [self.tables[table] for table in TABLES]
        self._flushes = [table.flush for table in self._all if type(table).flush is not Table.flush]
        self.state = self.tables[State]
        self.names = self.tables[Namespace]
        self.contents = self.tables[Contents]
        self.sets = self.tables[ReplicaSets]
        self.accounts = self.tables[Accounts]
        self.intents = self.tables[Intents]
        self._audit = self.tables[AuditLog]
        self._files = self.tables[Files]
        self._orphans = self.tables[Orphans]
        self._remembered = self.tables[Remembered]
        self._reservations = self.tables[Reservations]
        self._staging = self.tables[Staging]
        self.weighing = Weighing(self.tables)
        self.on_level: Callable[[int], object] = lambda level: None
        """Told the level in force when an entry has raised it; must not raise."""
        self._handlers: dict[str, Handler] = handlers_of(self)
        for table in self._all:
            self._handlers |= handlers_of(table)

    def apply(self, index: int, batch: bytes) -> list[bytes]:
        """Apply the entry at log `index` within the current transaction; return a Result an operation.

        Raises TooNew for what this version does not know, before anything of that operation is done.
        """
        at = self.at
        at.index = index
        results = []
        for position, operation in enumerate(operations_of(index, batch, at.level)):
            at.position = position
            results.append(self._operation(operation, at))
        self.names.flush()
        self.state.applied = index
        return results

    def _operation(self, operation: commands.Operation, at: Context) -> bytes:
        identity = operation.id
        try:
            remembered = self._remembered.recall(identity)
        except Refusal as refusal:
            return _refused(refusal, at)
        if remembered is not None:
            return remembered
        node, boot = identity.node, identity.boot
        if self._reservations.boots:
            self._reservations.booted(node, boot)
        if self._staging.boots:
            self._staging.booted(node, boot)
        at.time_ns = operation.time_ns
        if self._orphans.directories and not at.position:
            self._orphans.drop_some()
            self.contents.forget_unreferenced()
        try:
            done = self._done(operation.command, at)
            if self.contents.released:
                self.contents.forget_unreferenced()
            done.index = at.index
            result = done.SerializeToString()
        except Refusal as refusal:
            result = _refused(refusal, at)
        self._remembered.remember(node, identity.sequence, result)
        return result

    def _done(self, data: bytes, at: Context) -> commands.Result:
        """Judge a command and have it applied by its handler. Refuses as both do."""
        kind, command = command_of(at.index, data, at.level, self._handlers)
        reported = at.path = None
        if kind == "put_file" and command.put_file.HasField("handle"):
            reported = self._files.find_path(command.put_file)
        at.leave, at.rights = judged(kind, command, at.level, self.accounts)
        if reported is not None:
            check_reach(command.put_file)
            at.path = command.put_file.path
            # Where it is now may be hidden from who has opened it: refusals tell of the name that it was opened by.
            command.put_file.path = reported
        done = self._handlers[kind](getattr(command, kind), at)
        if command.HasField("audit") and at.level >= AUDITED:
            self._audit.note_done(command.audit, at)
        return commands.Result() if done is None else done

    def recall(self, index: int, batch: bytes) -> list[bytes]:
        """Return the remembered results of the entry at log `index`, applied before (empty: forgotten)."""
        return [self._remembered.find(operation.id) for operation in operations_of(index, batch, OLDEST)]

    def configure(self, index: int, configuration: bytes) -> None:
        """Take who the members are, as of log `index`, within the current transaction."""
        self.intents.configure(index, configuration)
        for table in self._all:
            table.keep_of(self.intents.members)
        self.state.applied = index

    def check_sole_writer(self) -> None:
        """At the start of a transaction: make sure that the database is as this machine left it."""
        self.state.check_sole_writer()

    def finish(self) -> None:
        """Before the commit: write what is kept in memory meanwhile."""
        self._flush()
        self.state.write()

    def _flush(self) -> None:
        for flush in self._flushes:
            flush()

    @property
    def untouched(self) -> bool:
        """Whether nothing was put into the catalog yet: the cluster is new."""
        return all(table.untouched() for table in self._all)

    @handles("set_level", level=1)
    def set_level(self, command: commands.SetLevel, at: Context) -> None:
        """Raise the level in force. The gate itself: known to every version that knows of levels."""
        level = raised(command, at.level, self.intents.configuration[0], untouched=self.untouched)
        for step in range(at.level + 1, level + 1):
            for table in self._all:
                table.check_level(step)
        self.migrate(level)
        log.info("level raised", level=level, entry=at.index)
        self.on_level(level)

    def migrate(self, level: int) -> None:
        """Take the catalog from the level in force to a higher one, within the current transaction.

        While tables go through what a level brings, the one before it is in force.
        """
        self._flush()
        while self.at.level < level:
            for table in self._all:
                table.migrate(self.at.level + 1)
            self.at.level += 1
        set_level(self._database, level)


def _refused(refusal: Refusal, at: Context) -> bytes:
    result = commands.Result(status=refusal.status, detail=refusal.detail, index=at.index)
    return result.SerializeToString(deterministic=True)
