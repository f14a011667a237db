"""The promises of a whole cluster: real processes, real sockets, real kills."""

from __future__ import annotations

import ftplib
import io
import shutil
import socket
import time

import pytest
from harness import Cluster
from pictures import Ledger, Uploader, check, picture, retrieve, spread_sizes
from waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path / "cluster") as running:
        yield running


def upload_all(cluster: Cluster, node: str, count: int = 50) -> Uploader:
    sizes = spread_sizes(count, 10_000, 5_000_000)
    pictures = {f"picture-{number:02}.jpg": picture(number, size) for number, size in enumerate(sizes)}
    uploader = Uploader(lambda: cluster.login(node), pictures, Ledger())
    uploader.start()
    return uploader


def test_acknowledged_pictures_survive_kills_of_leaders_and_a_follower(cluster):
    uploader = upload_all(cluster, "n1")
    for after, role in ((8, "leader"), (20, "follower"), (32, "leader")):
        uploader.wait_for(after)
        victim = cluster.leader() if role == "leader" else cluster.follower(besides="n1")
        cluster.kill(victim)
        cluster.start_node(victim)
        cluster.wait_ready(victim)
    uploader.join(300)
    assert not uploader.is_alive()
    assert uploader.failure is None
    assert len(uploader.ledger.acknowledged) >= 25, uploader.ledger.refused
    for node in cluster.names:
        with cluster.login(node) as ftp:
            check(uploader.ledger, ftp)


def test_a_power_cut_of_all_nodes_in_the_midst_of_uploads_loses_nothing(cluster):
    uploaders = []
    for node in cluster.names:
        pictures = {f"{node}-{number}.jpg": picture(f"{node}{number}", 150_000) for number in range(200)}
        uploaders.append(Uploader(lambda node=node: cluster.login(node), pictures, Ledger()))
    for uploader in uploaders:
        uploader.start()
    for uploader in uploaders:
        uploader.wait_for(10)
    for uploader in uploaders:
        uploader.stopping.set()
    cluster.kill_all()
    for uploader in uploaders:
        uploader.join(120)
        assert uploader.failure is None
        assert len(uploader.ledger.acknowledged) >= 8
    for node in cluster.names:
        cluster.start_node(node)
    for node in cluster.names:
        cluster.wait_ready(node)
    for node in cluster.names:
        with cluster.login(node) as ftp:
            for uploader in uploaders:
                check(uploader.ledger, ftp)


def test_a_lost_disk_is_told_and_served_around(cluster):
    content = {f"{number}.jpg": picture(number, 60_000) for number in range(5)}
    with cluster.login("n1") as ftp:
        for name, data in content.items():
            ftp.storbinary(f"STOR {name}", io.BytesIO(data))
    cluster.wait_verdict("healthy")
    lost = cluster.follower()
    cluster.kill(lost)
    shutil.rmtree(cluster.data(lost))
    others = [name for name in cluster.names if name != lost]
    status = eventually(lambda: (s := cluster.status(others[0])).get("short_count") == 5 and s)
    assert status["verdict"] == "degraded"
    assert sorted(status["short"]) == sorted(f"/{name}" for name in content)
    for node in others:
        with cluster.login(node) as ftp:
            assert {name: retrieve(ftp, name) for name in content} == content
            ftp.storbinary(f"STOR while-away-{node}.jpg", io.BytesIO(content["0.jpg"]))
    # With an empty disk it rejoins, without a vote until it has caught up, and gets its copies back.
    cluster.start_node(lost)
    # From its first word on, what it has lost is told: who waits for "healthy" can then take the next disk.
    first = eventually(lambda: (s := cluster.status(others[0])).get("verdict") == "healthy" and s)
    assert first["short_count"] == 0
    for node in first["nodes"]:
        assert (node.role in ("leader", "follower"), node.error) == (True, "")
        assert node.pictures == len(content) + len(others), node
    cluster.wait_ready(lost)
    status = cluster.wait_verdict("healthy")
    assert status["short_count"] == 0
    with cluster.login(lost) as ftp:
        assert {name: retrieve(ftp, name) for name in content} == content


def test_an_old_disk_that_is_put_back_is_refused(cluster):
    """Its log lacks what the node has acknowledged on the newer one."""
    node = cluster.follower()
    cluster.kill(node)
    old = cluster.data(node).with_name("old")
    cluster.data(node).rename(old)
    cluster.start_node(node)
    cluster.wait_ready(node)
    cluster.wait_verdict("healthy")
    with cluster.login(node) as ftp:
        ftp.storbinary("STOR new.jpg", io.BytesIO(picture("new", 30_000)))
    cluster.kill(node)
    newer = cluster.data(node).with_name("newer")
    cluster.data(node).rename(newer)
    old.rename(cluster.data(node))
    cluster.start_node(node)
    assert eventually(lambda: cluster.exit_code(node)) == 53
    assert "has had another disk since" in cluster.log(node)
    cluster.kill(node)
    # The newer one is as good as ever.
    cluster.data(node).rename(old)
    newer.rename(cluster.data(node))
    cluster.start_node(node)
    cluster.wait_ready(node)
    with cluster.login(node) as ftp:
        assert retrieve(ftp, "new.jpg") == picture("new", 30_000)


def test_a_node_cut_off_refuses_and_catches_up_after_the_heal(tmp_path):
    with Cluster(tmp_path / "cluster", proxied=True) as cluster:
        before, after = picture("before", 30_000), picture("after", 40_000)
        with cluster.login("n1") as ftp:
            ftp.storbinary("STOR x.jpg", io.BytesIO(before))
        alone = cluster.leader()
        session = cluster.login(alone)
        others = [name for name in cluster.names if name != alone]
        cluster.cut_off(alone)
        begin = time.monotonic()
        with pytest.raises(ftplib.error_temp, match=r"^4[25]1"):
            retrieve(session, "x.jpg")
        with pytest.raises(ftplib.error_temp, match=r"^4[25]1"):
            cluster.login(alone)
        assert time.monotonic() - begin < 60
        eventually(lambda: cluster.status(alone)["verdict"] == "no quorum")
        with cluster.login_when_served(others[0]) as ftp:
            ftp.storbinary("STOR x.jpg", io.BytesIO(after))
        with cluster.login(others[1]) as ftp:
            assert retrieve(ftp, "x.jpg") == after
        # Still cut off, it must not answer from its stale state.
        with pytest.raises(ftplib.all_errors):
            retrieve(session, "x.jpg")
        session.close()
        cluster.heal()
        with cluster.login_when_served(alone) as ftp:
            assert retrieve(ftp, "x.jpg") == after
        cluster.wait_verdict("healthy")


def test_overwriting_during_a_slow_download(cluster):
    old, new = picture("old", 24_000_000), picture("new", 1_000_000)
    with cluster.login("n1") as ftp:
        ftp.storbinary("STOR big.jpg", io.BytesIO(old))
    reader = cluster.login("n2")
    connection = reader.transfercmd("RETR big.jpg")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    received = bytearray(connection.recv(1000))
    with cluster.login("n3") as ftp:
        ftp.storbinary("STOR big.jpg", io.BytesIO(new))
        assert retrieve(ftp, "big.jpg") == new
        ftp.delete("big.jpg")
    while block := connection.recv(1 << 18):
        received += block
    connection.close()
    assert reader.voidresp().startswith("226")
    assert bytes(received) == old
    with cluster.login("n1") as ftp:
        ftp.storbinary("STOR big.jpg", io.BytesIO(new))
    assert retrieve(reader, "big.jpg") == new
    reader.close()


def test_a_download_survives_the_loss_of_the_replica_it_reads_from(tmp_path):
    # Four nodes, three copies: each chunk is missing at one node, which then reads it from another.
    with Cluster(tmp_path / "cluster", nodes=4) as cluster:
        content = picture("long", 40_000_000)
        with cluster.login("n1") as ftp:
            ftp.storbinary("STOR long.jpg", io.BytesIO(content))
        reader_node = cluster.names[-1]
        reader = cluster.login(reader_node)
        connection = reader.transfercmd("RETR long.jpg")
        received = bytearray(connection.recv(1000))
        cluster.kill(next(name for name in cluster.names if name not in (reader_node, cluster.leader())))
        while block := connection.recv(1 << 18):
            received += block
        connection.close()
        assert reader.voidresp().startswith("226")
        assert bytes(received) == content
        reader.close()


def test_failover_takes_less_than_its_promise(cluster):
    with cluster.login("n1") as ftp:
        ftp.storbinary("STOR first.jpg", io.BytesIO(picture(1, 20_000)))
    leader = cluster.leader()
    survivor = cluster.follower()
    session = cluster.login(survivor)
    cluster.kill(leader)
    # Commands wait for the new leader instead of failing: the promise is 3 s, the session's deadline is longer.
    session.storbinary("STOR second.jpg", io.BytesIO(picture(2, 20_000)))
    assert retrieve(session, "first.jpg") == picture(1, 20_000)
    session.close()
    assert cluster.leader() != leader
