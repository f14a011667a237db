"""The audit log in the catalog: written by the entry that does what was asked, once a call, bounded, the same after a
replay and a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import NOW, Feeder, command

from raftstore.cluster.auditing import AuditFeed, AuditTrimming
from raftstore.cluster.settings import AuditSettings
from raftstore.errors import EventsLost, Invalid
from raftstore.metadata.results import accepted
from raftstore.metadata.tables.events import audit as audit_table
from raftstore.metadata.tables.events.audit import AuditLog, AuditRecord
from raftstore.wire import commands_pb2 as commands

HOUR = 3600 * 10**9


@pytest.fixture
def feeder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feeder]:
    """What was done is done again in the end, by the same bounds: those that a test sets."""
    with Feeder(tmp_path / "catalog.db") as made:
        yield made
        made.check_replay(tmp_path / "replayed" / "catalog.db")


def audit(call: int, **fields: str) -> commands.Audit:
    texts = {
        "caller": "olga",
        "role": "admin",
        "address": "192.0.2.7",
        "node": "n1",
        "method": "admin.user_put",
    }
    return commands.Audit(call=bytes([call]) * 16, **(texts | fields))


def asked(call: int, built: commands.Command) -> commands.Command:
    built.audit.CopyFrom(audit(call))
    return built


def put_user(name: str, *, create: bool = True) -> commands.Command:
    user = commands.User(name=name, password_hash="$argon2id$", home="/", rights="r")
    return command("put_user", user=user, create=create)


def refusal(call: int, code: str, **fields: int | str) -> commands.Command:
    return command("record_audit", audit=audit(call), code=code, **fields)


def records(feeder: Feeder, after: int = 0) -> list[AuditRecord]:
    return feeder.catalog.ask(AuditLog, lambda log: log.after(after, 100_000))


def outcomes(feeder: Feeder) -> list[tuple[int, int, str]]:
    return [(each.number, each.call[0], each.code) for each in records(feeder)]


async def nothing() -> None:
    """A barrier of a catalog that is alone."""


def test_what_is_done_is_recorded_by_its_own_entry(feeder: Feeder) -> None:
    assert feeder.status(asked(1, put_user("anna"))) == "OK"
    assert records(feeder) == [
        AuditRecord(
            number=1,
            entry=feeder.index,
            time_ns=records(feeder)[0].time_ns,
            call=bytes([1]) * 16,
            caller="olga",
            role="admin",
            address="192.0.2.7",
            node="n1",
            method="admin.user_put",
            arguments="",
            code="",
            detail="",
            omitted=0,
        )
    ]


def test_what_is_refused_at_apply_leaves_its_record_to_who_proposed_it(feeder: Feeder) -> None:
    assert feeder.status(put_user("anna")) == "OK"
    assert feeder.status(asked(1, put_user("anna"))) == "EXISTS"
    assert records(feeder) == []
    assert feeder.status(refusal(1, "AlreadyExists", detail="user anna", omitted=3)) == "OK"
    (record,) = records(feeder)
    assert (record.code, record.detail, record.omitted) == ("AlreadyExists", "user anna", 3)


def test_a_repeated_operation_is_recorded_once(feeder: Feeder) -> None:
    operation = feeder.operation(asked(1, put_user("anna")))
    feeder.apply(operation)
    feeder.apply(operation)
    assert outcomes(feeder) == [(1, 1, "")]


def test_a_call_of_several_commands_is_recorded_once_and_what_stopped_it_as_well(feeder: Feeder) -> None:
    for name in ("anna", "bob"):
        assert feeder.status(asked(1, put_user(name))) == "OK"
    for code in ("Changed", "Changed", "OutcomeUnknown", ""):
        assert feeder.status(refusal(1, code)) == "OK"
    assert outcomes(feeder) == [(1, 1, ""), (2, 1, "Changed")]


def test_what_came_to_be_done_after_all_is_recorded_after_the_doubt(feeder: Feeder) -> None:
    assert feeder.status(refusal(1, "OutcomeUnknown")) == "OK"
    assert feeder.status(asked(1, put_user("anna"))) == "OK"
    assert outcomes(feeder) == [(1, 1, "OutcomeUnknown"), (2, 1, "")]


def test_texts_are_cut(feeder: Feeder) -> None:
    built = put_user("anna")
    built.audit.CopyFrom(audit(1, caller="c" * 999, arguments="x" * 9_999))
    feeder.one(built)
    feeder.one(command("record_audit", audit=audit(2), code="Y" * 999, detail="d" * 9_999))
    done, refused = records(feeder)
    assert (len(done.caller), len(done.arguments)) == (audit_table.NAME, audit_table.ARGUMENTS)
    assert (len(refused.code), len(refused.detail)) == (audit_table.NAME, audit_table.DETAIL)


def test_it_is_bounded_whoever_leads(feeder: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_table, "MAX_KEPT", 3)
    for call in range(1, 7):
        feeder.one(refusal(call, "NotFound"))
    assert outcomes(feeder) == [(number, number, "NotFound") for number in (4, 5, 6)]


def test_trimming_leaves_the_newest_and_numbers_go_on(feeder: Feeder) -> None:
    for call in range(1, 5):
        feeder.one(refusal(call, "NotFound"))
    assert feeder.one(command("trim_audit", up_to=2)).removed == 2
    assert feeder.one(command("trim_audit", up_to=2**64 - 1)).removed == 1
    assert outcomes(feeder) == [(4, 4, "NotFound")]
    feeder.reopen()
    feeder.one(refusal(5, "NotFound"))
    assert outcomes(feeder)[-1] == (5, 5, "NotFound")


def test_one_command_trims_so_many(feeder: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_table, "MAX_TRIMMED", 2)
    for call in range(1, 7):
        feeder.one(refusal(call, "NotFound"))
    assert [feeder.one(command("trim_audit", up_to=5)).removed for _ in range(4)] == [2, 2, 1, 0]


def test_the_leader_trims_by_number_and_by_cluster_time(feeder: Feeder) -> None:
    async def propose(built: commands.Command) -> commands.Result:
        return accepted(feeder.one(built).SerializeToString())

    def trim(**settings: int) -> bool:
        work = AuditTrimming(
            AuditSettings(**settings), catalog=feeder.catalog, leads=lambda: leads, propose=propose
        )
        return asyncio.run(work.look())

    # What was recorded before the cluster was told the time counts from then.
    feeder.one(refusal(1, "NotFound"))
    feeder.one(command("advance_clock", time_ns=NOW, limit=256))
    for call in range(2, 4):
        feeder.one(refusal(call, "NotFound"))
    for minute in range(1, 121):
        feeder.one(command("advance_clock", time_ns=NOW + minute * HOUR // 60, limit=256))
    for call in range(4, 7):
        feeder.one(refusal(call, "NotFound"))
    leads = False
    assert not trim(age=3600)
    assert len(records(feeder)) == 6
    leads = True
    assert not trim(age=3600 * 3)
    assert len(records(feeder)) == 6
    assert not trim(age=3600)
    assert [each.number for each in records(feeder)] == [4, 5, 6]
    assert not trim(records=2)
    assert [each.number for each in records(feeder)] == [5, 6]


def test_before_its_level_there_is_none(tmp_path: Path) -> None:
    with Feeder(tmp_path / "old.db", level=2) as feeder:
        with pytest.raises(Invalid, match="no audit log before the cluster is upgraded"):
            asyncio.run(AuditFeed(feeder.catalog, nothing).bounds())
        reason = feeder.catalog.refusal(asked(1, put_user("anna")).SerializeToString())
        assert reason is not None
        assert "Command.audit needs level 3" in reason
        assert feeder.status(command("set_level", level=3)) == "OK"
        assert feeder.status(asked(1, put_user("anna"))) == "OK"
        assert outcomes(feeder) == [(1, 1, "")]


def test_a_snapshot_brings_it_and_wakes_who_waits(feeder: Feeder, tmp_path: Path) -> None:
    feeder.one(refusal(1, "NotFound"))
    source = tmp_path / "snapshot"
    feeder.catalog.write_snapshot(source)

    async def main() -> list[AuditRecord]:
        with Feeder(tmp_path / "other.db") as other:
            feed = AuditFeed(other.catalog, nothing)
            waiting = asyncio.create_task(feed.waited_page(0, 30))
            await asyncio.sleep(0)
            assert await feed.waited_page(0, 0) == []
            await asyncio.to_thread(other.catalog.prepare_snapshot, source)
            other.catalog.install_snapshot(source)
            return await waiting

    assert [each.call[0] for each in asyncio.run(main())] == [1]


def test_who_asks_for_what_is_gone_is_told(feeder: Feeder) -> None:
    for call in range(1, 5):
        feeder.one(refusal(call, "NotFound"))
    feeder.one(command("trim_audit", up_to=2))
    feed = AuditFeed(feeder.catalog, nothing)
    assert asyncio.run(feed.bounds()) == (3, 4)
    for after, why in (
        (1, "1 is not kept any more: there are 3 to 4"),
        (5, "5 is yet to come: the last one is 4"),
    ):
        with pytest.raises(EventsLost, match=why):
            asyncio.run(feed.page(after))
