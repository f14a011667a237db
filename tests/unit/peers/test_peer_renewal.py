"""Another certificate for a node that runs: made for its key, known to the others, shown in what is new."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from peer_networks import authority, identity, network, run_on, running
from waiting import until

from raftstore.cluster.membership.renewal import Renewal
from raftstore.cluster.membership.steward import Finish, Situation, Write, decide
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import DiskFailed, Invalid, OutcomeUnknown
from raftstore.peers import Identity, Reply, Role, create_authority
from raftstore.wire import commands_pb2 as commands

Intent = commands.Intent
OLD, NEW, NEWER = (letter * 32 for letter in (b"o", b"n", b"x"))


def fingerprint(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256())


def test_a_new_certificate_is_for_the_same_name_role_and_key() -> None:
    for role in Role:
        old = authority().issue("n1", role, days=5)
        pem = authority().renew(old.certificate, days=50)
        new = old.renewed(pem)
        assert (new.name, new.role, new.key, new.ca) == (old.name, old.role, old.key, old.ca)
        ends = [x509.load_pem_x509_certificate(each.certificate).not_valid_after_utc for each in (old, new)]
        assert 44 <= (ends[1] - ends[0]).days <= 46
        assert fingerprint(new.certificate) != fingerprint(old.certificate)


def test_what_does_not_fit_is_refused() -> None:
    mine = identity("n1")
    with pytest.raises(Invalid, match="has not issued"):
        create_authority().renew(mine.certificate)
    with pytest.raises(Invalid, match="has not issued"):
        authority().renew(b"nothing")
    with pytest.raises(Invalid, match="not for the key"):
        mine.renewed(identity("n2").certificate)
    with pytest.raises(Invalid, match="expired"):
        mine.renewed(authority().renew(mine.certificate, days=-1))
    with pytest.raises(Invalid, match="PEM"):
        mine.renewed(b"nothing")
    stranger = create_authority()
    key = x509.load_pem_x509_certificate(mine.certificate).public_key()
    with pytest.raises(Invalid, match="authority of this cluster"):
        mine.renewed(stranger._signed("n1", Role.NODE, key, 9))  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="not that of node n1"):
        mine.renewed(authority()._signed("n2", Role.NODE, key, 9))  # type: ignore[arg-type]


async def ask(nets: dict[str, Any], source: str, target: str) -> bytes:
    reply: Reply = await nets[source].call(target, "who", b"", timeout=20)
    return bytes(reply.body)


@pytest.mark.parametrize("loop", ["asyncio"])
def test_connections_go_on_and_new_ones_show_the_new_certificate(loop: str) -> None:
    def prepare(nets: dict[str, Any]) -> None:
        async def who(peer: Any, _body: bytes, _payload: memoryview) -> Reply:
            return Reply(peer.certificate)

        for net in nets.values():
            net.serve("who", who)

    async def main() -> None:
        async with running(prepare=prepare) as nets:
            addresses = {name: net.address for name, net in nets.items()}
            old = identity("a").certificate
            pem = authority().renew(old, days=99)
            await until(lambda: nets["a"].reachable("b") and nets["b"].reachable("a"))
            nets["b"].set_members(addresses, {"a": {fingerprint(old)}})
            await until(lambda: nets["a"].reachable("b") and nets["b"].reachable("a"))
            nets["b"].set_members(addresses, {"a": {fingerprint(old), fingerprint(pem)}})
            there = set(nets["b"]._incoming)
            nets["a"].renew(identity("a").renewed(pem))
            assert nets["a"].identity.certificate == pem
            assert await ask(nets, "a", "b") == fingerprint(old)  # the connection that there was
            assert there <= set(nets["b"]._incoming)
            nets["a"].set_members({})
            nets["a"].set_members(addresses)
            await until(lambda: nets["a"].reachable("b"))
            assert await ask(nets, "a", "b") == fingerprint(pem)
            # The one before is let in no more, and where another one is known, neither is this one.
            nets["b"].set_members(addresses, {"a": {fingerprint(pem), NEW}})
            await until(lambda: nets["a"].reachable("b"))
            nets["b"].set_members(addresses, {"a": {NEW}})
            await until(lambda: not nets["b"].reachable("a") and not nets["a"].reachable("b"))

    run_on(loop, main())


def test_configurations_with_a_renewed_certificate() -> None:
    three = Configuration.of(["n1", "n2"]).with_learner("n3", "h:1", OLD)
    once = three.with_certificate("n3", NEW)
    assert once.by_name["n3"].certificates == {OLD, NEW}
    twice = once.with_certificate("n3", NEWER)
    assert twice.by_name["n3"].certificates == {NEW, NEWER}
    for each in (three, once, twice):
        assert Configuration.decode(each.encode()) == each
    for name in ("n1", "n9"):  # of which any is let in; who is none
        with pytest.raises(Invalid):
            three.with_certificate(name, NEW)


def test_the_steward_makes_it_known() -> None:
    three = Configuration.of(["n1", "n2"]).with_learner("n3", "h:1", OLD)

    def decided(configuration: Configuration, node: str = "n3") -> Any:
        situation = Situation("n1", configuration, frozenset(), lambda _: True, lambda _: True)
        return decide(situation, Intent(kind=Intent.RENEW, node=node, certificate=NEW))

    action = decided(three)
    assert isinstance(action, Write)
    assert isinstance(decided(action.step(three, 9)), Finish)
    assert isinstance(decided(three, "n1"), Finish) and isinstance(decided(three, "n9"), Finish)


class Wishes:
    def __init__(self, configuration: Configuration, *, carried_out: bool) -> None:
        self.roster: Any = SimpleNamespace(committed=(5, configuration))
        self.wanted: list[Intent] = []
        self._carried_out = carried_out

    async def intend(self, intent: Intent) -> None:
        self.wanted.append(intent)
        if self._carried_out:
            changed = self.roster.committed[1].with_certificate(intent.node, intent.certificate)
            self.roster.committed = (6, changed)

    async def until(self, agreed: Any) -> None:
        if not agreed(self.roster.committed[1]):
            await asyncio.Event().wait()


def renewal(wishes: Wishes, file: Path) -> tuple[Any, Renewal]:
    net = network("n1")
    return net, Renewal(net, wishes, file)


def test_the_file_is_replaced_when_the_members_know_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine: Identity = identity("n1")
    mine.save(tmp_path)
    file = tmp_path / "node.pem"
    pem = authority().renew(mine.certificate, days=77)
    known = Configuration.of(["n2"]).with_learner("n1", "h:1", fingerprint(mine.certificate))

    async def main() -> None:
        unknown = Wishes(Configuration.of(["n1"]), carried_out=False)  # any is let in: nobody is asked
        net, renew = renewal(unknown, file)
        await renew(pem, level=1)
        assert file.read_bytes() == pem == net.identity.certificate and not unknown.wanted
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

        file.write_bytes(mine.certificate)
        wishes = Wishes(known, carried_out=True)
        net, renew = renewal(wishes, file)
        with pytest.raises(Invalid, match="upgrade"):
            await renew(pem, level=2)
        await renew(pem, level=3)
        await renew(pem, level=3)  # again: it is known
        (intent,) = wishes.wanted
        assert (intent.kind, intent.node, intent.certificate) == (Intent.RENEW, "n1", fingerprint(pem))
        assert file.read_bytes() == pem == net.identity.certificate

        monkeypatch.setattr("raftstore.cluster.membership.renewal.KNOWN_WITHIN", 0.05)
        file.write_bytes(mine.certificate)
        net, renew = renewal(Wishes(known, carried_out=False), file)
        with pytest.raises(OutcomeUnknown):
            await renew(pem, level=3)
        assert file.read_bytes() == mine.certificate == net.identity.certificate

        net, renew = renewal(unknown, tmp_path / "gone" / "node.pem")
        with pytest.raises(DiskFailed):
            await renew(pem, level=3)
        assert net.identity.certificate == mine.certificate

    asyncio.run(main())
