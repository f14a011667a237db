"""SFTP at a real cluster: OpenSSH's clients and lftp, one host key for all nodes, workers that die, nodes that die."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import paramiko
import psutil
import pytest
from commandline import pixraft
from harness import Cluster
from openssh import OpenSsh
from waiting import eventually

DATA = os.urandom(3 * 1024 * 1024 + 5)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if shutil.which("sftp") is None:
        assert "CI" not in os.environ and "PIXRAFT_TEST_INSTALLED" not in os.environ
        pytest.skip("OpenSSH's sftp is not installed")
    with Cluster(tmp_path_factory.mktemp("sftp"), sftp=True) as running:
        yield running


def port(cluster: Cluster, name: str) -> int:
    address = cluster.local.nodes[name].sftp
    assert address is not None
    return address.port


def workers(cluster: Cluster, name: str) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(cluster.pid(name)).children():
        with contextlib.suppress(psutil.Error):
            if "ftpgateway.sftp.ssh.worker" in child.cmdline():
                found.append(child)
    return found


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_clients_and_nodes_agree(cluster: Cluster, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    clients = {}
    for name in cluster.names:
        client = clients[name] = OpenSsh(tmp_path / name, port(cluster, name), "demo", "demo")
        client.known_hosts = known
        (client.place / "a.jpg").write_bytes(DATA)
    one, two, three = (clients[name] for name in cluster.names)
    done = one.sftp(
        "put a.jpg\nput -fp a.jpg b.jpg\nrename b.jpg a.jpg\nmkdir album\n"
        'put a.jpg "album/c d.jpg"\nls -la\nls album\ndf\n'
    )
    assert done.returncode == 0, done.stderr
    assert "a.jpg" in done.stdout and "c d.jpg" in done.stdout and "%" in done.stdout
    # The same key under another name: what one node showed is what every node shows.
    keys = {line.split(" ", 1)[1] for line in known.read_text().splitlines()}
    assert two.sftp("get a.jpg got.jpg\n").returncode == 0
    assert {line.split(" ", 1)[1] for line in known.read_text().splitlines()} == keys
    assert (two.place / "got.jpg").read_bytes() == DATA
    copied = three.scp("-s", "a.jpg", "{}:/e.jpg")
    assert copied.returncode == 0, copied.stderr
    assert one.scp("-s", "{}:e.jpg", "f.jpg").returncode == 0 and (one.place / "f.jpg").read_bytes() == DATA
    old = one.scp("-O", "a.jpg", "{}:/g.jpg")
    assert old.returncode == 0, old.stderr
    assert two.scp("-O", "{}:/g.jpg", "h.jpg").returncode == 0 and (two.place / "h.jpg").read_bytes() == DATA
    shell = one.ssh("ls")
    assert shell.returncode == 1 and "SFTP and scp only" in shell.stderr
    reported = {node.name: node.services for node in cluster.wait_verdict("healthy")["nodes"]}
    for name, node in cluster.local.nodes.items():
        assert reported[name] == {"ftp": str(node.ftp), "sftp": str(node.sftp)}
    refused = OpenSsh(tmp_path / "x", port(cluster, "n1"), "demo", "wrong").sftp("ls\n")
    assert refused.returncode != 0
    eventually(lambda: "login refused" in cluster.log("n1"))
    with cluster.login("n3") as ftp:
        assert ftp.size("e.jpg") == len(DATA)
        ftp.delete("e.jpg")
    assert "e.jpg" not in two.sftp("ls\n").stdout


def test_interrupted_uploads_go_on_at_another_node(cluster: Cluster, tmp_path: Path) -> None:
    client = OpenSsh(tmp_path / "client", port(cluster, "n2"), "demo", "demo")
    (client.place / "big.jpg").write_bytes(DATA)
    transport = paramiko.Transport(("127.0.0.1", port(cluster, "n1")))
    try:
        transport.connect(username="demo", password="demo")
        session = paramiko.SFTPClient.from_transport(transport)
        assert session is not None
        file = session.open("big.jpg", "wb")
        file.write(DATA[:2_500_000])
        assert client.sftp("ls -l big.jpg\n").returncode != 0
    finally:
        transport.close()
    # The interrupted part is its owner's to see, and to go on with.
    eventually(lambda: client.sftp("ls -l big.jpg\n").returncode == 0)
    done = client.sftp("reput big.jpg\nget big.jpg back.jpg\n")
    assert done.returncode == 0, done.stderr
    assert (client.place / "back.jpg").read_bytes() == DATA


@pytest.mark.skipif(
    shutil.which("lftp") is None and "PIXRAFT_TEST_INSTALLED" not in os.environ, reason="lftp is not installed"
)
def test_lftp_mirrors_both_ways(cluster: Cluster, tmp_path: Path) -> None:
    client = OpenSsh(tmp_path / "lftp", port(cluster, "n1"), "demo", "demo")
    source, back = tmp_path / "source", tmp_path / "back"
    (source / "sub").mkdir(parents=True)
    for number, size in enumerate((0, 1, 70_000, len(DATA))):
        (source / "sub" / f"{number}.jpg").write_bytes(DATA[:size])
        os.utime(source / "sub" / f"{number}.jpg", (1_000_000 + number, 1_000_000 + number))
    program = " ".join(["ssh", "-a", "-x", *client.options()])
    script = (
        f'set net:max-retries 2; set sftp:connect-program "{program}"; '
        f"open -u demo,demo -p {client.port} sftp://127.0.0.1; "
        f"mirror -R {source} lftp; mirror lftp {back}; rm -r lftp; bye"
    )
    done = subprocess.run(
        ["lftp", "-c", script], capture_output=True, text=True, timeout=120, env=client.environment, check=False
    )
    assert done.returncode == 0, done.stderr
    for file in (source / "sub").iterdir():
        copy = back / "sub" / file.name
        assert copy.read_bytes() == file.read_bytes()
        assert int(copy.stat().st_mtime) == int(file.stat().st_mtime)


def test_host_keys_are_replaced_at_all_nodes(cluster: Cluster, tmp_path: Path) -> None:
    access = ("--cluster", str(cluster.local.directory), "-o", "json")

    def reported(*command: str) -> dict[str, str]:
        done = pixraft("hostkeys", *command, *access)
        assert done.exit_code == 0, done.output
        return {key["kind"]: key["fingerprint"] for key in json.loads(done.stdout)["keys"]}

    def scanned(name: str) -> dict[str, str]:
        found = tmp_path / "found"
        scan = ["ssh-keyscan", "-T", "60", "-p", str(port(cluster, name)), "127.0.0.1"]
        found.write_bytes(subprocess.run(scan, capture_output=True, check=False).stdout)
        lines = subprocess.run(["ssh-keygen", "-l", "-f", found], capture_output=True, check=False, text=True)
        return {line.split()[-1].strip("()").lower(): line.split()[1] for line in lines.stdout.splitlines()}

    before = eventually(lambda: reported("list"))  # none before the first node has made them
    assert set(before) == {"ed25519", "ecdsa", "rsa"}
    for name in ("n1", "n3"):
        eventually(lambda name=name: scanned(name) == before)  # type: ignore[misc]
    refused = pixraft("hostkeys", "rotate", "rsa", *access)
    assert refused.exit_code == 2 and "--yes" in refused.output
    one = reported("rotate", "ed25519", "--yes")
    assert {kind for kind in one if one[kind] != before[kind]} == {"ed25519"}
    for name in cluster.names:
        eventually(lambda name=name: scanned(name) == one)  # type: ignore[misc]
    every = reported("rotate", "--all", "--yes")
    assert every == reported("list") and not set(every.values()) & set(one.values())
    for name in ("n1", "n3"):
        eventually(lambda name=name: scanned(name) == every)  # type: ignore[misc]
    assert OpenSsh(tmp_path / "c", port(cluster, "n2"), "demo", "demo").sftp("ls\n").returncode == 0


def test_workers_that_die_are_replaced_and_none_outlives_its_node(cluster: Cluster, tmp_path: Path) -> None:
    client = OpenSsh(tmp_path / "c", port(cluster, "n2"), "demo", "demo")
    assert eventually(lambda: client.sftp("ls\n").returncode == 0)
    first = workers(cluster, "n2")
    assert first
    for worker in first:
        worker.kill()
    eventually(lambda: client.sftp("ls\n").returncode == 0)
    second = workers(cluster, "n2")
    assert second and {one.pid for one in first}.isdisjoint(one.pid for one in second)
    assert "an SFTP worker has died" in cluster.log("n2")
    cluster.kill("n2")
    eventually(lambda: all(gone(one) for one in second))
    cluster.start_node("n2")
    cluster.wait_ready("n2")
    eventually(lambda: client.sftp("ls\n").returncode == 0)
    third = workers(cluster, "n2")
    assert cluster.local.stop("n2") == {"n2": 0}
    assert all(gone(one) for one in third)
    cluster.start_node("n2")
    cluster.wait_ready("n2")
