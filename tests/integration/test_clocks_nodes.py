"""Nodes whose clocks are ten days off, the leader's too: it is told, and nothing expires but at its time."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Cluster
from machines import FAKETIME
from persons import QUICK, asked, names, put, put_person, said, store
from waiting import eventually

from raftstore.peers.security import pki

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not FAKETIME, reason="not installed here: libfaketime"),
]

DAY = 86_400
NS = 10**9
WRONG = "the clock of this node is wrong"
STILL = "cluster time stands still"


class Clocks:
    """A cluster whose nodes' clocks can be set while they run."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster = cluster
        self._directory = directory
        self._rounds = 0
        for name, node in cluster.local.nodes.items():
            self.set(name, 0)
            node.environment |= {
                "LD_PRELOAD": FAKETIME,
                "FAKETIME_TIMESTAMP_FILE": str(self._file(name)),
                "FAKETIME_NO_CACHE": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }

    def _file(self, name: str) -> Path:
        return self._directory / f"clock-{name}"

    def set(self, name: str, days: int) -> None:
        """Set a clock ahead; below 0: behind. In one step, as it is read at any time."""
        fresh = self._file(name).with_suffix(".new")
        fresh.write_text(f"{days * DAY:+d}\n")
        fresh.replace(self._file(name))

    def said_of(self, name: str) -> str:
        """What status says of a node."""
        found = self.cluster.status(self.cluster.names[0])["nodes"]
        return next(str(node.error) for node in found if node.name == name)

    def goes_on(self) -> None:
        """Cluster time goes on: what is sent for two seconds comes, and goes at all nodes."""
        self._rounds += 1
        name = f"brief {self._rounds}.jpg"
        eventually(lambda: self._sent(name))
        for node in self.cluster.names:
            eventually(lambda node=node: self._gone(node, name))

    def _sent(self, name: str) -> bool:
        with self.cluster.login("n1", "anna") as anna:
            anna.sendcmd("SITE EXPIRES 2s")
            return store(anna, f"/send/bob/{name}", b"brief").startswith("226")

    def _gone(self, node: str, name: str) -> bool:
        with self.cluster.login(node, "bob") as bob:
            return name not in names(bob, "/inbox/anna")

    def all_there(self) -> None:
        """All that has time is there, at all nodes."""
        for node in self.cluster.names:
            eventually(lambda node=node: self._there(node))  # as soon as it answers, what it answers counts
        ended = asked(self.cluster, "sent", "anna", "--ended")["sent"]
        assert all(one["path"].startswith("bob/brief") for one in ended), ended

    def _there(self, node: str) -> bool:
        with self.cluster.login(node, "bob") as bob, self.cluster.login(node, "anna") as anna:
            assert {"day.jpg", "stays.jpg"} <= set(names(bob, "/inbox/anna"))
            assert set(names(anna, "/send/bob")) >= {"day.jpg", "stays.jpg", "x.jpg.part", "empty.jpg"}
            assert names(anna, "/trash") == ["binned.jpg"]
            anna.voidcmd("TYPE I")
            assert anna.size("/half.jpg") == 10_000, "a partial upload"
        with self.cluster.login(node, "cam") as cam:
            assert names(cam, "/") == ["0.jpg", "1.jpg"]
        return True


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clocks]:
    directory = tmp_path_factory.mktemp("clocks")
    # Of some age: to a clock before their first day certificates are not valid, and nothing goes through.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pki, "_SKEW", datetime.timedelta(days=60))
        cluster = Cluster(directory / "cluster")
    made = Clocks(cluster, directory)
    with cluster:
        put_person(cluster, "anna", trash_ns=DAY * NS)
        put_person(cluster, "bob")
        put(cluster, "cam", password_hash=QUICK.hash("cam"), create=True, home="/cam")
        _fill(cluster)
        yield made


def _fill(cluster: Cluster) -> None:
    """Put what goes within a day or two: pictures, drafts, trash, a partial upload, a directory with retention."""
    with cluster.login("n1", "anna") as anna:
        anna.sendcmd("SITE EXPIRES 1d")
        assert store(anna, "/send/bob/day.jpg", b"a day").startswith("226")
        anna.sendcmd("SITE EXPIRES off")
        assert store(anna, "/send/bob/stays.jpg", b"stays").startswith("226")
        assert store(anna, "/send/bob/x.jpg.part", b"draft").startswith("226")
        assert store(anna, "/send/bob/empty.jpg", b"").startswith("226")
        assert store(anna, "/binned.jpg", b"binned").startswith("226")
        anna.delete("/binned.jpg")
        anna.voidcmd("TYPE I")
        with anna.transfercmd("STOR /half.jpg") as data:
            data.sendall(b"0123456789" * 1000)
            eventually(lambda: "10000 bytes moved" in anna.sendcmd("STAT"))
            anna.putcmd("ABOR")
            assert anna.getmultiline().startswith("4") and anna.getmultiline().startswith("226")
    with cluster.login("n1", "cam") as cam:
        for number in range(2):
            cam.storbinary(f"STOR /{number}.jpg", io.BytesIO(b"x"))
        assert "0.jpg" in said(cam.sendcmd, "MLST /0.jpg")
    asked(cluster, "retention", "set", "/cam", "1d")
    eventually(lambda: asked(cluster, "retention", "list")["rules"][0]["settled"])


@pytest.mark.parametrize("days", [10, -10])
@pytest.mark.parametrize("which", ["leader", "follower"])
def test_one_wrong_clock_is_told_and_takes_nothing_away(clocks: Clocks, which: str, days: int) -> None:
    cluster = clocks.cluster
    victim = cluster.leader() if which == "leader" else cluster.follower()
    clocks.set(victim, days)
    try:
        word = "ahead of" if days > 0 else "behind"
        eventually(lambda: f"its clock is 10 days {word} the others" in clocks.said_of(victim))
        eventually(lambda: WRONG in cluster.log(victim))  # once in a while, however often it changes
        clocks.goes_on()
        clocks.all_there()
        if which == "leader" and days < 0:
            # It dies, and starts with its wrong clock.
            cluster.kill(victim)
            cluster.start_node(victim)
            cluster.wait_ready(victim)
            clocks.goes_on()
            clocks.all_there()
    finally:
        clocks.set(victim, 0)
    cluster.wait_verdict("healthy")


def test_while_no_two_clocks_agree_nothing_expires(clocks: Clocks) -> None:
    cluster = clocks.cluster
    with cluster.login_when_served("n1") as ftp:
        ftp.quit()
    leader = cluster.leader()
    stood = cluster.log(leader).count(STILL)
    ahead, behind = (name for name in cluster.names if name != leader)
    clocks.set(ahead, 10)
    clocks.set(behind, -10)
    try:
        eventually(lambda: cluster.log(leader).count(STILL) > stood)
        clocks.all_there()
    finally:
        clocks.set(ahead, 0)
        clocks.set(behind, 0)
    cluster.wait_verdict("healthy")
    clocks.goes_on()
    clocks.all_there()
