"""No message means something else than it did in a release: a number that was given away is never given to another.

What is no longer needed is deleted and its number reserved. A oneof, a label and a type are for ever, too.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from releases import NAMES, RELEASES

import raftstore.wire

STOPPED = {
    "35711ca": "an upgrade from 0.1 stops the whole cluster: only what is on disk counts, in commands and raft",
}
"""Releases whose nodes never talk to those of now, with the reason."""
ON_DISK = ("commands.proto", "raft.proto")


def now() -> dict[str, FileDescriptorProto]:
    """The files of proto/, as they are."""
    found = {}
    for path in Path(raftstore.wire.__file__).parent.glob("*_pb2.py"):
        file = FileDescriptorProto()
        importlib.import_module(f"raftstore.wire.{path.stem}").DESCRIPTOR.CopyToProto(file)
        found[file.name] = file
    return found


def of_release(release: str) -> dict[str, FileDescriptorProto]:
    """Those of a release, as far as they still count."""
    files = FileDescriptorSet.FromString((RELEASES / release / "descriptors.pb").read_bytes()).file
    return {file.name: file for file in files if release not in STOPPED or file.name in ON_DISK}


def messages(file: FileDescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
    """Every message, nested ones included, with its name in the file."""
    waiting = [(message.name, message) for message in file.message_type]
    while waiting:
        name, message = waiting.pop()
        yield name, message
        waiting += [(f"{name}.{nested.name}", nested) for nested in message.nested_type]


def enums(file: FileDescriptorProto) -> dict[str, EnumDescriptorProto]:
    """Every enum with its name in the file."""
    found = {enum.name: enum for enum in file.enum_type}
    for name, message in messages(file):
        found |= {f"{name}.{enum.name}": enum for enum in message.enum_type}
    return found


def reserved(message: DescriptorProto, number: int) -> bool:
    """Whether a field may never have that number again (the end of a range is excluded)."""
    return any(span.start <= number < span.end for span in message.reserved_range)


def reserved_value(enum: EnumDescriptorProto, number: int) -> bool:
    """Whether a value may never have that number again (the end of a range is included)."""
    return any(span.start <= number <= span.end for span in enum.reserved_range)


def meaning(message: DescriptorProto, field: FieldDescriptorProto) -> tuple[object, ...]:
    """Everything of a field on which its bytes, or its name in `-o json`, depend."""
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None
    return field.name, field.type, field.type_name, field.label, oneof


def changed(before: FileDescriptorProto, after: FileDescriptorProto) -> list[str]:
    """Return a line for each thing of a file that means something else now."""
    faults = []
    new = dict(messages(after))
    for name, message in messages(before):
        if name not in new:
            continue  # nobody speaks of it any more: fields that did are looked at where they were
        fields = {field.number: field for field in new[name].field}
        for field in message.field:
            same = fields.get(field.number)
            if same is None:
                if not reserved(new[name], field.number):
                    faults.append(f"{name}.{field.name} is gone, and its number {field.number} is not reserved")
            elif meaning(new[name], same) != meaning(message, field):
                faults.append(f"{name}.{field.name}, number {field.number}, is another now")
    others = enums(after)
    for name, enum in enums(before).items():
        values = {value.number: value.name for value in others[name].value} if name in others else None
        for value in enum.value if values is not None else ():
            if value.number not in values and reserved_value(others[name], value.number):
                continue
            if values.get(value.number) != value.name:
                faults.append(f"{name}.{value.name}, number {value.number}, is another now")
    return faults


@pytest.mark.parametrize("release", NAMES)
def test_no_message_of_a_release_means_something_else(release: str) -> None:
    present = now()
    for name, before in of_release(release).items():
        if name.startswith("google/"):
            continue  # protobuf's own, for the option that says a value's level
        assert name in present, f"proto/{name} is gone"
        assert before.package == present[name].package
        assert changed(before, present[name]) == []


def test_what_was_released_covers_everything_that_nodes_say_and_store() -> None:
    assert {path.name for path in (RELEASES.parents[1] / "proto").glob("*.proto")} == set(now())
    for release in NAMES:
        assert set(ON_DISK) <= set(of_release(release))


# What the comparison sees.


def example() -> FileDescriptorProto:
    """message M { string a = 1; oneof kind { uint32 b = 2; } enum E { X = 0; Y = 1; } }"""
    message = DescriptorProto(name="M")
    message.oneof_decl.add(name="kind")
    message.field.add(name="a", number=1, type=FieldDescriptorProto.TYPE_STRING)
    message.field.add(name="b", number=2, type=FieldDescriptorProto.TYPE_UINT32, oneof_index=0)
    kinds = message.enum_type.add(name="E")
    kinds.value.add(name="X", number=0)
    kinds.value.add(name="Y", number=1)
    return FileDescriptorProto(name="m.proto", message_type=[message])


def test_a_field_more_changes_nothing() -> None:
    after = example()
    after.message_type[0].field.add(name="c", number=3, type=FieldDescriptorProto.TYPE_BOOL)
    after.message_type[0].enum_type[0].value.add(name="Z", number=2)
    assert changed(example(), after) == []


def test_another_type_name_label_or_oneof_of_a_number_is_seen() -> None:
    for field, value in (
        ("type", FieldDescriptorProto.TYPE_BYTES),
        ("name", "other"),
        ("label", FieldDescriptorProto.LABEL_REPEATED),
        ("oneof_index", 0),
    ):
        after = example()
        setattr(after.message_type[0].field[0], field, value)
        assert changed(example(), after) == ["M.a, number 1, is another now"], field


def test_a_field_that_is_gone_leaves_its_number_reserved() -> None:
    after = example()
    del after.message_type[0].field[0]
    assert changed(example(), after) == ["M.a is gone, and its number 1 is not reserved"]
    after.message_type[0].reserved_range.add(start=1, end=2)
    assert changed(example(), after) == []


def test_a_value_of_an_enum_that_is_gone_leaves_its_number_reserved() -> None:
    after = example()
    del after.message_type[0].enum_type[0].value[1]
    assert changed(example(), after) == ["M.E.Y, number 1, is another now"]
    after.message_type[0].enum_type[0].reserved_range.add(start=1, end=1)
    assert changed(example(), after) == []
    after.message_type[0].enum_type[0].value.add(name="Other", number=1)
    assert changed(example(), after) == ["M.E.Y, number 1, is another now"]
