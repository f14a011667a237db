"""Real nodes join, leave, are replaced and move while clients upload."""

from __future__ import annotations

import ftplib
import hashlib
import io
import random
import shutil
import threading
import time
from collections.abc import Iterator

import pytest
from harness import Cluster
from members import REMOVED, Failed, Members, pixraft
from waiting import PATIENCE, eventually

from ftpgateway.demo import ports
from ftpgateway.demo.cluster import Node
from raftstore.util.addresses import Address

DEADLINE = 60.0
"""Seconds in which one upload must end, well or not: longer than all deadlines inside together (read barriers, a chunk,
a command)."""


@pytest.fixture
def cluster(tmp_path) -> Iterator[Cluster]:
    with Cluster(tmp_path / "cluster") as cluster:
        yield cluster


class Load:
    """Uploads small pictures through whatever nodes there are, from threads, and remembers what was acknowledged."""

    def __init__(self, cluster: Cluster, clients: int = 3, label: str = "load") -> None:
        self.cluster = cluster
        self.label = label
        self.acknowledged: dict[str, bytes] = {}
        self.errors = 0
        self.slow: list[float] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(n,)) for n in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _client(self, which: int) -> None:
        chance, number = random.Random(which), 0
        while not self._stop.is_set():
            number += 1
            name, data = f"{self.label}-{which}-{number}.jpg", chance.randbytes(20_000)
            began = time.monotonic()
            try:
                with self.cluster.login(chance.choice(list(self.cluster.names))) as ftp:
                    ftp.storbinary(f"STOR /{name}", io.BytesIO(data))
                self.acknowledged[name] = hashlib.sha256(data).digest()
            except (OSError, EOFError, KeyError, ftplib.Error):
                self.errors += 1
            took = time.monotonic() - began
            if took > DEADLINE:
                self.slow.append(took)

    def check(self) -> None:
        """Everything acknowledged is there, by name at every node, and nobody waited longer than a deadline.

        Each picture is read whole at one of the nodes, in turn.
        """
        assert len(self.acknowledged) > 10
        assert not self.slow
        acknowledged, nodes = sorted(self.acknowledged.items()), list(self.cluster.names)
        for place, node in enumerate(nodes):
            with self.cluster.login_when_served(node) as ftp:
                assert self.acknowledged.keys() <= set(ftp.nlst()), node
                for name, digest in acknowledged[place :: len(nodes)]:
                    assert hashlib.sha256(fetch(ftp, name)).digest() == digest, (node, name)


def fetch(ftp: ftplib.FTP, name: str) -> bytes:
    received = bytearray()
    ftp.retrbinary(f"RETR /{name}", received.extend)
    return bytes(received)


def test_a_fourth_and_a_fifth_node_under_load(cluster):
    members = Members(cluster)
    with Load(cluster) as load:
        eventually(lambda: len(load.acknowledged) > 10)
        members.add("n4")
        members.add("n5")
        assert members.voters() == {"n1", "n2", "n3", "n4", "n5"}
        before = len(load.acknowledged)
        eventually(lambda: len(load.acknowledged) > before + 10)
    load.check()
    cluster.wait_verdict("healthy")
    # Two of five may go now.
    cluster.kill("n1", "n2")
    cluster.names[:] = ["n3", "n4", "n5"]
    load.check()
    # And come back, to other members than their configuration files name.
    cluster.names[:] = ["n1", "n2", "n3", "n4", "n5"]
    for name in ("n1", "n2"):
        cluster.start_node(name)
        cluster.wait_ready(name)
    cluster.wait_verdict("healthy")


def test_a_follower_and_then_the_leader_are_removed(cluster):
    members = Members(cluster)
    members.add("n4")
    with Load(cluster) as load:
        eventually(lambda: len(load.acknowledged) > 10)
        follower = cluster.follower(besides="n4")
        assert members.remove(follower) == REMOVED
        assert "removed from the cluster" in members.log(follower)
        members.add("n5")
        leader = cluster.leader()
        assert members.remove(leader) == REMOVED
        before = len(load.acknowledged)
        eventually(lambda: len(load.acknowledged) > before + 10)
    load.check()
    assert len(members.voters()) == 3
    # A removed node knows it for good, and says so.
    with pytest.raises(Failed) as failure:
        pixraft("serve", "--config", str(members.local.directory / follower / "pixraft.toml"))
    assert failure.value.code == REMOVED
    assert "was removed" in failure.value.said


@pytest.mark.parametrize(("name", "address"), [("n2", "new"), ("n2", "same"), ("n4", "new")])
def test_a_lost_node_is_replaced_under_the_same_and_under_a_new_name(cluster, name, address):
    members = Members(cluster)
    with Load(cluster) as load:
        eventually(lambda: len(load.acknowledged) > 10)
    lost = cluster.local.nodes["n2"]
    cluster.kill("n2")
    shutil.rmtree(cluster.local.directory / "n2")
    members.forget("n2")
    with Load(cluster, label="more") as more:
        members.join(name, members.token(name, "n2"), at=lost if address == "same" else None)
        eventually(lambda: members.voters() == {"n1", "n3", name} and members.settled())
        eventually(lambda: len(more.acknowledged) > 10)
    load.check()
    more.check()

    def copied() -> bool:
        status = cluster.wait_verdict("healthy")
        return all(node.pictures == status["files"] for node in status["nodes"])

    # To the new one, too: at the same address it comes while its predecessor of the same name still is a member.
    eventually(copied)


def test_five_cycles_under_load(cluster):
    members = Members(cluster)
    with Load(cluster) as load:
        eventually(lambda: len(load.acknowledged) > 10)
        for cycle in range(5):
            name = f"n{cycle + 4}"
            if cycle % 2:
                old = cluster.leader() if cycle == 3 else sorted(cluster.names)[0]
                members.join(name, members.token(name, old))
                eventually(lambda old=old: old not in members.voters() and members.settled())
                assert members.gone(old) == REMOVED
            else:
                members.add(name)
                assert members.remove(cluster.follower(besides=name)) == REMOVED
            assert len(members.voters()) == 3
        before = len(load.acknowledged)
        eventually(lambda: len(load.acknowledged) > before + 10)
    assert set(cluster.names).isdisjoint({"n1", "n2"}) or len(cluster.names) == 3
    cluster.wait_verdict("healthy")
    load.check()


def test_the_next_leader_goes_on_with_a_change_when_the_leader_is_killed(cluster):
    """At each step of an addition and of a removal, as soon as the leader says that it takes it."""
    members = Members(cluster)
    with Load(cluster) as load:
        eventually(lambda: len(load.acknowledged) > 10)
        for name, step in (("n4", "learns"), ("n5", "votes")):
            members.join(name, members.token(name))
            killed = kill_at(cluster, f"{name} {step}")
            eventually(lambda name=name: name in members.voters() and members.settled())
            cluster.start_node(killed)
            cluster.wait_ready(killed)
        old = cluster.follower()
        members.run("node", "remove", old, "--no-wait")
        killed = kill_at(cluster, f"{old} is removed")
        eventually(lambda: old not in members.voters() and members.settled())
        assert members.gone(old) == REMOVED
        cluster.start_node(killed)
        cluster.wait_ready(killed)
        before = len(load.acknowledged)
        eventually(lambda: len(load.acknowledged) > before + 10)
    assert len(members.voters()) == 4
    cluster.wait_verdict("healthy")
    load.check()


def kill_at(cluster: Cluster, step: str) -> str:
    """Kill the leader that logs this step of a change; return its name."""
    leader = eventually(
        lambda: next((name for name in cluster.names if f"step='{step}'" in cluster.log(name)), None)
    )
    cluster.kill(leader)
    return leader


def test_tokens_that_are_no_good(cluster, tmp_path):
    members = Members(cluster)
    listen = f"127.0.0.1:{ports.free('127.0.0.1', 1)[0]}"

    def attempt(token: str, name: str) -> Failed:
        with pytest.raises(Failed) as failure:
            pixraft("join", token, "--dir", str(tmp_path / name), "--listen", listen)
        assert not (tmp_path / name).exists()
        return failure.value

    good = members.token("n4")
    assert "not a whole token" in attempt(good[:-3], "cut").said
    assert "not a whole token" in attempt("pixraft1.AAAA", "nonsense").said
    with pytest.raises(Failed, match="n4"):
        members.run("node", "add", "n4")  # one is out already
    members.run("node", "cancel", "n4")
    cancelled = attempt(good, "cancelled")
    assert cancelled.code == 50, cancelled.said
    assert "cancelled" in cancelled.said
    short = members.token("n4", "", "--valid", "1s")
    time.sleep(1.1)
    assert "expired" in attempt(short, "expired").said
    members.add("n5")
    used = members.token("n6")
    members.join("n6", used)
    assert "used" in attempt(used, "used").said
    eventually(lambda: "n6" in members.voters())
    with pytest.raises(Failed, match="member already"):
        members.token("n6")


def test_changes_need_the_admins_certificate(cluster):
    config = str(cluster.config("n1"))
    for arguments in (["node", "remove", "n3"], ["node", "move", "n3", "h:1"], ["leader", "transfer"]):
        with pytest.raises(Failed) as failure:
            pixraft(*arguments, "--config", config)
        assert failure.value.code == 50, failure.value.said
        assert "--cluster DIR" in failure.value.said


def test_leadership_is_handed_over(cluster):
    members = Members(cluster)
    target = cluster.follower()

    def handed_over() -> bool:
        try:
            members.run("leader", "transfer", target)
        except Failed as error:
            if error.code != 32:  # it has not taken over in time
                raise
        return cluster.leader() == target

    eventually(handed_over)
    assert members.run("leader", "transfer", target) == {"leader": target, "changed": False}
    with pytest.raises(Failed, match="the cluster has n1, n2, n3"):
        members.run("leader", "transfer", "n9")


def test_a_node_moves_to_another_address(cluster):
    members = Members(cluster)
    with Load(cluster) as load:
        eventually(lambda: len(load.acknowledged) > 10)
        node = cluster.local.nodes["n3"]
        cluster.local.stop("n3")
        (port,) = ports.free("127.0.0.1", 1)
        text = node.config.read_text().replace(f'listen = "{node.peers}"', f'listen = "127.0.0.1:{port}"')
        node.config.write_text(text)
        cluster.local.nodes["n3"] = Node("n3", Address("127.0.0.1", port), node.ftp, node.directory)
        cluster.local.start("n3")
        members.run("node", "move", "n3", f"127.0.0.1:{port}")
    cluster.wait_verdict("healthy")
    load.check()
    # The others must find it there by themselves after a restart, whatever their files say.
    cluster.kill("n1", "n2")
    cluster.local.start("n1", "n2")
    status = cluster.wait_verdict("healthy")
    assert {node.name: node.address for node in status["nodes"]}["n3"] == f"127.0.0.1:{port}"


def test_what_would_leave_no_majority_waits(cluster):
    members = Members(cluster)
    leader, follower = cluster.leader(), cluster.follower()
    other = next(name for name in cluster.names if name not in (leader, follower))
    cluster.kill(follower)
    members.options = (*members.options, "--node", leader)
    for wait in ("3s", "60s"):  # on a slow machine the leader says why a little later
        with pytest.raises(Failed) as failure:
            pixraft("node", "remove", other, "--wait", wait, *members.options)
        assert failure.value.code == 32, failure.value.said
        members.run("node", "cancel", other)
        if "is needed" in failure.value.said:
            break
    else:
        pytest.fail(failure.value.said)
    cluster.start_node(follower)
    cluster.wait_verdict("healthy")
    assert members.voters() == {"n1", "n2", "n3"}
