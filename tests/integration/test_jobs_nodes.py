"""Work in the background on real nodes: space comes back, rot is mended, a lost node is made good."""

from __future__ import annotations

import ftplib
import io
import random
import shutil
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from harness import Cluster
from members import Members
from pictures import picture, retrieve
from rot import flip_bits
from waiting import eventually

pytestmark = pytest.mark.integration

QUICK = {
    "PIXRAFT_JOBS_COLLECT_GRACE": "1",
    "PIXRAFT_JOBS_REPAIR_AFTER": "2",
    "PIXRAFT_CHUNKS_VOLUME_BYTES": str(1 << 20),
}


def put(cluster: Cluster, pictures: dict[str, bytes], node: str = "n1") -> None:
    with cluster.login(node) as ftp:
        for name, content in pictures.items():
            ftp.storbinary(f"STOR {name}", io.BytesIO(content))


def read(cluster: Cluster, pictures: dict[str, bytes], node: str = "n2") -> None:
    with cluster.login(node) as ftp:
        for name, content in pictures.items():
            assert retrieve(ftp, name) == content, name


def test_deleted_pictures_give_their_disk_space_back(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", environment=QUICK) as cluster:
        gone = {f"gone-{n}.jpg": picture(f"gone{n}", 200_000) for n in range(60)}
        kept = {f"kept-{n}.jpg": picture(f"kept{n}", 60_000) for n in range(20)}
        put(cluster, gone)
        put(cluster, kept)
        cluster.wait_verdict("healthy")
        full = {name: cluster.disk_bytes(name) for name in cluster.names}
        with cluster.login("n1") as ftp:
            for name in gone:
                ftp.delete(name)
        live = sum(map(len, kept.values()))
        eventually(lambda: all(cluster.disk_bytes(name) < 1.5 * live + (1 << 20) for name in cluster.names))
        assert min(full.values()) > 10 * live / 2
        read(cluster, kept)
        Members(cluster).fsck()


def jobs(cluster: Cluster, kind: str, state: str = "done") -> list[dict[str, Any]]:
    """The jobs of a kind, in a state."""
    listed = Members(cluster).run("jobs", "list", "--all")["jobs"]
    return [job for job in listed if (job["kind"], job["state"]) == (kind, state)]


def collect_a_few_times(cluster: Cluster, node: str) -> None:
    """Upload and delete until every node has removed chunks twice."""

    def removed() -> int:
        return sum(job["counts"].get("removed", 0) for job in jobs(cluster, "collect"))

    for number in range(2):
        before = removed()
        put(cluster, {"other.jpg": picture(f"{node}{number}", 100_000)}, node)
        cluster.wait_verdict("healthy")  # a copy at every node
        with cluster.login(node) as other:
            other.delete("other.jpg")
        eventually(lambda before=before: removed() >= before + 3)  # type: ignore[misc]


def test_transfers_that_take_longer_than_the_grace_period(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", environment=QUICK) as cluster:
        content = picture("slow", 3_500_000)
        ftp = cluster.login("n1")
        connection = ftp.transfercmd("STOR slow.jpg")
        connection.sendall(content[:2_500_000])
        collect_a_few_times(cluster, "n3")
        connection.sendall(content[2_500_000:])
        connection.close()
        assert ftp.voidresp().startswith("226")
        read(cluster, {"slow.jpg": content})
        # A download keeps its version to its end, though nothing else refers to it any more.
        old = picture("old", 20_000_000)
        put(cluster, {"old.jpg": old}, "n2")
        connection = ftp.transfercmd("RETR old.jpg")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        received = bytearray(connection.recv(1000))
        with cluster.login("n2") as other:
            other.delete("old.jpg")
        collect_a_few_times(cluster, "n2")
        while block := connection.recv(1 << 18):
            received += block
        connection.close()
        assert ftp.voidresp().startswith("226")
        assert bytes(received) == old
        ftp.close()
        eventually(lambda: all(cluster.disk_bytes(name) < 8_000_000 for name in cluster.names))
        Members(cluster).fsck()


def test_a_node_that_was_paused_does_not_publish_what_was_collected_meanwhile(tmp_path: Path) -> None:
    """No clock of the paused node says how long it was away: the order of the log does."""
    with Cluster(tmp_path / "cluster", environment=QUICK) as cluster:
        if cluster.leader() == "n1":
            cluster.kill("n1")
            cluster.start_node("n1")
            cluster.wait_ready("n1")
        others = ("n2", "n3")
        content = picture("paused", 3_500_000)
        ftp = cluster.login("n1")
        connection = ftp.transfercmd("STOR paused.jpg")
        connection.sendall(content[:3_200_000])
        # Two copies are certain; a third is made at once unless that node is slow just now.
        eventually(lambda: sum(cluster.disk_bytes(name) > 3_000_000 for name in cluster.names) >= 2)
        cluster.pause("n1")
        try:
            eventually(lambda: all(cluster.disk_bytes(name) < 1_500_000 for name in others))
        finally:
            cluster.wake("n1")
        # Nothing but what was collected may keep it from publishing.
        cluster.wait_verdict("healthy")
        put(cluster, {"other.jpg": picture("other", 50_000)})
        connection.sendall(content[3_200_000:])
        connection.close()
        with pytest.raises(ftplib.error_temp, match="450 It was changed meanwhile"):
            ftp.voidresp()
        ftp.close()
        with cluster.login_when_served("n2") as again:
            assert again.nlst() == ["other.jpg"]
            again.storbinary("STOR paused.jpg", io.BytesIO(content))
        for node in cluster.names:
            read(cluster, {"paused.jpg": content}, node)
        cluster.wait_verdict("healthy")
        Members(cluster).fsck()


class Reader(threading.Thread):
    """Reads pictures at one node until it is stopped; every byte must be right."""

    def __init__(self, cluster: Cluster, node: str, pictures: dict[str, bytes]) -> None:
        super().__init__(daemon=True)
        self.cluster, self.node, self.pictures = cluster, node, pictures
        self.stopping = threading.Event()
        self.count = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Read."""
        generator = random.Random(self.node)
        try:
            with self.cluster.login(self.node) as ftp:
                while not self.stopping.is_set():
                    name = generator.choice(list(self.pictures))
                    assert retrieve(ftp, name) == self.pictures[name], f"wrong bytes of {name} at {self.node}"
                    self.count += 1
        except BaseException as error:
            self.failure = error


def test_flipped_bits_are_never_served_and_mended_by_a_scrub(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster") as cluster:
        pictures = {f"{n}.jpg": picture(n, 20_000 + 4_000 * n) for n in range(80)}
        put(cluster, pictures)
        cluster.wait_verdict("healthy")
        readers = [Reader(cluster, node, pictures) for node in cluster.names * 2]
        for reader in readers:
            reader.start()
        generator = random.Random(1)
        # Rot may hit every copy on a node, but not all of a picture: nothing could mend that.
        for victim in ("n2", "n3"):
            flip_bits(cluster, victim, 250, generator)
            scrubbed = Members(cluster).run("scrub", "--now")["jobs"]
            assert {job["state"] for job in scrubbed} == {"done"}
            eventually(lambda: cluster.status("n1")["short_count"] == 0)
        for reader in readers:
            reader.stopping.set()
        for reader in readers:
            reader.join(60)
            assert reader.failure is None
            assert reader.count
        Members(cluster).fsck()
        status = cluster.wait_verdict("healthy")
        # Found by the scrub or, before it came there, by a reader.
        assert sum(node.quarantined for node in status["nodes"]) >= 50
        for node in cluster.names:
            read(cluster, pictures, node)
        cluster.kill_all()
        for node in cluster.names:
            cluster.start_node(node)
        cluster.wait_verdict("healthy")
        read(cluster, pictures, "n2")


def copies(cluster: Cluster) -> int:
    """How many copies of pictures the cluster has, as far as nodes can be reached."""
    return sum(node.pictures or 0 for node in cluster.status("n1")["nodes"])


def test_who_comes_back_or_joins_leaves_as_many_copies_as_are_wanted(tmp_path: Path) -> None:
    """A node returns after others have made up for it; a fifth one joins, killed while it gets its share."""
    count, size = 60, 100_000
    slow = {"PIXRAFT_JOBS_BANDWIDTH": str(4 << 20)}
    with Cluster(tmp_path / "cluster", nodes=4, environment={**QUICK, **slow}) as cluster:
        members = Members(cluster)
        pictures = {f"{n}.jpg": picture(n, size) for n in range(count)}
        put(cluster, pictures)
        away = cluster.follower(besides="n1")
        cluster.kill(away)
        others = [name for name in cluster.names if name != away]
        eventually(lambda: pictures_on(cluster, *others) == dict.fromkeys(others, count))
        cluster.start_node(away)
        # Killed while copies are given up, or just after.
        eventually(lambda: jobs(cluster, "trim", "running") or jobs(cluster, "trim"))
        cluster.kill(leader := cluster.leader())
        cluster.start_node(leader)
        eventually(lambda: copies(cluster) == 3 * count)
        cluster.wait_verdict("healthy")
        # On the disks too: what a kill has left there is collected.
        eventually(
            lambda: sum(cluster.disk_bytes(name) for name in cluster.names) < 3.5 * count * size + (4 << 20)
        )
        environment = cluster.local.nodes["n1"].environment
        members.join("n5", members.token("n5"))
        eventually(lambda: members.settled() and "n5" in members.voters())
        cluster.local.nodes["n5"].environment.update(environment)
        held = eventually(lambda: pictures_on(cluster, "n5")["n5"])
        cluster.kill("n5")
        cluster.start_node("n5")
        share = max(held, count // 2)
        eventually(lambda: (pictures_on(cluster, "n5")["n5"] or 0) >= share and copies(cluster) == 3 * count)
        cluster.wait_verdict("healthy")
        assert sum(job["counts"].get("trimmed", 0) for job in jobs(cluster, "trim")) >= count // 2
        for node in cluster.names:
            read(cluster, pictures, node)
        members.fsck()


def test_jobs_survive_the_leader_and_the_worker(tmp_path: Path) -> None:
    slow = {"PIXRAFT_JOBS_BANDWIDTH": str(1024 * 1024)}
    with Cluster(tmp_path / "cluster", environment=slow) as cluster:
        put(cluster, {f"{n}.jpg": picture(n, 1_000_000) for n in range(12)})
        cluster.wait_verdict("healthy")
        # A scrub may be over before its node is killed, where the machine is slow to tell of it: then once more.
        for _ in range(5):
            leader, done = _scrub_with_a_kill(cluster)
            if done[leader]["attempts"] > 1:
                break
        else:
            pytest.fail("every scrub was over before its node was killed")
        # It goes on where it was, and reads nothing twice that it had told of.
        assert done[leader]["counts"]["verified"] == 12
        assert "scrub goes on" in cluster.log(leader)
        assert all(job["counts"]["verified"] >= 12 for job in done.values())


def _scrub_with_a_kill(cluster: Cluster) -> tuple[str, dict[str, dict[str, Any]]]:
    """Scrub all nodes and kill the leader when its scrub has told of two chunks; return it and the jobs, by node."""
    begun = Members(cluster).run("scrub", "--now", "--no-wait")["begun"]
    assert len(begun) == 3
    leader = cluster.leader()

    def mine() -> list[dict[str, Any]]:
        return [job for job in Members(cluster).run("jobs", "list", "--all")["jobs"] if job["id"] in begun]

    def reported() -> bool:
        return any(job["node"] == leader and job["counts"].get("verified", 0) >= 2 for job in mine())

    eventually(reported)
    cluster.kill(leader)
    cluster.start_node(leader)
    cluster.wait_ready(leader)
    eventually(lambda: all(job["state"] == "done" for job in mine()))
    return leader, {job["node"]: job for job in mine()}


def pictures_on(cluster: Cluster, *names: str, when: str = "") -> dict[str, int | None]:
    """How many pictures nodes have; with `when`, as soon as that is the cluster's verdict."""
    status = cluster.wait_verdict(when) if when else cluster.status("n1")
    return {node.name: node.pictures for node in status["nodes"] if node.name in names}


def test_a_drained_node_gets_nothing_and_a_lost_one_is_made_up_for_without_a_command(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", nodes=4, environment=QUICK) as cluster:
        members = Members(cluster)
        pictures = {f"{n}.jpg": picture(n, 30_000) for n in range(40)}
        put(cluster, pictures)
        cluster.wait_verdict("healthy")
        assert [job["state"] for job in members.run("drain", "n4")["jobs"]] == ["done"]
        drained = pictures_on(cluster, *cluster.names, when="healthy")
        held = drained.pop("n4")
        assert drained == dict.fromkeys(["n1", "n2", "n3"], 40)
        if cluster.leader() != "n1":
            cluster.kill(leader := cluster.leader())
            cluster.start_node(leader)
            cluster.wait_ready(leader)
        later = {f"later-{n}.jpg": picture(f"later{n}", 30_000) for n in range(10)}
        put(cluster, later)
        assert pictures_on(cluster, "n4", when="healthy") == {"n4": held}
        members.run("drain", "n4", "--cancel")
        # For good: nobody says a word to the cluster.
        lost = next(name for name in ("n2", "n3") if name != cluster.leader())
        cluster.kill(lost)
        shutil.rmtree(cluster.data(lost))
        others = [name for name in cluster.names if name != lost]
        eventually(lambda: sum(filter(None, pictures_on(cluster, *others).values())) == 3 * 50)
        eventually(lambda: cluster.status("n1")["short_count"] == 0)
        for node in others:
            read(cluster, pictures | later, node)
