"""`pixraft demo`: real node processes, the whole scenario, and nothing left behind however it ends."""

from __future__ import annotations

import ftplib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from ftpgateway.demo import ports, samples
from ftpgateway.demo.cluster import LocalCluster

pytestmark = pytest.mark.integration

PATIENCE = 240.0


def demo(scratch: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command with temporary directories under `scratch`."""
    return subprocess.Popen(
        [sys.executable, "-m", "ftpgateway.cli", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )


def alive(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=30)[1]


@contextmanager
def standing(scratch: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    """Run `demo --no-scenario` until it is ready; at the end SIGTERM must stop all of it, cleanly."""
    process = demo(scratch, "--no-scenario", "-o", "json", *arguments)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=30)
        nodes = alive(process)
        yield process, json.loads(line)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, ""), err
        assert gone(nodes)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_the_demo_shows_the_job_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = demo(tmp_path, "-o", "json")
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out + err
    steps = [json.loads(line) for line in out.splitlines()]
    assert all(step["ok"] for step in steps)
    titles = [step["step"] for step in steps]
    assert titles[0] == "start 3 nodes on this machine"
    assert titles[1] == "make the user demo, and the persons anna and bob"
    assert titles[2] == "upload 7 pictures through n1"
    assert titles[3:5] == ["read 7 pictures at n2", "read 7 pictures at n3"]
    assert titles[5] == "anna puts /send/bob/picture.jpg at n1"
    assert titles[6].startswith("kill -9 the leader, n")
    assert "the new leader is n" in steps[6]["note"]
    node = "n2" if "the leader, n3" in titles[6] else "n3"
    assert titles[7] == f"bob reads /inbox/anna/picture.jpg at {node}"
    assert steps[7]["note"] == "the same, byte for byte; `pixraft sent anna`: bob/picture.jpg opened"
    assert titles[8].startswith("anna puts /send/bob/mistake.")
    assert steps[8]["note"].endswith(" recalled")
    assert titles[9].startswith("read 7 pictures at n")
    assert titles[10].startswith("upload one more through n")
    assert titles[11].endswith("wait until it has caught up")
    assert titles[12].startswith("read 8 pictures at n")
    assert list(tmp_path.iterdir()) == []


def test_the_demo_in_plain_lines_with_pictures_of_the_user(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "2024").mkdir(parents=True)
    (folder / "2024" / "été 1.JPG").write_bytes(os.urandom(300_000))
    (folder / "b.png").write_bytes(os.urandom(1_500_000))
    (folder / "notes.txt").write_text("no picture")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = demo(scratch, "--pictures", str(folder))
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out + err
    assert "upload 2 pictures through n1" in out
    for word in ("  ftp 127.0.0.1", "curl -T", "lftp -e"):
        assert word in out
    assert "\x1b" not in out
    assert list(scratch.iterdir()) == []


def test_a_standing_cluster_is_started_again_with_what_it_held(tmp_path: Path) -> None:
    place = tmp_path / "cluster"
    first = ports.consecutive("127.0.0.1", 3, None)[0]
    arguments = ("--dir", str(place), "--ftp-port", str(first), "--user", "anna:se:cret")
    with standing(tmp_path, *arguments) as (_, ready):
        nodes = ready["nodes"]
        assert isinstance(nodes, list)
        assert [node["ftp"] for node in nodes] == [f"127.0.0.1:{first + n}" for n in range(3)]
        with ftplib.FTP(timeout=60) as client:
            client.connect("127.0.0.1", first)
            client.login("anna", "se:cret")
            client.storbinary("STOR a.jpg", io.BytesIO(b"picture" * 1000))
    second = ports.consecutive("127.0.0.1", 3, None)[0]
    again = ("--dir", str(place), "--ftp-port", str(second), "--user", "anna:other")
    with standing(tmp_path, *again) as (process, _):
        content = io.BytesIO()
        with ftplib.FTP(timeout=60) as client:
            client.connect("127.0.0.1", second + 2)
            client.login("anna", "other")
            client.retrbinary("RETR a.jpg", content.write)
        assert content.getvalue() == b"picture" * 1000
        # A node that is killed is told, with how to start it; the others go on.
        victim = next(node for node in alive(process) if "n3" in " ".join(node.cmdline()))
        victim.kill()
        assert process.stderr is not None
        line = process.stderr.readline()
        assert f"pixraft serve --config {place}/n3/pixraft.toml" in line
        assert "signal 9" in line


def test_persons_of_a_standing_cluster_send_to_each_other(tmp_path: Path) -> None:
    place = tmp_path / "cluster"
    persons = ("--person", "anna:se:cret", "--person", "bob:b", "--dir", str(place))
    with standing(tmp_path, *persons, "--nodes", "1") as (_, ready):
        assert ready["persons"] == ["anna", "bob"]
        nodes = ready["nodes"]
        assert isinstance(nodes, list)
        port = int(nodes[0]["ftp"].rpartition(":")[2])
        content = io.BytesIO()
        with ftplib.FTP(timeout=60) as client:
            client.connect("127.0.0.1", port)
            client.login("anna", "se:cret")
            client.storbinary("STOR /send/bob/a.jpg", io.BytesIO(b"picture" * 1000))
        with ftplib.FTP(timeout=60) as client:
            client.connect("127.0.0.1", port)
            client.login("bob", "b")
            client.retrbinary("RETR /inbox/anna/a.jpg", content.write)
        assert content.getvalue() == b"picture" * 1000
        listed = subprocess.run(
            [sys.executable, "-m", "ftpgateway.cli", "events", "--cluster", str(place), "-o", "json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        first = json.loads(listed.stdout.splitlines()[0])
        assert (first["event"], first["actor"], first["subject"]) == ("delivered", "anna", "bob")
        assert first["path"] == "bob/a.jpg"
    with standing(tmp_path, *persons, "--person", "carol:c", "--nodes", "1") as (_, ready):
        assert ready["persons"] == ["anna", "bob", "carol"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("steps", [0, 3])
def test_a_signal_in_the_midst_of_the_demo_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, steps: int
) -> None:
    process = demo(tmp_path, "-o", "json")
    assert process.stdout is not None
    try:
        for _ in range(steps):
            assert json.loads(process.stdout.readline())["ok"]
        while not (nodes := alive(process)):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode == 128 + number
        assert gone(nodes)
        assert list(tmp_path.iterdir()) == []
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_nodes_stop_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    process = demo(tmp_path, "--no-scenario", "--nodes", "1", "--dir", str(tmp_path / "c"))
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert re.match(
            r"Ready: n1 ftp://127.0.0.1:\d+ sftp://127.0.0.1:\d+ metrics http://127.0.0.1:\d+ web http://127.0.0.1:\d+ "
            r"user demo, ",
            ready,
        )
        (page,) = re.findall(r"web (http://\S+)", ready)
        with urllib.request.urlopen(page, timeout=PATIENCE) as reply:
            assert b"<h1>Sign in</h1>" in reply.read()
        (page,) = re.findall(r"metrics (http://\S+)", ready)
        with urllib.request.urlopen(f"{page}/readyz", timeout=PATIENCE) as reply:
            assert reply.read() == b"ready\nwritable: true\n"
        nodes = alive(process)
        assert any("serve" in node.cmdline() for node in nodes)
    finally:
        process.kill()
        process.communicate()
    assert gone(nodes)


def test_a_port_in_use_and_another_number_of_nodes_are_told(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "c", nodes=1):
        pass
    other = demo(tmp_path, "--no-scenario", "--dir", str(tmp_path / "c"))
    _, err = other.communicate(timeout=60)
    assert (other.returncode, "holds a cluster of 1 nodes, not 3" in err) == (6, True), err
    first = ports.consecutive("127.0.0.1", 1, None)[0]
    with LocalCluster(tmp_path / "d", nodes=1, ftp_port=first) as cluster:
        cluster.start()
        cluster.wait_ready(PATIENCE)
        taken = demo(tmp_path, "--no-scenario", "--ftp-port", str(first))
        _, err = taken.communicate(timeout=60)
        assert (taken.returncode, f"127.0.0.1:{first}: another process listens there" in err) == (9, True), err


def test_a_node_that_cannot_start_is_told_with_its_log(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "c", nodes=1) as cluster:
        cluster.nodes["n1"].environment["PIXRAFT_FTP_LISTEN"] = "192.0.2.1:21"
        cluster.start()
        with pytest.raises(Exception, match=r"node n1 stopped by itself \(exit code 9\)") as caught:
            cluster.wait_ready(PATIENCE)
        assert "this machine does not have the address" in str(caught.value)


def test_samples(tmp_path: Path) -> None:
    shipped = samples.shipped()
    assert len(shipped) == 7
    assert sum(picture.size for picture in shipped) < 1_500_000
    heads = {picture.file.read_bytes()[:3] for picture in shipped}
    assert heads == {b"\xff\xd8\xff", b"\x89PN"}
