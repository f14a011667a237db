"""What was added to the log's messages since a release has its level; what a release had is as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from releases import NAMES, RELEASES, level

from raftstore.metadata.levels import FIELDS, OLDEST, VALUES
from raftstore.metadata.registry import COMMANDS
from raftstore.wire import commands_pb2, raft_pb2

LEVELS = {release: level(release) for release in NAMES}
"""The newest level that each release knows: its new clusters are at it."""
ANSWERS = {"Result", "Status"}
"""What the log does not hold: made by apply, and read by the node that applied it."""


def of_release(release: str, name: str) -> FileDescriptorProto:
    files = FileDescriptorSet.FromString((RELEASES / release / "descriptors.pb").read_bytes()).file
    return next(file for file in files if file.name == name)


def of_now(module: object) -> FileDescriptorProto:
    found = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(found)  # type: ignore[attr-defined]
    return found


def messages(file: FileDescriptorProto) -> dict[str, DescriptorProto]:
    return {message.name: message for message in file.message_type if message.name not in ANSWERS}


def enums(file: FileDescriptorProto) -> Iterator[tuple[str, EnumDescriptorProto]]:
    for enum in file.enum_type:
        if enum.name not in ANSWERS:
            yield enum.name, enum
    for message in file.message_type:
        for enum in message.enum_type:
            yield f"{message.name}.{enum.name}", enum


def registered(message: str, field: str, *, command: bool) -> int:
    return COMMANDS[field] if command else FIELDS.get(f"{message}.{field}", OLDEST)


@pytest.mark.parametrize("release", LEVELS)
def test_every_field_and_command_that_a_release_does_not_know_has_a_level_above_it(release: str) -> None:
    before, now = messages(of_release(release, "commands.proto")), messages(of_now(commands_pb2))
    missing = []
    for name, message in now.items():
        known = {field.name for field in before[name].field} if name in before else None
        for field in message.field:
            if known is None or field.name in known or (name, field.name) == ("Command", "set_level"):
                continue  # in a message of its own that is new: what leads to it has a level
            command = name == "Command" and field.HasField("oneof_index")
            if registered(name, field.name, command=command) <= LEVELS[release]:
                missing.append(f"{name}.{field.name}")
    assert not missing, (
        f"give these a level, in levels.FIELDS or where they have their handlers: {', '.join(missing)}"
    )


@pytest.mark.parametrize("release", LEVELS)
def test_every_value_that_a_release_does_not_know_has_a_level_above_it(release: str) -> None:
    before, missing = dict(enums(of_release(release, "commands.proto"))), []
    for name, enum in enums(of_now(commands_pb2)):
        known = {value.name for value in before[name].value} if name in before else None
        missing += [
            f"{name}.{value.name}"
            for value in enum.value
            if known is not None
            and value.name not in known
            and VALUES.get(f"{name}.{value.name}", OLDEST) <= LEVELS[release]
        ]
    assert not missing, f"say [(level) = N] in proto/commands.proto of: {', '.join(missing)}"


@pytest.mark.parametrize("release", LEVELS)
@pytest.mark.parametrize("module", [commands_pb2, raft_pb2], ids=["commands", "raft"])
def test_what_a_release_wrote_means_what_it_meant(release: str, module: object) -> None:
    """Numbers and types of fields that it had; nothing of it was removed or given to something else."""
    now = of_now(module)
    old = of_release(release, now.name)
    fields = {message.name: {field.number: field for field in message.field} for message in now.message_type}
    for message in old.message_type:
        for field in message.field:
            same = fields[message.name].get(field.number)
            assert same is not None, f"{message.name}.{field.name} is gone"
            assert (same.name, same.type, same.label, same.type_name) == (
                field.name,
                field.type,
                field.label,
                field.type_name,
            ), f"{message.name}.{field.name} is another now"
    values = {name: {value.number: value.name for value in enum.value} for name, enum in enums(now)}
    for name, enum in enums(old):
        for value in enum.value:
            assert values[name].get(value.number) == value.name, f"{name}.{value.name}"
