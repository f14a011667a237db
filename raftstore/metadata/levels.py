"""Levels: which rules of the log are in force, and what of a command belongs to which of them.

The cluster has one level at each point of its log. It starts at 1 and is raised by the applied command `SetLevel`, by
nothing else; what comes before that entry replays by the rules of its time. A leader appends no command that is above
the level in force, so that every node that knows the level understands every entry (docs/decisions/001-levels.md).

Whoever adds a field adds a line here; the level of an enum's value stands beside it in the proto file, a command's
with its handler (`registry`).
Everything in this module is pure.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from raftstore.errors import TooNew
from raftstore.metadata.refusal import Refusal
from raftstore.metadata.registry import COMMANDS
from raftstore.wire import commands_pb2 as commands

OLDEST = 1
"""The lowest level whose catalogs and logs this version can go on from: the rules of 0.1 (commit 35711ca)."""

NEWEST = 3
"""The highest level that this version knows: the rules of 0.3."""

VERSION = importlib.metadata.version("pixraft")
"""Of this program."""

FIELDS: dict[str, int] = {
    "Command.actor": 2,
    "Command.audit": 3,
    "MakeDirectory.home": 2,
    "PutFile.append": 2,
    "User.identity": 2,
    "User.sessions_since": 2,
    "PutFile.handle": 2,
    "PutFile.content": 2,
    "PutPartial.content": 2,
    "User.trash_ns": 3,
    "PutFile.draft": 3,
    "PutFile.expires_ns": 3,
    "PutFile.unfinished": 3,
    "PutFile.kept": 3,
    "Rename.draft": 3,
    "Rename.expires_ns": 3,
    "User.person": 3,
    "User.expires_ns": 3,
    "User.inbox_bytes": 3,
    "User.inbox_files": 3,
    "User.sender_bytes": 3,
    "User.sender_files": 3,
}
"""Level from which a field may be set, by "Message.field"; 1 where there is none."""

_PACKAGE = "pixraft.commands."
_LEVEL: Any = commands.level  # an extension, of which the generated types know nothing more

VALUES: dict[str, int] = {
    f"{enum.full_name.removeprefix(_PACKAGE)}.{value.name}": value.GetOptions().Extensions[_LEVEL]
    for enums in (
        commands.DESCRIPTOR.enum_types_by_name.values(),
        *(message.enum_types for message in commands.DESCRIPTOR.message_types_by_name.values()),
    )
    for enum in enums
    for value in enum.values
    if value.GetOptions().HasExtension(_LEVEL)
}
"""Level from which an enum's value may be used, by "Message.Enum.VALUE", as proto/commands.proto says it beside the
value; 1 where there is none."""


def program() -> str:
    """Name this version and the levels that it knows, for people."""
    return f"pixraft {VERSION}, which knows levels {OLDEST} to {NEWEST}"


def too_new(level: int, what: str) -> TooNew:
    """Return the error for what is of a level that this version does not know; `what` ends with "is"."""
    return TooNew(f"{what} at level {level}; this is {program()}. {TooNew.way_out}")


def unknown(index: int, reason: str) -> TooNew:
    """Return the error for a committed log entry that this version does not know."""
    return TooNew(f"log entry {index}: {reason}; this is {program()}. {TooNew.way_out}")


def above(message: Message, level: int) -> str | None:
    """Say what of a message, nested ones included, is above `level` or unknown to this version; None: nothing."""
    unknown_fields = UnknownFieldSet(message)
    if len(unknown_fields):
        return f"field {unknown_fields[0].field_number} of {message.DESCRIPTOR.name} is unknown to this version"
    plan = _plan(message.DESCRIPTOR, level)
    for name, why in plan.above:
        if _is_set(message, name):
            return why
    for name, enum in plan.enums:
        reason = _of_value(enum, getattr(message, name), level)
        if reason is not None:
            return reason
    for nested in _nested(message, plan):
        reason = above(nested, level)
        if reason is not None:
            return reason
    return None


def _nested(message: Message, plan: _Plan) -> Iterator[Message]:
    for oneof in plan.oneofs:
        chosen = message.WhichOneof(oneof)
        if chosen is not None:
            yield getattr(message, chosen)
    for name in plan.single:
        if message.HasField(name):
            yield getattr(message, name)
    for name in plan.repeated:
        yield from getattr(message, name)


def command_above(data: bytes, command: commands.Command, level: int) -> str | None:
    """Say the same of `command`, just decoded from `data`, quickly. Takes its unknown fields away.

    What is encoded again to the very same bytes once all unknown fields are gone has had none. Otherwise, as when
    another encoder made it, it is looked at field by field.
    """
    kind = command.WhichOneof("kind")
    if kind is not None and _takes_any(kind, level):
        command.DiscardUnknownFields()
        return None if command.SerializeToString() == data else above(commands.Command.FromString(data), level)
    return above(command, level)


def batch_above(data: bytes, batch: commands.Batch, level: int) -> str | None:
    """Say the same of a Batch, but for the commands in it, which it has as bytes."""
    batch.DiscardUnknownFields()
    return None if batch.SerializeToString() == data else above(commands.Batch.FromString(data), level)


def refusal(command: bytes, level: int) -> str | None:
    """Say why a serialised Command must not be appended while `level` is in force; None: it may be.

    A SetLevel passes, but to a level that is not known here: the rest is decided when it is applied.
    """
    return examined(command, level)[1]


def examined(command: bytes, level: int) -> tuple[commands.Command | None, str | None]:
    """Return a serialised Command decoded, None when it is none, and what `refusal` says of it."""
    try:
        decoded = commands.Command.FromString(command)
    except DecodeError:
        return None, "not a command"
    reason = command_above(command, decoded, level)
    kind = decoded.WhichOneof("kind")
    if reason is None and kind is None:
        reason = "a command of no kind"
    elif kind == "set_level" and decoded.set_level.level > NEWEST:
        reason = f"level {decoded.set_level.level} is not known here: this is {program()}"
    return decoded, reason


def raised(command: commands.SetLevel, present: int, members: int, *, untouched: bool) -> int:
    """Return the level that holds after a SetLevel applied at level `present`, with the configuration of log entry
    `members`; `untouched`: nothing was put into the catalog before.

    Refuses with INVALID, CHANGED. Raises TooNew when this version does not know the level.
    """
    level: int = command.level
    if level <= present or (level > present + 1 and not command.fresh):
        raise Refusal(
            commands.INVALID, f"level {present} is in force: the next one is {present + 1}, not {level}"
        )
    if command.fresh and not untouched:
        raise Refusal(commands.CHANGED, "the cluster is not new any more")
    if command.members and command.members != members:
        raise Refusal(
            commands.CHANGED, "the members are others now: ask them first whether they know the level"
        )
    if level > NEWEST:
        raise too_new(level, "from this entry of the log on the cluster is")
    return level


def batch_refusal(batch: bytes, level: int) -> str | None:
    """Say why a serialised Batch must not be appended while `level` is in force; None: it may be."""
    try:
        decoded = commands.Batch.FromString(batch)
    except DecodeError:
        return "not a batch of commands"
    reason = batch_above(batch, decoded, level)
    if reason is not None:
        return reason
    for operation in decoded.operations:
        reason = refusal(operation.command, level)
        if reason is not None:
            return reason
    return None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What there is to look at in messages of one type. `above`: fields that must not be set, and what to say then."""

    above: tuple[tuple[str, str], ...]
    enums: tuple[tuple[str, EnumDescriptor], ...]
    oneofs: tuple[str, ...]
    single: tuple[str, ...]
    repeated: tuple[str, ...]


@functools.cache
def _plan(descriptor: Descriptor, level: int) -> _Plan:
    refused, enums = [], []
    oneofs, single, repeated = set(), [], []
    for field in descriptor.fields:
        since, called = _since(descriptor.name, field)
        if since > level:
            refused.append((field.name, f"{called} needs level {since}, in force is {level}"))
        if field.enum_type is not None:
            enums.append((field.name, field.enum_type))
        elif field.message_type is None:
            continue
        elif field.is_repeated:
            repeated.append(field.name)
        elif field.containing_oneof is not None:
            oneofs.add(field.containing_oneof.name)
        else:
            single.append(field.name)
    return _Plan(tuple(refused), tuple(enums), tuple(sorted(oneofs)), tuple(single), tuple(repeated))


@functools.cache
def _takes_any(kind: str, level: int) -> bool:
    """Whether nothing but unknown fields can be above `level` in a command of that kind."""
    whole: Any = commands.Command.DESCRIPTOR
    chosen: FieldDescriptor = whole.fields_by_name[kind]
    if _since(whole.name, chosen)[0] > level:
        return False
    others = [field for field in whole.fields if field.containing_oneof is None]
    if any(_since(whole.name, field)[0] > level for field in others):
        return False
    waiting = [field.message_type for field in (chosen, *others) if field.message_type is not None]
    seen: set[str] = set()
    while waiting:
        descriptor = waiting.pop()
        if descriptor.full_name in seen:
            continue
        seen.add(descriptor.full_name)
        if _plan(descriptor, level).above or _plan(descriptor, level).enums:
            return False
        waiting += [field.message_type for field in descriptor.fields if field.message_type is not None]
    return True


def forget_plans() -> None:
    """Forget what was worked out from the registries. For tests that change them."""
    _plan.cache_clear()
    _takes_any.cache_clear()


def _since(message: str, field: FieldDescriptor) -> tuple[int, str]:
    """Return from which level on a field may be set, and what to call it."""
    if message == "Command" and field.containing_oneof is not None:
        return COMMANDS.get(field.name, NEWEST + 1), f"the command {field.name}"
    name = f"{message}.{field.name}"
    return FIELDS.get(name, OLDEST), f"the field {name}"


def _is_set(message: Message, name: str) -> bool:
    value: Any = getattr(message, name)
    return message.HasField(name) if isinstance(value, Message) else bool(value)


def _of_value(enum: EnumDescriptor, number: int, level: int) -> str | None:
    value = enum.values_by_number.get(number)
    name = enum.full_name.removeprefix(_PACKAGE)
    if value is None:
        return f"value {number} of {name} is unknown to this version"
    since = VALUES.get(f"{name}.{value.name}", OLDEST)
    return f"{name}.{value.name} needs level {since}, in force is {level}" if since > level else None
