"""Levels: what a command may hold at which of them, and how the one in force is raised."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from catalogs import Feeder, command, put
from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.message import Message

from raftstore import paths, types
from raftstore.errors import TooNew
from raftstore.metadata import levels
from raftstore.metadata import refusal as refusals
from raftstore.metadata.database.database import SCHEMA_VERSION, schema_of
from raftstore.metadata.database.schemas import fill, schema_at
from raftstore.metadata.levels import (
    FIELDS,
    NEWEST,
    OLDEST,
    VALUES,
    above,
    batch_refusal,
    command_above,
    refusal,
)
from raftstore.metadata.machine import Machine
from raftstore.metadata.registry import COMMANDS, handles
from raftstore.metadata.tables import SCHEMAS
from raftstore.metadata.tables.accounts import accounts, adoption, quotas
from raftstore.metadata.tables.cluster import intents, jobs
from raftstore.metadata.tables.contents import longcontents, staging
from raftstore.metadata.tables.names import partials, reservations, spans
from raftstore.rights import letters
from raftstore.wire import commands_pb2 as commands

UNKNOWN = b"\xfa\x3f\x01x"
"""Field 1023 of any message."""


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db", level=1) as made:
        yield made


def raise_to(level: int, **fields: object) -> commands.Command:
    return command("set_level", level=level, **fields)


# What a command may hold.


def messages() -> dict[str, Descriptor]:
    """Every message that a command can hold, and those around it, by name."""
    found: dict[str, Descriptor] = {}
    waiting = [commands.Batch.DESCRIPTOR, commands.Command.DESCRIPTOR]
    while waiting:
        descriptor = waiting.pop()
        if descriptor.name not in found:
            found[descriptor.name] = descriptor
            waiting += [field.message_type for field in descriptor.fields if field.message_type]
    return found


def enums() -> dict[str, EnumDescriptor]:
    found = [field.enum_type for message in messages().values() for field in message.fields if field.enum_type]
    return {enum.full_name.removeprefix("pixraft.commands."): enum for enum in found}


def test_the_registries_name_what_there_is() -> None:
    kinds = {field.name for field in commands.Command.DESCRIPTOR.oneofs_by_name["kind"].fields}
    assert set(COMMANDS) == kinds
    assert set(FIELDS) <= {
        f"{message.name}.{field.name}" for message in messages().values() for field in message.fields
    }
    assert set(VALUES) <= {f"{name}.{value.name}" for name, enum in enums().items() for value in enum.values}
    assert {*COMMANDS.values(), *FIELDS.values(), *VALUES.values()} <= set(range(OLDEST, NEWEST + 1))


def test_no_enum_is_repeated_and_no_map_is_used() -> None:
    """`above` looks at neither: whoever adds one teaches it."""
    for message in messages().values():
        for field in message.fields:
            assert field.enum_type is None or not field.is_repeated
            assert field.message_type is None or not field.message_type.GetOptions().map_entry


def test_message_names_are_unique_so_that_a_registry_entry_means_one_field() -> None:
    everywhere = [descriptor.name for descriptor in messages().values()]
    assert len(everywhere) == len(set(everywhere))


def test_every_command_has_a_handler() -> None:
    database = sqlite3.connect(":memory:", isolation_level=None)
    fill(database)
    kinds = {field.name for field in commands.Command.DESCRIPTOR.oneofs_by_name["kind"].fields}
    assert set(Machine(database)._handlers) == kinds


def test_a_command_above_the_level_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "begin_sweep", 2)
    levels.forget_plans()
    try:
        sweep = command("begin_sweep", store=1)
        assert above(sweep, 1) == "the command begin_sweep needs level 2, in force is 1"
        assert above(sweep, 2) is None
    finally:
        levels.forget_plans()


def test_a_command_without_a_handler_is_above_every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(COMMANDS, "begin_sweep")
    levels.forget_plans()
    try:
        assert above(command("begin_sweep", store=1), NEWEST) is not None
    finally:
        levels.forget_plans()


def test_a_command_has_one_handler() -> None:
    with pytest.raises(ValueError, match="begin_sweep has a handler already"):
        handles("begin_sweep", level=2)(lambda command, at: None)
    assert COMMANDS["begin_sweep"] == 1


def test_a_field_above_the_level_is_found_however_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIELDS, "Count.value", 2)
    levels.forget_plans()
    try:
        counts = [commands.Count(name="files"), commands.Count(name="bytes", value=3)]
        report = command("report_job", id=1, progress=commands.Progress(counts=counts))
        assert above(report, 1) == "the field Count.value needs level 2, in force is 1"
        assert above(report, 2) is None
        del report.report_job.progress.counts[1]
        assert above(report, 1) is None
    finally:
        levels.forget_plans()


def test_a_value_above_the_level_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VALUES, "Job.Kind.TRIM", 2)
    job = command("put_job", job=commands.Job(node="n1", kind=commands.Job.TRIM))
    assert above(job, 1) == "Job.Kind.TRIM needs level 2, in force is 1"
    assert above(job, 2) is None


def test_an_unknown_value_is_found() -> None:
    job = commands.Job.FromString(b"\x10\x63")
    assert job.kind == 99
    assert above(command("put_job", job=job), NEWEST) == "value 99 of Job.Kind is unknown to this version"


@pytest.mark.parametrize("name", sorted(messages()))
def test_an_unknown_field_of_any_message_is_found(name: str) -> None:
    kind = getattr(commands, name)
    for level in range(OLDEST, NEWEST + 1):
        assert above(kind.FromString(UNKNOWN), level) == f"field 1023 of {name} is unknown to this version"
        assert above(kind(), level) is None


def test_an_unknown_field_is_found_however_deep() -> None:
    chunk = commands.Chunk.FromString(UNKNOWN)
    deep = command("put_file", path="/a", chunks=[commands.Chunk(), chunk])
    assert above(deep, NEWEST) == "field 1023 of Chunk is unknown to this version"
    operation = commands.Operation(id=commands.OperationId.FromString(UNKNOWN))
    assert above(commands.Batch(operations=[operation]), NEWEST) is not None


def test_what_is_not_a_command_is_refused() -> None:
    assert refusal(b"\xff\xff", NEWEST) == "not a command"
    assert refusal(b"", NEWEST) == "a command of no kind"
    assert refusal(UNKNOWN, NEWEST) == "field 1023 of Command is unknown to this version"
    assert refusal(put("/a", 1).SerializeToString(), OLDEST) is None
    assert refusal(raise_to(2).SerializeToString(), OLDEST) is None
    beyond = refusal(raise_to(NEWEST + 1).SerializeToString(), NEWEST)
    assert beyond is not None
    assert beyond.startswith(f"level {NEWEST + 1} is not known here")


def test_what_is_not_a_batch_is_refused() -> None:
    good = commands.Operation(command=put("/a", 1).SerializeToString())
    assert batch_refusal(commands.Batch(operations=[good, good]).SerializeToString(), OLDEST) is None
    assert batch_refusal(b"\xff\xff", NEWEST) == "not a batch of commands"
    assert batch_refusal(UNKNOWN, NEWEST) == "field 1023 of Batch is unknown to this version"
    bad = commands.Operation(command=UNKNOWN)
    assert batch_refusal(commands.Batch(operations=[good, bad]).SerializeToString(), NEWEST) is not None


def look(command: commands.Command, level: int) -> str | None:
    data = command.SerializeToString()
    return command_above(data, commands.Command.FromString(data), level)


def samples() -> list[commands.Command]:
    """Commands of every kind, full of what they can hold, and each with something unknown somewhere in it."""

    def full(message: Message, depth: int = 0) -> None:
        for field in message.DESCRIPTOR.fields:
            if field.containing_oneof is not None and field.message_type is not None:
                continue
            if field.message_type is not None and depth < 4:
                nested = getattr(message, field.name)
                full(nested.add() if field.is_repeated else nested, depth + 1)
            elif field.message_type is None and not field.is_repeated:
                setattr(message, field.name, {9: "x", 12: b"x", 8: True}.get(field.type, 1))

    made = []
    for kind in commands.Command.DESCRIPTOR.oneofs_by_name["kind"].fields:
        whole = commands.Command()
        getattr(whole, kind.name).SetInParent()
        full(getattr(whole, kind.name))
        made.append(whole)
        for place in parts(whole):
            spoilt = commands.Command.FromString(whole.SerializeToString())
            parts(spoilt)[parts(whole).index(place)].MergeFromString(UNKNOWN)
            made.append(spoilt)
    return made


def parts(message: Message) -> list[Message]:
    """A message, and all within it."""
    found = [message]
    for field, value in message.ListFields():
        if field.message_type is not None:
            for nested in value if field.is_repeated else [value]:
                found += parts(nested)
    return found


@pytest.mark.parametrize("level", range(OLDEST, NEWEST + 1))
def test_the_quick_look_sees_what_the_long_one_sees(level: int) -> None:
    """The private calls of protobuf that it leans on do what is expected of them, at every place of every command."""
    commands_looked_at = samples()
    assert len(commands_looked_at) > 50
    for sample in commands_looked_at:
        assert look(sample, level) == above(sample, level), sample
    assert sum(look(sample, NEWEST) is None for sample in commands_looked_at) == len(
        commands.Command.DESCRIPTOR.oneofs_by_name["kind"].fields
    )


def test_what_another_encoder_made_is_looked_at_field_by_field() -> None:
    """Numbers that are not packed are as good; they make room for an unknown field of the same length."""
    chunk = commands.Chunk.FromString(b"\x18\x01")
    assert list(chunk.stores) == [1]
    assert chunk.SerializeToString() != b"\x18\x01"
    put_file = b"\x2a\x02\x18\x01"
    command_bytes = b"\x1a\x04" + put_file
    decoded = commands.Command.FromString(command_bytes)
    assert list(decoded.put_file.chunks[0].stores) == [1]
    assert command_above(command_bytes, decoded, NEWEST) is None
    assert refusal(command_bytes, NEWEST) is None
    assert refusal(command_bytes + UNKNOWN, NEWEST) is not None


# How the level is raised.


def test_a_catalog_starts_at_the_oldest_level(feeder: Feeder) -> None:
    assert feeder.catalog.level == OLDEST


def test_the_next_level_is_in_force_from_its_entry_on_and_after_a_restart(feeder: Feeder) -> None:
    before = feeder.catalog.digest()
    assert feeder.status(raise_to(2)) == "OK"
    assert feeder.catalog.level == 2
    assert feeder.catalog.digest() != before
    feeder.reopen()
    assert feeder.catalog.level == 2


@pytest.mark.parametrize("level", [0, 1, 3, 2**32 - 1])
def test_only_the_next_level_may_follow(feeder: Feeder, level: int) -> None:
    before = feeder.catalog.level
    assert feeder.status(raise_to(level)) == "INVALID"
    assert feeder.catalog.level == before


def test_the_same_level_twice_is_refused(feeder: Feeder) -> None:
    assert feeder.status(raise_to(2)) == "OK"
    assert feeder.status(raise_to(2)) == "INVALID"


def test_a_level_that_this_version_does_not_know_stops_it_before_anything_is_changed(feeder: Feeder) -> None:
    for level in range(OLDEST + 1, NEWEST + 1):
        assert feeder.status(raise_to(level)) == "OK"
    digest = feeder.catalog.digest()
    with pytest.raises(TooNew, match=f"at level {NEWEST + 1}; this is pixraft .* levels 1 to {NEWEST}"):
        feeder.one(raise_to(NEWEST + 1))
    feeder.reopen()
    assert (feeder.catalog.level, feeder.catalog.digest()) == (NEWEST, digest)


def test_a_new_cluster_may_be_raised_over_several_levels(tmp_path: Path) -> None:
    with Feeder(tmp_path / "new.db", stores=False, level=None) as new:
        assert new.status(raise_to(NEWEST, fresh=True)) == "OK"
        assert new.catalog.level == NEWEST


TOUCHES = [
    command("make_directory", path="/a"),
    command("register_store", node="n1", identity=b"1" * 16),
    command("put_user", user=commands.User(name="ada", home="/")),
    command("agree_on_secret", name="s", value=b"v"),
]


@pytest.mark.parametrize("touch", TOUCHES, ids=lambda touch: str(touch.WhichOneof("kind")))
def test_a_cluster_that_has_anything_is_not_new(tmp_path: Path, touch: commands.Command) -> None:
    with Feeder(tmp_path / "old.db", stores=False, level=None) as old:
        assert old.status(touch) == "OK"
        assert old.status(raise_to(NEWEST, fresh=True)) == "CHANGED"
        # The proposer starts anew: what it did before is remembered no more, but was done.
        old.boot, old.sequence = old.boot + 1, 0
        assert old.status(raise_to(NEWEST, fresh=True)) == "CHANGED"
        assert old.catalog.level == OLDEST


def test_the_members_that_were_asked_must_be_those_in_force(feeder: Feeder) -> None:
    feeder.index += 1
    feeder.catalog.configure(feeder.index, b"")
    configured = feeder.index
    assert feeder.status(raise_to(2, members=configured - 1)) == "CHANGED"
    assert feeder.status(raise_to(2, members=configured)) == "OK"


def test_what_is_above_the_level_stops_the_node_before_it_is_done(
    feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeder.one(raise_to(2))
    monkeypatch.setitem(COMMANDS, "make_directory", 3)
    levels.forget_plans()
    try:
        digest = feeder.catalog.digest()
        with pytest.raises(TooNew, match="the command make_directory needs level 3"):
            feeder.one(command("make_directory", path="/a"))
        feeder.reopen()
        assert feeder.catalog.digest() == digest
    finally:
        levels.forget_plans()


def test_at_level_1_what_came_later_is_passed_over_as_it_was_then(
    feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMANDS, "make_directory", 2)
    result = feeder.one(command("make_directory", path="/a"))
    assert (result.status, result.detail) == (commands.INVALID, "an unknown command")
    assert feeder.catalog.listing("/") == []


def test_a_snapshot_brings_its_level_along(feeder: Feeder, tmp_path: Path) -> None:
    feeder.one(raise_to(2))
    feeder.catalog.write_snapshot(tmp_path / "snapshot")
    with Feeder(tmp_path / "other" / "catalog.db", level=1) as other:
        other.catalog.install_snapshot(tmp_path / "snapshot")
        assert other.catalog.level == 2
        assert other.catalog.digest() == feeder.catalog.digest()


def test_a_snapshot_of_a_level_that_is_not_known_is_refused_before_anything_is_changed(
    feeder: Feeder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Feeder(tmp_path / "other" / "catalog.db", level=1) as other:
        other.make("/theirs")
        with monkeypatch.context() as later:
            later.setattr(levels, "NEWEST", NEWEST + 1)
            for level in range(OLDEST + 1, NEWEST + 2):
                assert other.status(raise_to(level)) == "OK"
            other.catalog.write_snapshot(tmp_path / "snapshot")
            other.catalog.close()
        feeder.make("/own")
        digest = feeder.catalog.digest()
        for _ in range(2):
            with pytest.raises(TooNew, match=f"at level {NEWEST + 1}"):
                feeder.catalog.prepare_snapshot(tmp_path / "snapshot")
            with pytest.raises(TooNew):
                feeder.catalog.install_snapshot(tmp_path / "snapshot")
        assert feeder.catalog.digest() == digest
        feeder.make("/more")


# What a catalog of each level consists of.


def test_the_schema_of_level_1_is_that_of_35711ca() -> None:
    """Until an upgrade is finished the version before must be able to read the catalog: this never changes."""
    assert SCHEMA_VERSION == 6
    assert sha256(repr(schema_at(1)).encode()).hexdigest() == SCHEMA_OF_35711CA


def test_the_schema_of_level_2_never_changes_either() -> None:
    """Catalogs at that level are compared with it when they are opened."""
    assert sha256(repr(schema_at(2)).encode()).hexdigest() == SCHEMA_OF_LEVEL_2


SCHEMA_OF_35711CA = "a490c8f588daac4bc2d30471b9d5761ec4d2b15e4cb50df6dc0958cf26d45d3c"
SCHEMA_OF_LEVEL_2 = "2afd076e735b886716e6e794d63aa6983a1333cd28d75b899168e9fb2d3546ce"


@pytest.mark.parametrize("level", range(OLDEST, NEWEST + 1))
def test_a_catalog_that_was_raised_has_the_schema_of_its_level(tmp_path: Path, level: int) -> None:
    with Feeder(tmp_path / "catalog.db", level=level) as made:
        made.catalog.settle()
        assert schema_of(made.catalog._database) == schema_at(level)


def test_every_table_is_part_of_the_digest() -> None:
    database = sqlite3.connect(":memory:", isolation_level=None)
    fill(database)
    Machine(database).migrate(NEWEST)
    tables = {row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables == {schema.name for schema in SCHEMAS}


# What decides at apply, and stands in no command.

DECIDES = {
    accounts: {
        **{"MAX_HASH": 1024, "MAX_REPLICAS": 5, "MAX_RULES": 64, "MAX_KEYS": 32, "MAX_KEY_LENGTH": 4096},
        **{"MAX_SESSIONS": 1_000_000, "RIGHTS": frozenset("elradfmwMToA")},
    },
    adoption: {"MAX_LOOKED_AT": 2_000},
    intents: {"MAX_SEALED": 16_384, "MAX_INTENTS": 64, "MAX_VALID_NS": 31 * 24 * 3600 * 10**9},
    jobs: {
        **{
            "MAX_OPEN": 1000,
            "KEPT": 1000,
            "KEPT_NS": 7 * 24 * 3600 * 10**9,
            "MAX_ATTEMPTS": 5,
            "MAX_TEXT": 1000,
        },
        **{"MAX_LEASE_NS": 24 * 3600 * 10**9, "MAX_COUNTS": 32, "MAX_STORES": 64},
    },
    longcontents: {"SLICE": 128},
    letters: {"ROLES": letters.ROLES | {"read-only": "elr"}},  # that of who is anonymous
    partials: {
        "MAX_PARTIALS": 10_000,
        "MAX_EXPIRED": 256,
        "MAX_EXPIRED_BYTES": 2 << 30,
        "AN_ENTRY": 4,
        "BYTES_AN_ENTRY": 256 << 20,
    },
    paths: {"MAX_NAME_BYTES": 255, "MAX_PATH_BYTES": 4096, "MAX_DEPTH": 128, "EXISTING": 8},
    quotas: {"NAMES": 10_000_000},
    refusals: {"MAX_INTEGER": 2**63 - 1, "MAX_BYTES": 2**60, "MAX_LABEL": 255},
    reservations: {"MAX_OF_OWNER": 1_000, "MAX_OF_NODE": 10_000},
    spans: {"COUNTED": 10_000},
    staging: {"MAX_OF_NODE": 1_000},
    types: {"MAX_CHUNKS": 8192},
}


def test_what_decides_at_apply_is_as_it_was() -> None:
    """Another value is another rule: nodes of two releases would replay one log to two states. It needs a level."""
    for module, values in DECIDES.items():
        assert {name: getattr(module, name) for name in values} == values


@pytest.mark.parametrize(
    ("before", "after"), [(b, a) for b in range(OLDEST, NEWEST + 1) for a in range(b, NEWEST + 1)]
)
def test_a_catalog_that_was_raised_is_opened_again(tmp_path: Path, before: int, after: int) -> None:
    with Feeder(tmp_path / "catalog.db", level=before) as feeder:
        feeder.one(command("put_user", user=commands.User(name="ada", home="/", rights="elr")))
        for level in range(before + 1, after + 1):
            assert feeder.status(command("set_level", level=level)) == "OK"
    with Feeder(tmp_path / "catalog.db") as feeder:
        assert feeder.catalog.level == after and feeder.catalog.user("ada") is not None
