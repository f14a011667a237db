"""Disks that something else fills: a node goes on, refuses growth, and comes back by itself. On small disks."""

from __future__ import annotations

import ftplib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import pixraft
from harness import Cluster
from pictures import picture, retrieve
from smalldisks import MIB, SmallDisk, small_disks
from waiting import eventually

pytestmark = pytest.mark.integration

NAMES = ("n1", "n2", "n3")
BALLAST = 8 * MIB
FREE_SPACE = {"PIXRAFT_NODE_BALLAST_BYTES": str(BALLAST)}


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[dict[str, SmallDisk]]:
    with small_disks(tmp_path / "disks", NAMES, 192 * MIB) as disks:
        yield disks


@pytest.fixture
def cluster(tmp_path: Path, disks: dict[str, SmallDisk]) -> Iterator[Cluster]:
    data = {name: str(disk.place / "data") for name, disk in disks.items()}
    with Cluster(tmp_path / "cluster", data=data, environment=FREE_SPACE) as cluster:
        yield cluster


def held(cluster: Cluster, name: str) -> int:
    return (cluster.data(name) / "ballast").stat().st_size


def trouble(cluster: Cluster, asked: str, name: str) -> str:
    """What a node's line in the status says."""
    return next(node.error for node in cluster.status(asked)["nodes"] if node.name == name)


def refused(ftp: ftplib.FTP) -> bool:
    """Whether an upload gets 452; one that just got through is taken away again."""
    try:
        ftp.storbinary("STOR new.jpg", io.BytesIO(picture(7, 60_000)))
    except ftplib.error_temp as error:
        assert str(error).startswith("452 Not enough free disk")
        return True
    ftp.delete("new.jpg")
    return False


def test_a_disk_that_something_else_fills_ends_nothing_and_the_node_comes_back_by_itself(cluster, disks):
    with cluster.login("n2") as ftp:
        ftp.storbinary("STOR before.jpg", io.BytesIO(picture(1, 60_000)))
    leader = cluster.leader()
    other = cluster.follower()
    pid = cluster.pid(leader)
    assert held(cluster, leader) == BALLAST
    disks[leader].fill()
    # It gives up some of its ballast, and the leadership.
    eventually(lambda: cluster.leader() != leader)
    eventually(lambda: "its disk is full" in trouble(cluster, other, leader))
    assert 0 < held(cluster, leader) < BALLAST
    # The cluster goes on, and so does the node with the full disk: also where it is asked.
    with cluster.login(leader) as ftp:
        ftp.storbinary("STOR meanwhile.jpg", io.BytesIO(picture(2, 60_000)))
        assert retrieve(ftp, "before.jpg") == picture(1, 60_000)
        ftp.delete("before.jpg")
        assert ftp.nlst() == ["meanwhile.jpg"]
    status = cluster.status(other)
    assert (status["verdict"], "free space on the file system of" in status["error"]) == ("degraded", True)
    disks[leader].empty()
    eventually(lambda: held(cluster, leader) == BALLAST)
    eventually(lambda: not trouble(cluster, other, leader))
    cluster.wait_verdict("healthy")
    assert cluster.pid(leader) == pid
    assert cluster.exit_code(leader) is None


def test_two_full_disks_of_three_leave_downloads_and_a_used_up_ballast_leaves_them_too(cluster, disks):
    with cluster.login("n1") as ftp:
        for number in range(4):
            ftp.storbinary(f"STOR {number}.jpg", io.BytesIO(picture(number, 60_000)))
    cluster.wait_verdict("healthy")
    for name in ("n2", "n3"):
        disks[name].fill()
    eventually(lambda: all("its disk is full" in trouble(cluster, "n1", name) for name in ("n2", "n3")))
    eventually(lambda: cluster.leader() == "n1")
    with cluster.login("n3") as ftp:
        eventually(lambda: refused(ftp))
        assert retrieve(ftp, "0.jpg") == picture(0, 60_000)
        ftp.delete("0.jpg")  # growth is refused, what makes room is not
    # Something goes on filling: nothing is left of the ballast in the end.
    for name in ("n2", "n3"):
        eventually(lambda name=name: disks[name].fill() or held(cluster, name) == 0)
        disks[name].fill()
    for asked in NAMES:  # each knows it of each
        for name in ("n2", "n3"):
            eventually(lambda asked=asked, name=name: "it takes no commands" in trouble(cluster, asked, name))
    for name in NAMES:
        with cluster.login(name) as ftp:
            eventually(lambda: refused(ftp))
            with pytest.raises(ftplib.error_temp, match=r"^452 Not enough free disk"):
                ftp.delete("1.jpg")
            assert sorted(ftp.nlst()) == ["1.jpg", "2.jpg", "3.jpg"]
            assert retrieve(ftp, "2.jpg") == picture(2, 60_000)
    # The leader ends. The one that has space takes its place as soon as it is there again; none of the others does.
    cluster.kill("n1")
    cluster.start_node("n1")
    with eventually(lambda: cluster.login("n2"), 60) as ftp:
        assert retrieve(ftp, "3.jpg") == picture(3, 60_000)
    assert cluster.leader() == "n1"
    for name in ("n2", "n3"):
        disks[name].empty()
    cluster.wait_verdict("healthy")
    assert {held(cluster, name) for name in NAMES} == {BALLAST}
    with cluster.login("n3") as ftp:
        ftp.storbinary("STOR new.jpg", io.BytesIO(picture(7, 60_000)))
        ftp.delete("1.jpg")
        assert sorted(ftp.nlst()) == ["2.jpg", "3.jpg", "new.jpg"]
    assert [cluster.exit_code(name) for name in NAMES] == [None] * 3


def test_a_node_that_starts_on_a_full_disk_waits_for_space(cluster, disks):
    with cluster.login("n1") as ftp:
        ftp.storbinary("STOR a.jpg", io.BytesIO(picture(1, 60_000)))
    cluster.wait_verdict("healthy")
    cluster.kill("n3")
    (cluster.data("n3") / "ballast").unlink()
    disks["n3"].fill()
    log = cluster.local.nodes["n3"].log
    before = log.stat().st_size
    cluster.start_node("n3")
    eventually(lambda: b"waits until there is space" in log.read_bytes()[before:])
    assert cluster.exit_code("n3") is None
    disks["n3"].empty()
    cluster.wait_verdict("healthy")
    assert held(cluster, "n3") == BALLAST
    shown = pixraft("status", "--cluster", str(cluster.local.directory))
    assert shown.exit_code == 0, shown.output
