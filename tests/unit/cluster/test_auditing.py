"""Every call that changes something is recorded by one recorder: by its own command where there is one, else beside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs
from waiting import until

from raftstore.cluster import auditing
from raftstore.cluster.auditing import LEFT_OUT, Auditor, arguments_of
from raftstore.cluster.calls.accounts import put_user
from raftstore.cluster.calls.members import intend
from raftstore.errors import AlreadyExists, Invalid, NoQuorum, OutcomeUnknown, Refused, StoreError
from raftstore.peers import Peer, Role
from raftstore.peers.calls import Answered
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands

OLGA = Peer("olga", Role.ADMIN, address="192.0.2.7")
PUT = admin.UserPut(name="anna", password_hash="$argon2id$secret", create=True)


class Log:
    """What commands leave behind: those that are applied, and records of their own."""

    def __init__(self, level: int = 3) -> None:
        self.level = level
        self.auditor = Auditor("n1", lambda: self.level, self.propose)
        self.carried: list[commands.Audit | None] = []
        self.records: list[commands.RecordAudit] = []
        self.failing: list[StoreError] = []

    async def propose(self, command: commands.Command) -> commands.Result:
        """As `RunningNode.propose`."""
        asked = self.auditor.carry(command)
        await asyncio.sleep(0)
        if self.failing:
            raise self.failing.pop(0)
        if command.HasField("record_audit"):
            assert asked is None
            self.records.append(command.record_audit)
        else:
            self.carried.append(command.audit if command.HasField("audit") else None)
            if asked is not None:
                asked.recorded = True
        return commands.Result()

    async def change(self) -> admin.UserReply:
        """What a call does that changes something."""
        await self.propose(commands.Command(put_user=commands.PutUser()))
        return admin.UserReply()

    async def ask(
        self,
        answer: Callable[[], Awaitable[Any]],
        call: Answered[Any, Any, Any] = put_user,
        request: Any = PUT,
        peer: Peer = OLGA,
    ) -> Any:
        """Ask a call that is answered so."""
        return await self.auditor.recorded(call, peer, request, answer)

    def codes(self) -> list[str]:
        """What the records of their own say."""
        return [record.code for record in self.records]


def run(main: Callable[[Log], Awaitable[object]], level: int = 3) -> Log:
    async def all_of_it() -> Log:
        log = Log(level)
        await main(log)
        await log.auditor.stop()
        return log

    return asyncio.run(all_of_it())


def refusing(error: BaseException) -> Callable[[], Awaitable[Any]]:
    async def answer() -> Any:
        raise error

    return answer


def test_a_command_carries_who_asked_for_it() -> None:
    log = run(lambda log: log.ask(log.change))
    (audit,) = log.carried
    assert audit is not None
    assert (audit.caller, audit.role, audit.address, audit.node) == ("olga", "admin", "192.0.2.7", "n1")
    assert (audit.method, len(audit.call)) == ("admin.user_put", 16)
    assert json.loads(audit.arguments) == {"name": "anna", "password_hash": LEFT_OUT, "create": True}
    assert log.records == []


def test_of_several_commands_the_first_that_is_done_carries_it() -> None:
    async def answer(log: Log) -> admin.UserReply:
        log.failing = [AlreadyExists("anna")]
        with pytest.raises(AlreadyExists):
            await log.change()
        await log.change()
        return await log.change()

    log = run(lambda log: log.ask(lambda: answer(log)))
    assert [audit is not None for audit in log.carried] == [True, False]
    assert log.records == []


def test_commands_of_nobodys_call_carry_nothing() -> None:
    async def main(log: Log) -> None:
        await log.change()
        with pytest.raises(AlreadyExists):
            await log.ask(refusing(AlreadyExists("anna")))
        await log.change()

    log = run(main)
    assert log.carried == [None, None]


def test_what_a_call_has_started_is_not_the_call() -> None:
    async def answer(log: Log) -> admin.UserReply:
        started.append(asyncio.create_task(log.change()))
        await started[0]
        return admin.UserReply()

    started: list[asyncio.Task[Any]] = []
    log = run(lambda log: log.ask(lambda: answer(log)))
    assert log.carried == [None]
    assert log.codes() == [""], "it is done, and no entry of its own has said so"


def test_a_refusal_is_recorded_before_it_is_told() -> None:
    async def main(log: Log) -> None:
        with pytest.raises(AlreadyExists):
            await log.ask(refusing(AlreadyExists("user anna")))
        assert [(record.code, record.detail) for record in log.records] == [
            ("AlreadyExists", "It exists already: user anna")
        ]

    log = run(main)
    assert log.records[0].audit.caller == "olga"


def test_what_fails_at_the_node_is_recorded_without_its_inside() -> None:
    async def main(log: Log) -> None:
        with pytest.raises(RuntimeError):
            await log.ask(refusing(RuntimeError("inside")))

    assert [(record.code, record.detail) for record in run(main).records] == [
        ("StoreError", "The store could not do what was asked: the node failed with RuntimeError")
    ]


def test_a_call_without_a_command_is_recorded_before_it_is_answered() -> None:
    async def answer() -> admin.UserReply:
        return admin.UserReply()

    async def main(log: Log) -> None:
        await log.ask(answer)
        assert log.codes() == [""]

    run(main)


def test_who_does_not_wait_leaves_a_doubt() -> None:
    async def main(log: Log) -> None:
        waiting = asyncio.Event()

        async def answer() -> admin.UserReply:
            waiting.set()
            await asyncio.Event().wait()
            return admin.UserReply()

        asking = asyncio.create_task(log.ask(answer))
        await waiting.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: bool(log.records))

    assert run(main).codes() == ["OutcomeUnknown"]


def test_a_record_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(log: Log) -> None:
        log.failing = [NoQuorum("no leader"), OutcomeUnknown("10 s")]
        with pytest.raises(AlreadyExists):
            await log.ask(refusing(AlreadyExists("anna")))

    monkeypatch.setattr(auditing, "RETRY", 0.0)
    log = run(main)
    assert log.codes() == ["AlreadyExists"]
    assert log.auditor.lost() == 0


@pytest.mark.parametrize(("error", "patience"), [(Invalid("above the level"), 600.0), (NoQuorum("none"), -1.0)])
def test_a_record_that_cannot_be_written_is_counted(
    monkeypatch: pytest.MonkeyPatch, error: StoreError, patience: float
) -> None:
    async def main(log: Log) -> None:
        log.failing = [error]
        with pytest.raises(AlreadyExists):
            await log.ask(refusing(AlreadyExists("anna")))

    monkeypatch.setattr(auditing, "PATIENCE", patience)
    with capture_logs() as lines:
        log = run(main)
    assert log.auditor.lost() == 1
    assert [(line["event"], line["call"]) for line in lines] == [
        ("a record of the audit log is lost", "admin.user_put")
    ]


def test_an_answer_does_not_wait_for_a_record_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(log: Log) -> None:
        log.failing = [NoQuorum("no leader")] * 1_000
        with pytest.raises(AlreadyExists):
            await log.ask(refusing(AlreadyExists("anna")))
        log.failing = []
        await until(lambda: bool(log.records))

    monkeypatch.setattr(auditing, "ANSWER", 0.0)
    monkeypatch.setattr(auditing, "RETRY", 0.01)
    assert run(main).codes() == ["AlreadyExists"]


def test_too_many_refusals_of_one_are_counted_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(log: Log) -> None:
        for _ in range(5):
            with pytest.raises(AlreadyExists):
                await log.ask(refusing(AlreadyExists("anna")))
        with pytest.raises(AlreadyExists):
            await log.ask(refusing(AlreadyExists("anna")), peer=Peer("otto", Role.ADMIN))
        await log.ask(log.change)

    monkeypatch.setattr(auditing, "REFUSALS", (0.0, 3.0))
    log = run(main)
    assert [(record.audit.caller, record.omitted) for record in log.records] == [
        *[("olga", 0)] * 3,
        ("otto", 2),
    ]
    assert len(log.carried) == 1, "what is done is always recorded"


def test_who_may_not_ask_at_all_is_recorded_without_arguments() -> None:
    async def main(log: Log) -> None:
        log.auditor.takes("admin.intent")
        log.auditor.refused(Peer("n2", Role.NODE), "admin.intent", Refused("not for nodes"))
        log.auditor.refused(Peer("n2", Role.NODE), "raft.snapshot.open", Refused("not for admins"))
        await until(lambda: bool(log.records))

    (record,) = run(main).records
    assert (record.audit.method, record.audit.caller, record.audit.role, record.code) == (
        "admin.intent",
        "n2",
        "node",
        "Refused",
    )


def test_before_its_level_nothing_is_recorded_and_what_raises_it_is() -> None:
    async def raises(log: Log) -> admin.Upgrade:
        log.level = 3
        return admin.Upgrade()

    async def main(log: Log) -> None:
        await log.ask(log.change)
        with pytest.raises(AlreadyExists):
            await log.ask(refusing(AlreadyExists("anna")))
        assert (log.carried, log.records) == ([None], [])
        await log.ask(lambda: raises(log))

    assert run(main, level=2).codes() == [""]


def test_an_intent_is_shown_without_its_secrets() -> None:
    intent = commands.Intent(
        id=b"i" * 16, kind=commands.Intent.REMOVE, node="n3", token_key=b"k" * 32, sealed=b"s" * 99, force=True
    )
    request = admin.Intend(intent=intent.SerializeToString())
    log = run(lambda log: log.ask(log.change, call=intend, request=request))
    (audit,) = log.carried
    assert audit is not None
    assert json.loads(audit.arguments) == {
        "id": "(16 bytes)",
        "kind": "remove",
        "node": "n3",
        "force": True,
        "token_key": "(32 bytes)",
        "sealed": "(99 bytes)",
    }
    log = run(lambda log: log.ask(log.change, call=intend, request=admin.Intend(intent=b"\xff")))
    assert log.carried[0] is not None
    assert log.carried[0].arguments == '{"intent": "(1 bytes)"}'


def test_arguments_are_cut() -> None:
    shown = json.loads(arguments_of(admin.UserPut(name="n" * 500, add_keys=[f"key {n}" for n in range(50)])))
    assert shown["name"] == "n" * auditing.TEXT + "..."
    assert len(shown["add_keys"]) == auditing.ITEMS + 1
    assert shown["add_keys"][-1] == "and 30 more"
    large = admin.UserPut(
        **{f: ["x" * 500] * 50 for f in ("add_keys", "drop_keys", "drop_rules")},
        set_rules=[admin.Rule(path="y" * 500, rights="r")] * 50,
    )
    text = arguments_of(large)
    assert len(text) < 1_000
    assert json.loads(text)["too_long"] > 8_192
