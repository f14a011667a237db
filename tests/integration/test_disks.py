"""What happens to a node's disk behind its back, and nodes that are stopped before they have started."""

from __future__ import annotations

import io
import shutil

import pytest
from commandline import pixraft
from harness import Cluster
from pictures import picture, retrieve
from waiting import eventually

from ftpgateway.demo.cluster import LocalCluster

pytestmark = pytest.mark.integration


def bytes_of(cluster: Cluster, name: str) -> int:
    """Bytes of chunks on a node's disk, as it says itself; 0 when it cannot be reached."""
    return next(node.bytes or 0 for node in cluster.status("n1")["nodes"] if node.name == name)


def copies(cluster: Cluster) -> int:
    """Copies of pictures on all nodes of the healthy cluster."""
    return sum(node.pictures for node in cluster.wait_verdict("healthy")["nodes"])


def test_copies_that_vanish_while_a_node_is_down_are_made_again_before_anybody_reads_them(tmp_path):
    with Cluster(tmp_path / "cluster") as cluster:
        content = {f"{number}.jpg": picture(number, 60_000) for number in range(5)}
        with cluster.login("n1") as ftp:
            for name, data in content.items():
                ftp.storbinary(f"STOR {name}", io.BytesIO(data))
        size = sum(map(len, content.values()))
        eventually(lambda: min(bytes_of(cluster, name) for name in cluster.names) >= size)
        cluster.wait_verdict("healthy")
        cluster.kill("n3")
        for volume in (cluster.data("n3") / "volumes").glob("*.vol"):
            volume.unlink()
        cluster.start_node("n3")
        cluster.wait_ready("n3")
        eventually(lambda: bytes_of(cluster, "n3") >= size)
        with cluster.login("n3") as ftp:
            assert {name: retrieve(ftp, name) for name in content} == content


def test_a_node_with_the_volumes_of_another_stops(tmp_path):
    """Whatever it kept would be taken for a copy on the other one's disk."""
    with Cluster(tmp_path / "cluster") as cluster:
        cluster.kill("n2", "n3")
        shutil.rmtree(cluster.data("n3") / "volumes")
        shutil.copytree(cluster.data("n2") / "volumes", cluster.data("n3") / "volumes")
        cluster.start_node("n2")
        cluster.start_node("n3")
        eventually(lambda: cluster.exit_code("n3") is not None)
        assert cluster.local.wait_for_an_end() == {"n3": 51}
        assert "belongs to node n2" in cluster.local.nodes["n3"].log.read_text()


def test_a_node_that_waits_for_the_others_at_its_first_start_can_be_stopped(tmp_path):
    with LocalCluster(tmp_path / "cluster") as local:
        local.start("n1")
        eventually(lambda: "waiting to hear from all members" in local.nodes["n1"].log.read_text())
        assert local.stop("n1") == {"n1": 0}


def test_an_account_that_wants_one_copy_gets_one(tmp_path):
    with Cluster(tmp_path / "cluster") as cluster:
        words = ["user", "add", "thrifty", "--replicas", "1", "--password-stdin"]
        added = pixraft(*words, "--cluster", str(cluster.local.directory), stdin="x\n")
        assert added.exit_code == 0, added.output
        content = {f"{number}.jpg": picture(number, 60_000) for number in range(6)}
        for place, (name, data) in enumerate(content.items()):
            with cluster.login(cluster.names[place % 3], "thrifty", "x") as ftp:
                ftp.storbinary(f"STOR {name}", io.BytesIO(data))
        # One each. Where a node was slow for a moment, another may have a copy too, until it is found to be too many.
        eventually(lambda: copies(cluster) == len(content))
        with cluster.login("n1") as ftp:
            assert {name: retrieve(ftp, name) for name in content} == content
            # What another owner puts, too, gets the cluster's copies.
            ftp.storbinary("STOR again.jpg", io.BytesIO(content["0.jpg"]))
        # Two copies more of what it shares with the first one, which has as many then, and three of itself.
        eventually(lambda: copies(cluster) == len(content) + 2 + 3)


@pytest.mark.parametrize("when", ["at rest", "while it ran"])
def test_an_older_copy_of_a_nodes_own_data_is_refused(tmp_path, when):
    """A snapshot of its machine lacks what the node has acknowledged since: its vote could lose that (Raft, 5.4.3)."""
    with Cluster(tmp_path / "cluster") as cluster:
        data, copy = cluster.data("n3"), tmp_path / "copy"
        cluster.wait_verdict("healthy")
        cluster.kill("n3")
        if when == "at rest":
            shutil.copytree(data, copy)
        cluster.start_node("n3")
        cluster.wait_ready("n3")
        cluster.wait_verdict("healthy")
        if when == "while it ran":
            # A disk as of one moment, as of a virtual machine's snapshot.
            cluster.kill("n3")
            boot = (data / "boot").read_text()
            shutil.copytree(data, copy)
            # The same run goes on: a start is told by its number.
            cluster.start_node("n3")
            cluster.wait_ready("n3")
            (copy / "boot").write_text((data / "boot").read_text())
            assert boot != (copy / "boot").read_text()
        with cluster.login("n1") as ftp:
            for number in range(5):
                ftp.storbinary(f"STOR {number}.jpg", io.BytesIO(picture(number, 30_000)))
        # The others ask each other once a second how far they are.
        cluster.wait_verdict("healthy")
        reported = [node.commit_index for node in cluster.status("n1")["nodes"]]
        eventually(
            lambda: min(node.applied_index or 0 for node in cluster.status("n1")["nodes"]) >= max(reported)
        )
        cluster.kill("n3")
        shutil.rmtree(data)
        shutil.copytree(copy, data)
        cluster.start_node("n3")
        eventually(lambda: cluster.exit_code("n3") is not None)
        assert cluster.local.wait_for_an_end() == {"n3": 53}
        assert "had newer data" in cluster.local.nodes["n3"].log.read_text()
        if when == "at rest":
            # To try once more does not help.
            cluster.start_node("n3")
            eventually(lambda: cluster.exit_code("n3") is not None)
            assert cluster.local.wait_for_an_end() == {"n3": 53}
        # What it says to do helps.
        shutil.rmtree(data)
        cluster.start_node("n3")
        cluster.wait_ready("n3")
        cluster.wait_verdict("healthy")


def test_a_new_disk_under_a_clock_that_is_behind_is_no_older_copy(tmp_path):
    """The starts on the old disk have higher numbers than the clock gives: they count all the same."""
    with Cluster(tmp_path / "cluster") as cluster:
        cluster.wait_verdict("healthy")
        cluster.kill("n3")
        boot = cluster.data("n3") / "boot"
        ahead = int(boot.read_text()) + 86_400 * 10**9
        boot.write_text(f"{ahead}\n")
        cluster.start_node("n3")
        cluster.wait_verdict("healthy")
        cluster.kill("n3")
        shutil.rmtree(cluster.data("n3"))
        for _ in range(2):
            cluster.start_node("n3")
            cluster.wait_ready("n3")
            cluster.wait_verdict("healthy")
            assert int(boot.read_text()) > ahead
            with cluster.login("n3") as ftp:
                ftp.storbinary(f"STOR {boot.stat().st_ino}.jpg", io.BytesIO(picture(1, 3_000)))
            cluster.kill("n3")
