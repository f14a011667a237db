"""Who the members are, as part of the replicated state, and what is wanted of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftstore.consensus.membership.configuration import Configuration
from raftstore.metadata import Catalog
from raftstore.metadata.tables.cluster.intents import MAX_INTENTS, MAX_VALID_NS
from raftstore.wire import commands_pb2 as commands

Intent = commands.Intent
NOW = 1_000_000_000_000
THREE = Configuration.of(["n1", "n2", "n3"])


class Fed:
    """A catalog that is given commands one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.catalog = Catalog(path)
        self.index = self.catalog.applied_index
        self.sequence = 0
        self.now = NOW

    def do(self, **command) -> tuple[int, str]:
        self.index += 1
        self.sequence += 1
        identity = commands.OperationId(node="n1", boot=self.index, sequence=1)
        data = commands.Command(**command).SerializeToString()
        batch = commands.Batch(operations=[commands.Operation(id=identity, time_ns=self.now, command=data)])
        result = commands.Result.FromString(self.catalog.apply(self.index, batch.SerializeToString())[0])
        return result.status, result.detail

    def configure(self, configuration: Configuration) -> None:
        self.index += 1
        self.catalog.configure(self.index, configuration.encode())

    def want(self, kind, node: str, number: int = 1, **fields) -> tuple[int, str]:
        intent = Intent(id=bytes([number]) * 16, kind=kind, node=node, **fields)
        return self.do(put_intent=commands.PutIntent(intent=intent))

    def invite(self, node: str, number: int = 1, **fields) -> tuple[int, str]:
        whole = {
            "token_key": b"k" * 32,
            "certificate": b"c" * 32,
            "sealed": b"sealed",
            "expires_ns": self.now + 10**9,
            **fields,
        }
        return self.want(Intent.JOIN, node, number, **whole)

    def redeem(self, number: int = 1, nonce: bytes = b"n" * 16, address: str = "h:1") -> tuple[int, str]:
        return self.do(redeem_token=commands.RedeemToken(id=bytes([number]) * 16, nonce=nonce, address=address))

    def finish(self, number: int = 1) -> tuple[int, str]:
        return self.do(finish_intent=commands.FinishIntent(id=bytes([number]) * 16))


@pytest.fixture
def fed(tmp_path):
    fed = Fed(tmp_path / "catalog.db")
    fed.configure(THREE)
    yield fed
    fed.catalog.close()


def test_the_configuration_is_kept_with_its_index(fed, tmp_path):
    four = THREE.with_learner("n4", "h:1", b"4" * 32)
    fed.configure(four)
    assert fed.catalog.configuration == (2, four.encode())
    fed.catalog.configure(1, THREE.encode())
    assert fed.catalog.configuration[0] == 2, "an earlier entry changes nothing"
    target = tmp_path / "snapshot"
    fed.catalog.write_snapshot(target)
    fed.catalog.close()
    fed.catalog = Catalog(fed.path)
    assert fed.catalog.configuration == (2, four.encode())
    other = Catalog(tmp_path / "other.db")
    assert other.configuration == (0, b"")
    assert other.install_snapshot(target) == 2
    assert other.configuration == (2, four.encode())
    other.close()


def test_the_stores_of_who_is_gone_are_lost(fed):
    for name in ("n1", "n2"):
        register = commands.RegisterStore(node=name, identity=name.encode() * 8)
        assert fed.do(register_store=register)[0] == commands.OK
    fed.configure(THREE.without("n2", 9))
    assert {store.node: store.current for store in fed.catalog.stores()} == {"n1": True, "n2": False}


def test_a_token_is_used_once(fed):
    assert fed.invite("n4")[0] == commands.OK
    assert fed.redeem()[0] == commands.OK
    (intent,) = fed.catalog.intents()
    assert (intent.nonce, intent.address, intent.done) == (b"n" * 16, "h:1", False)
    assert fed.redeem()[0] == commands.OK, "the same request again, whose reply was lost"
    for other in ({"nonce": b"m" * 16}, {"address": "elsewhere:1"}):
        status, detail = fed.redeem(**other)
        assert status == commands.INVALID
        assert "used already" in detail
    assert fed.finish()[0] == commands.OK
    assert fed.catalog.intents()[0].done
    assert "used already" in fed.redeem(nonce=b"m" * 16)[1]


def test_a_token_expires_and_is_forgotten(fed):
    assert fed.invite("n4")[0] == commands.OK
    fed.now += 10**9
    status, detail = fed.redeem()
    assert status == commands.INVALID
    assert "expired" in detail
    assert fed.invite("n4", 2)[0] == commands.OK, "the expired one stands in the way of nothing"
    assert [intent.id for intent in fed.catalog.intents()] == [b"\2" * 16]
    assert "does not know" in fed.redeem()[1]


def test_a_used_token_is_not_forgotten_before_it_is_carried_out(fed):
    assert fed.invite("n4")[0] == commands.OK
    assert fed.redeem()[0] == commands.OK
    fed.now += MAX_VALID_NS
    assert fed.want(Intent.REMOVE, "n1", 2)[0] == commands.OK
    assert len(fed.catalog.intents()) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"token_key": b""},
        {"certificate": b"c"},
        {"sealed": b""},
        {"sealed": bytes(100_000)},
        {"expires_ns": NOW},
        {"expires_ns": NOW + MAX_VALID_NS + 1},
        {"replaces": "n9"},
        {"node": "n1"},
        {"node": ""},
        {"node": "n\n4"},
    ],
)
def test_unusable_tokens_are_refused(fed, fields):
    assert fed.invite(**{"node": "n4", **fields})[0] in (commands.INVALID, commands.EXISTS, commands.NOT_FOUND)
    assert not fed.catalog.intents()


def test_unusable_changes_are_refused(fed):
    assert fed.want(Intent.REMOVE, "n9") == (commands.NOT_FOUND, "node n9; the cluster has n1, n2, n3")
    assert fed.want(Intent.MOVE, "n9", address="h:1")[0] == commands.NOT_FOUND
    assert fed.want(Intent.MOVE, "n1")[0] == commands.INVALID
    assert fed.finish()[0] == commands.INVALID
    assert fed.redeem()[0] == commands.INVALID


def test_one_open_change_a_node(fed):
    assert fed.want(Intent.REMOVE, "n1", 1)[0] == commands.OK
    assert fed.redeem(1)[0] == commands.INVALID, "not a token"
    for number, attempt in enumerate(
        [
            lambda n: fed.want(Intent.MOVE, "n1", n, address="h:1"),
            lambda n: fed.invite("n1", n, replaces="n1"),
            lambda n: fed.invite("n4", n, replaces="n1"),
        ],
        2,
    ):
        assert attempt(number)[0] == commands.EXISTS
    assert fed.want(Intent.REMOVE, "n2", 9)[0] == commands.OK
    assert fed.finish(1)[0] == commands.OK
    assert [intent.node for intent in fed.catalog.intents()] == ["n2"]
    assert fed.want(Intent.MOVE, "n1", 10, address="h:1")[0] == commands.OK


def test_what_stands_is_bounded(fed):
    for number in range(MAX_INTENTS):
        assert fed.invite(f"x{number}", number + 1)[0] == commands.OK
    assert fed.invite("one-more", 200)[0] == commands.INVALID


def test_intents_survive_a_restart_in_order(fed):
    for number in (3, 1, 2):
        assert fed.invite(f"x{number}", number)[0] == commands.OK
    fed.catalog.close()
    fed.catalog = Catalog(fed.path)
    assert [intent.node for intent in fed.catalog.intents()] == ["x3", "x1", "x2"]
