"""Bad input, broken transfers and full disks against a real cluster: a clear reply, and everything goes on."""

from __future__ import annotations

import ftplib
import io
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys

import pytest
from harness import Cluster
from pictures import picture, retrieve
from waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def ftp(cluster):
    with cluster.login("n1") as session:
        yield session


def reply(ftp: ftplib.FTP, line: str) -> str:
    try:
        return ftp.sendcmd(line)
    except ftplib.Error as error:
        return str(error)


def raw(ftp: ftplib.FTP, line: bytes) -> str:
    ftp.sock.sendall(line)
    try:
        return ftp.getresp()
    except ftplib.Error as error:
        return str(error)


def test_a_wrong_password_and_an_unknown_user_get_530(cluster):
    for user, password in (("demo", "wrong"), ("nobody", "demo")):
        with ftplib.FTP(timeout=60) as ftp:
            ftp.connect(*cluster.address("n1"))
            with pytest.raises(ftplib.error_perm, match=r"^530"):
                ftp.login(user, password)
            # The session goes on: the right one is taken.
            ftp.login("demo", "demo")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("FROBNICATE", "500"),
        ("SIZE missing.jpg", "550"),
        ("CWD missing", "550"),
        ("MKD " + "n" * 300, "553"),
        ("MKD " + "/d" * 200, "553"),
        ("DELE missing.jpg", "550"),
        ("RMD missing", "550"),
        ("RNFR missing", "550"),
    ],
)
def test_refusals_have_the_right_code_and_the_session_goes_on(ftp, command, code):
    assert reply(ftp, command).startswith(code)
    assert ftp.pwd() == "/"


@pytest.mark.parametrize("command", ["RETR", "STOR"])
def test_transfers_that_cannot_be(ftp, command):
    ftp.voidcmd("TYPE I")
    eventually(lambda: "adir" in ftp.nlst() or ftp.mkd("adir"))
    targets = [("adir", "550"), ("missing/x.jpg", "550"), ("n" * 300, "55[03]"), ("/d" * 200, "55[03]")]
    for target, code in [*targets, ("../../etc/passwd", "550"), ("/../../../etc/passwd", "550")]:
        with pytest.raises(ftplib.error_perm, match=rf"^{code}"):
            if command == "STOR":
                ftp.storbinary(f"STOR {target}", io.BytesIO(b"x"))
            else:
                ftp.retrbinary(f"RETR {target}", lambda _: None)
        assert ftp.pwd() == "/"


@pytest.mark.parametrize("name", [b"a\0b", b"a\rb", b"caf\xe9.jpg"])
def test_names_that_cannot_be(ftp, name):
    assert re.match(r"5\d\d", raw(ftp, b"MKD " + name + b"\r\n"))
    assert ftp.pwd() == "/"
    assert not any("caf" in entry or (entry[:1] == "a" and entry[-1:] == "b") for entry in ftp.nlst())


def test_a_newline_ends_the_command_and_smuggles_nothing(ftp):
    ftp.sock.sendall(b"MKD with\nDELE y\r\n")
    first = ftp.getline()
    assert first[:1] in "25"
    ftp.sock.sendall(b"NOOP\r\n")
    lines = [ftp.getline()]
    while not lines[-1].startswith("200"):
        lines.append(ftp.getline())
    assert not any("y" in line and line.startswith("250") for line in lines)


class Broken:
    """Starts an upload on a raw data connection and ends it in an ugly way."""

    def __init__(self, ftp: ftplib.FTP, name: str, command: str = "STOR") -> None:
        ftp.voidcmd("TYPE I")
        self.ftp = ftp
        self.connection = ftp.transfercmd(f"{command} {name}")

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def outcome(self) -> str:
        try:
            return self.ftp.voidresp()
        except ftplib.Error as error:
            return str(error)


def test_a_reset_is_no_upload_and_its_owner_resumes_it_at_another_node(cluster):
    earlier, content = picture("earlier", 50_000), picture("whole", 3_500_000)
    with cluster.login("n1") as ftp, cluster.login("n2") as other, cluster.login("n3", "guest") as guest:
        ftp.storbinary("STOR reset.jpg", io.BytesIO(earlier))
        broken = Broken(ftp, "reset.jpg")
        broken.connection.sendall(content[:2_300_000])
        # What was sent must arrive before the reset may overtake it.
        eventually(lambda: unsent(broken.connection) == 0)
        broken.reset()
        assert broken.outcome().startswith("426")
        assert retrieve(other, "reset.jpg") == earlier
        assert guest.size("reset.jpg") == len(earlier)
        other.voidcmd("TYPE I")
        kept = eventually(lambda: (size := other.size("reset.jpg")) != len(earlier) and size)
        assert 0 < kept <= 2_300_000
        other.storbinary("STOR reset.jpg", io.BytesIO(content[kept:]), rest=kept)
        assert retrieve(ftp, "reset.jpg") == content
        assert guest.size("reset.jpg") == len(content)


def unsent(connection: socket.socket) -> int:
    """Bytes that the kernel has not yet had acknowledged (SIOCOUTQ)."""
    import fcntl
    import termios

    return struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]


def test_a_dropped_control_connection_publishes_nothing(cluster):
    with cluster.login("n2") as witness:
        ftp = cluster.login("n1")
        broken = Broken(ftp, "dropped.jpg")
        # More than the sockets between us hold: the node has read a good part of it.
        broken.connection.sendall(picture("dropped", 24_000_000))
        ftp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ftp.close()
        broken.reset()
        # Its owner finds the rest to resume; the listing of published files never shows it.
        witness.voidcmd("TYPE I")
        assert eventually(lambda: witness.size("dropped.jpg"))
        with pytest.raises(ftplib.error_perm, match=r"^550"):
            retrieve(witness, "dropped.jpg")


def test_tls_that_ends_without_close_notify_is_no_upload(cluster):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    content = picture("tls", 400_000)
    with ftplib.FTP_TLS(timeout=60, context=context) as ftp:
        ftp.connect(*cluster.address("n1"))
        ftp.login("demo", "demo")
        ftp.prot_p()
        broken = Broken(ftp, "torn.jpg")
        broken.connection.sendall(content)
        # A FIN below TLS, as an attacker who cuts a transfer short would send it.
        os.close(broken.connection.detach())
        assert broken.outcome().startswith("426")
        with pytest.raises(ftplib.error_perm, match=r"^550"):
            retrieve(ftp, "torn.jpg")
        ftp.storbinary("STOR torn.jpg", io.BytesIO(content))
        assert retrieve(ftp, "torn.jpg") == content


def serve(config, **environment) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ftpgateway.cli", "serve", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )


def test_a_truncated_configuration_is_named(cluster, tmp_path):
    text = cluster.config("n1").read_text()
    broken = tmp_path / "pixraft.toml"
    broken.write_text(text[: text.index("[cluster]") + 5])
    result = serve(broken)
    assert result.returncode == 3
    assert str(broken) in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_in_use_is_named(cluster, tmp_path):
    port = cluster.address("n1")[1]
    stranger = cluster.config("n1")
    result = serve(stranger, PIXRAFT_NODE_DATA=str(tmp_path / "data"))
    assert result.returncode not in (0, 1)
    assert str(cluster.peer_port("n1")) in result.stderr or str(port) in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def small_disks(tmp_path):
    """Mounts small file systems; called with the number of them, returns their directories."""
    mounts = []

    def mount(count):
        for number in range(1, count + 1):
            place = tmp_path / f"disk{number}"
            place.mkdir()
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=96m", "pixraft-test", str(place)],
                capture_output=True,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"no tmpfs here: {done.stderr.decode()}")
            mounts.append(place)
        return mounts

    yield mount
    for place in mounts:
        subprocess.run(["umount", str(place)], check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tmpfs needs root")
def test_full_disks_give_452_and_lose_nothing(tmp_path, small_disks):
    data = {f"n{number}": str(place / "data") for number, place in enumerate(small_disks(3), 1)}
    with Cluster(tmp_path / "cluster", data=data) as cluster, cluster.login("n1") as ftp:
        stored = {}
        for number in range(100):
            content = picture(number, 1_000_000)
            try:
                ftp.storbinary(f"STOR {number}.jpg", io.BytesIO(content))
            except ftplib.error_temp as error:
                assert str(error).startswith("452"), error
                break
            stored[f"{number}.jpg"] = content
        else:
            pytest.fail("the disks never filled")
        assert len(stored) >= 5
        eventually(lambda: "its disk is full" in cluster.status("n2")["error"])
        assert cluster.status("n2")["verdict"] == "degraded"
        with cluster.login("n2") as other:
            assert set(other.nlst()) == set(stored)
            for name, content in stored.items():
                assert retrieve(other, name) == content


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tmpfs needs root")
def test_a_node_whose_disk_was_full_takes_part_again_when_there_is_room(tmp_path, small_disks):
    (disk,) = small_disks(1)
    with Cluster(tmp_path / "cluster", data={"n3": str(disk / "data")}) as cluster, cluster.login("n1") as ftp:
        pid = cluster.pid("n3")
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(disk).free - 60 * 1024 * 1024))
        eventually(lambda: "its disk is full" in cluster.status("n1")["error"])
        content = {f"{number}.jpg": picture(number, 1_000_000) for number in range(4)}
        for name, data in content.items():
            ftp.storbinary(f"STOR {name}", io.BytesIO(data))
        eventually(lambda: cluster.status("n1")["short_count"] == len(content))
        ballast.unlink()
        status = cluster.wait_verdict("healthy")
        assert {node.name: node.pictures for node in status["nodes"]}["n3"] == len(content)
        assert cluster.pid("n3") == pid
        # What it holds is as good as the others'.
        cluster.kill("n2")
        with cluster.login_when_served("n3") as other:
            for name, data in content.items():
                assert retrieve(other, name) == data
