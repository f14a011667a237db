"""What an operator does to running nodes: sees and ends sessions, takes one out, changes log and certificate."""

from __future__ import annotations

import ftplib
import io
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import paramiko
import pytest
from click.testing import Result
from commandline import pixraft
from harness import Cluster
from members import Members
from openssh import OpenSsh
from waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("operating"), metrics=True, sftp=True) as started:
        yield started


def run(cluster: Cluster, *arguments: str) -> Result:
    return pixraft(*arguments, "--cluster", str(cluster.local.directory))


def shape(cluster: Cluster, *arguments: str) -> Any:
    done = run(cluster, *arguments, "-o", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def sessions(cluster: Cluster, *options: str) -> list[dict[str, Any]]:
    return list(shape(cluster, "sessions", "list", *options)["sessions"])


@contextmanager
def uploading(
    cluster: Cluster, node: str, name: str, user: str = "demo"
) -> Iterator[tuple[ftplib.FTP, socket.socket]]:
    """An FTP upload of which half a megabyte has gone over, and that waits for its client."""
    ftp = cluster.login(node, user)
    try:
        with ftp.transfercmd(f"STOR {name}") as data:
            data.sendall(b"x" * 500_000)
            yield ftp, data
    finally:
        ftp.close()


@contextmanager
def sftp(cluster: Cluster, node: str) -> Iterator[paramiko.SFTPClient]:
    """An SFTP session of the user demo."""
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        host, port = cluster.sftp_address(node)
        client.connect(host, port, "demo", "demo", look_for_keys=False, allow_agent=False, timeout=120)
        with client.open_sftp() as opened:
            yield opened


def test_sessions_of_all_nodes_are_listed_with_what_they_do(cluster: Cluster) -> None:
    with uploading(cluster, "n1", "slow.jpg") as (ftp, data), sftp(cluster, "n2") as other:
        with other.open("seen.jpg", "wb") as file:
            file.write(b"y" * 100_000)
            file.flush()

            def moved() -> list[dict[str, Any]] | None:
                found = [one for one in sessions(cluster) if one["operations"]]
                whole = [one["operations"][0]["bytes"] for one in found] == [500_000, 100_000]
                return found if whole else None

            first, second = eventually(moved)
            assert (first["node"], first["protocol"], first["user"]) == ("n1", "ftp", "demo")
            assert (second["node"], second["protocol"], second["user"]) == ("n2", "sftp", "demo")
            assert first["operations"][0]["what"] == "upload" and first["operations"][0]["path"] == "/slow.jpg"
            assert first["operations"][0]["rate"] > 0
            assert second["operations"][0]["path"] == "/seen.jpg"
            text = run(cluster, "sessions", "--user", "demo").stdout
            assert "upload /slow.jpg, 488.3 KiB at " in text and "2 sessions at 3 nodes." in text
            assert "No sessions at 1 node." in run(cluster, "sessions", "list", "--node", "n3").stdout
        data.close()
        assert ftp.voidresp().startswith("226")
    eventually(lambda: not sessions(cluster))


def test_a_session_is_killed_by_number_and_its_upload_can_be_resumed(cluster: Cluster) -> None:
    with uploading(cluster, "n1", "killed.jpg") as (ftp, _), cluster.login("n1", "guest") as guest:
        number = eventually(lambda: [one for one in sessions(cluster) if one["operations"]])[0]["session"]
        eventually(lambda: sessions(cluster)[0]["operations"][0]["bytes"] == 500_000)
        assert run(cluster, "sessions", "kill", str(number)).exit_code == 2  # at which node?
        killed = run(cluster, "sessions", "kill", str(number), "--node", "n1")
        assert killed.exit_code == 0 and f"Session {number} of demo at n1" in killed.stdout
        with pytest.raises(ftplib.error_temp, match="426 An administrator has ended your session"):
            ftp.voidresp()
        with pytest.raises(ftplib.error_temp, match="421 An administrator"):
            ftp.voidresp()
        assert guest.pwd() == "/"
    again = run(cluster, "sessions", "kill", str(number), "--node", "n1", "-o", "json")
    assert again.exit_code == 10 and json.loads(again.stderr)["error"] == "NotFound"
    with cluster.login("n2") as ftp:
        ftp.storbinary("APPE killed.jpg", io.BytesIO(b"x" * 500_000))
        assert ftp.size("killed.jpg") == 1_000_000


def test_all_sessions_of_a_user_are_killed_at_all_nodes(cluster: Cluster) -> None:
    with cluster.login("n1") as one, sftp(cluster, "n2") as two, cluster.login("n3", "guest") as guest:
        answer = shape(cluster, "sessions", "kill", "--user", "demo")
        assert [(one["node"], one["protocol"]) for one in answer["killed"]] == [("n1", "ftp"), ("n2", "sftp")]
        with pytest.raises(ftplib.error_temp, match="421"):
            one.voidcmd("NOOP")
        with pytest.raises((OSError, EOFError, paramiko.SSHException)):
            two.listdir(".")
        assert guest.pwd() == "/"
    assert run(cluster, "sessions", "kill", "--user", "demo").stdout == "demo had no sessions.\n"


def test_the_doctor_looks_at_all_nodes_and_names_what_ails_them(cluster: Cluster) -> None:
    done = run(cluster, "doctor", "-o", "json")
    assert done.exit_code in (0, 7, 8)  # disk and clock of a busy machine may be slow
    well = json.loads(done.stdout)
    assert not [one for one in well["findings"] if one["severity"] != "ok" and one["check"] != "disks"], well
    checks = {(one["check"], one["where"]) for one in well["findings"]}
    assert {(check, node) for check in ("ports", "disks", "limits") for node in cluster.names} <= checks
    here = pixraft("doctor", "--config", str(cluster.config("n1")), "-o", "json")
    assert "node n1 listens" in next(
        one["text"]
        for one in json.loads(here.stdout)["findings"]
        if one["where"] == "this machine" and one["check"] == "ports"
    )
    cluster.kill("n3")
    try:
        ill = run(cluster, "doctor", "--quiet")
        assert ill.exit_code == 7, ill.output
        assert "n3: does not answer: " in ill.stdout and "does not reach" not in ill.stdout
    finally:
        cluster.start_node("n3")
        cluster.wait_ready("n3")


def ready(cluster: Cluster, node: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(
            f"http://{cluster.local.nodes[node].metrics}/readyz?verbose", timeout=60
        ) as page:
            return int(page.status), page.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_a_node_in_maintenance_serves_nobody_and_keeps_what_it_has(cluster: Cluster, tmp_path: Path) -> None:
    leader = cluster.leader()
    with closing(cluster.login(leader)) as idle, uploading(cluster, leader, "drained.jpg") as (ftp, data):
        on = run(cluster, "maintenance", "on", leader, "--grace", "1h", "--no-wait")
        assert on.exit_code == 0 and f"{leader} is in maintenance" in on.stdout, on.output
        with pytest.raises(ftplib.error_temp, match="421 This node is in maintenance; connect to another node"):
            idle.voidresp()
        with pytest.raises(ftplib.error_temp, match="421 This node is in maintenance; connect to another node"):
            cluster.login(leader)
        client = OpenSsh(tmp_path, cluster.sftp_address(leader)[1], "demo", "demo")
        refused = client.scp("{}:/a.jpg", str(tmp_path))
        assert refused.returncode != 0
        assert "This node is in maintenance; connect to another node." in refused.stderr
        data.sendall(b"x" * 500_000)  # a transfer goes on to its end
        data.close()
        assert ftp.voidresp().startswith("226")
        with pytest.raises(ftplib.error_temp, match="421 This node is in maintenance"):
            ftp.voidresp()
    done = shape(cluster, "maintenance", "on", leader)
    assert (done["sessions"], done["changed"]) == (0, False) and done["leader"] not in (None, leader)
    status, text = ready(cluster, leader)
    assert status == 503 and json.loads(text)["reason"] == "it is in maintenance"
    shown = run(cluster, "status")
    assert shown.exit_code == 0 and f"{leader} is in maintenance: it takes no clients" in shown.stdout
    assert run(cluster, "leader", "transfer", leader).exit_code == 51
    other = next(name for name in cluster.names if name != leader)
    with cluster.login(other) as ftp:
        ftp.storbinary("STOR meanwhile.jpg", io.BytesIO(b"z" * 50_000))
    eventually(lambda: cluster.status(other)["short_count"] == 0)

    # It stays so through a restart, and through one while another node ends it.
    cluster.kill(leader)
    cluster.start_node(leader)
    eventually(lambda: ready(cluster, leader)[1].find("it is in maintenance") > 0)
    with pytest.raises(ftplib.error_temp, match="421 This node is in maintenance"):
        cluster.login(leader)
    assert shape(cluster, "maintenance", "list")["nodes"][0]["node"] == leader
    off = run(cluster, "maintenance", "off", leader)
    assert off.stdout == f"{leader} serves clients again.\n"
    cluster.wait_ready(leader)
    eventually(lambda: ready(cluster, leader)[0] == 200)
    assert run(cluster, "maintenance", "off", leader).stdout == f"{leader} was not in maintenance.\n"
    assert run(cluster, "maintenance", "on", "n9").exit_code == 10


def test_sessions_that_outlast_the_grace_are_ended(cluster: Cluster) -> None:
    node = cluster.follower()
    with uploading(cluster, node, "cut.jpg") as (ftp, _):
        done = shape(cluster, "maintenance", "on", node, "--grace", "1s")
        assert done["sessions"] == 0
        with pytest.raises(ftplib.error_temp, match="426 This node is in maintenance"):
            ftp.voidresp()
    assert run(cluster, "maintenance", "off", node).exit_code == 0
    cluster.wait_ready(node)


def test_the_log_of_one_node_gets_louder_for_a_while(cluster: Cluster) -> None:
    assert {one["level"] for one in shape(cluster, "log-level")["nodes"]} == {"info"}
    done = shape(cluster, "log-level", "n2", "debug", "--for", "5m")
    assert [(one["node"], one["level"]) for one in done["nodes"]] == [("n2", "debug")]
    with cluster.login("n2") as ftp, pytest.raises(ftplib.error_perm):
        ftp.size("not there.jpg")  # said at debug only
    eventually(lambda: "not there.jpg" in cluster.log("n2"))
    assert "n2 logs at level info, as configured." in run(cluster, "log-level", "n2", "configured").stdout
    assert run(cluster, "log-level", "n9", "debug").exit_code == 10
    assert run(cluster, "log-level", "n2", "debug", "--for", "1s").exit_code == 0
    eventually(lambda: shape(cluster, "log-level", "n2")["nodes"][0]["level"] == "info")


def ends(cluster: Cluster, node: str, certificate: str = "node") -> int:
    found = [
        one["days"]
        for one in shape(cluster, "cert", "list")["certificates"]
        if (one["node"], one["certificate"]) == (node, certificate)
    ]
    return int(found[0])


def test_nodes_get_new_certificates_while_they_run(cluster: Cluster) -> None:
    members = Members(cluster)
    members.join("n4", members.token("n4"))  # the cluster knows the only certificate that it may show
    eventually(lambda: cluster.status("n1")["verdict"] == "healthy" and len(cluster.status("n1")["nodes"]) == 4)
    run(cluster, "node", "list")  # the admin's bundle gets its address
    with cluster.login("n2") as there:
        for days in (50, 60):
            done = shape(cluster, "cert", "renew", "n2", "n4", "--days", str(days))
            assert [one["node"] for one in done["renewed"]] == ["n2", "n4"]
            for node in ("n2", "n4"):
                eventually(lambda node=node, days=days: days - 2 <= ends(cluster, node) <= days)
        there.storbinary("STOR renewed.jpg", io.BytesIO(b"r" * 100_000))  # its session went on
    # All connections are new when the others have started anew; and it starts from the file.
    for name in ("n1", "n2", "n4"):
        cluster.kill(name)
        cluster.start_node(name)
        cluster.wait_ready(name)
    eventually(lambda: cluster.status("n3")["verdict"] == "healthy")
    assert 58 <= ends(cluster, "n4") <= 60
    soon = run(cluster, "cert", "renew", "n2", "--days", "3")
    assert soon.exit_code == 0 and "n2 has a new certificate, valid until " in soon.stdout
    eventually(lambda: "n2: the certificate for node ends in" in run(cluster, "status").stdout)
    assert run(cluster, "doctor", "-q").exit_code == 7
    assert run(cluster, "cert", "renew", "--all", "--admin").exit_code == 0
    eventually(lambda: ends(cluster, "n2") > 3000)
    assert run(cluster, "cert", "renew", "n9").exit_code == 10
    assert run(cluster, "cert", "renew").exit_code == 2


def test_top_tells_what_the_nodes_do(cluster: Cluster) -> None:
    with uploading(cluster, "n1", "watched.jpg"):
        done = run(cluster, "top", "-n", "2", "--interval", "0.3", "-o", "json")
        assert done.exit_code == 0, done.output
        first, second = (json.loads(line) for line in done.stdout.splitlines())
        assert {"n1", "n2", "n3"} <= {one["node"] for one in second["nodes"]}
        assert sum(one["role"] == "leader" for one in second["nodes"]) == 1
        assert all(one["cpu"] is not None for one in second["nodes"])
        assert "/watched.jpg" in [one["path"] for one in first["operations"]]
        text = run(cluster, "top", "-n", "1", "--interval", "0.3").stdout
        assert "upload /watched.jpg" in text and "leader" in text
    assert run(cluster, "top", "--node", "n9").exit_code == 10


def test_without_a_majority_sessions_and_the_log_are_still_in_hand(tmp_path: Path) -> None:
    with Cluster(tmp_path / "c") as cluster, closing(cluster.login("n1")) as ftp:
        cluster.kill("n2", "n3")
        eventually(lambda: cluster.status("n1")["verdict"] == "no quorum")
        found = shape(cluster, "sessions", "list")
        assert [one["user"] for one in found["sessions"]] == ["demo"]
        assert found["not_reached"] == ["n2", "n3"]
        assert shape(cluster, "log-level", "n1", "debug")["nodes"][0]["level"] == "debug"
        ended = run(cluster, "sessions", "kill", "--user", "demo")
        assert ended.exit_code == 5 and "n2, n3 did not answer: sessions there go on" in ended.stderr
        with pytest.raises(ftplib.error_temp, match="421 An administrator"):
            ftp.voidresp()
        assert run(cluster, "maintenance", "on", "n1").exit_code == 30
        assert "knows no leader" in run(cluster, "doctor", "-q").stdout
