"""FTP commands beyond transfers against real nodes: what one node changes, the others show."""

from __future__ import annotations

import ftplib
import hashlib
import io
import zlib

import pytest
from harness import Cluster, eventually
from pictures import picture

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("commands")) as running:
        yield running


def test_checksums_room_and_removal_at_all_nodes(cluster):
    content = picture("large", 9_000_000)
    with cluster.login("n1") as one, cluster.login("n2") as two, cluster.login("n3") as three:
        one.storbinary("STOR large.jpg", io.BytesIO(content))
        # Checksums, of a part as well, wherever the chunks are.
        for ftp in (one, two, three):
            digest = hashlib.sha256(content).hexdigest()
            assert ftp.sendcmd("HASH large.jpg") == f"213 SHA-256 0-8999999 {digest} /large.jpg"
            part = f"{zlib.crc32(content[1_000_000:5_000_000]):08X}"
            assert ftp.sendcmd('XCRC "large.jpg" 1000000 5000000') == f"250 {part}"
            ftp.sendcmd("RANG 1048570 2097160")
            got = io.BytesIO()
            ftp.retrbinary("RETR large.jpg", got.write)
            assert got.getvalue() == content[1_048_570:2_097_161]
        # Room for all copies; what is impossible is refused before any data.
        free = int(two.sendcmd("AVBL").split()[1])
        assert free > 0
        assert two.sendcmd(f"ALLO {min(free // 2, 1 << 30)}").startswith("200")
        with pytest.raises(ftplib.error_perm, match="552"):
            two.sendcmd(f"ALLO {1 << 50}")
        # A directory with all in it, removed at one node, is gone at the others.
        for path in ("album", "album/deep", "album/empty"):
            one.mkd(path)
        for number in range(60):
            one.storbinary(f"STOR album/{'deep/' if number % 2 else ''}{number}.jpg", io.BytesIO(b"x"))
        listed: list[str] = []
        two.retrlines("LIST -R album", listed.append)
        assert sum(line.endswith(".jpg") for line in listed) == 60
        assert three.sendcmd("RMDA album") == "250 63 names removed."
        for ftp in (one, two, three):
            assert "album" not in ftp.nlst()
        two.sendcmd("SITE UTIME 20010203040506 large.jpg")
        assert one.sendcmd("MDTM large.jpg") == "213 20010203040506"


def test_every_node_tells_what_the_clients_of_each_hold(cluster):
    def connections(asked: str) -> dict[str, int]:
        return {node.name: node.clients["connections"].used for node in cluster.status(asked)["nodes"]}

    with cluster.login("n1"), cluster.login("n1"), cluster.login("n2"):
        eventually(lambda: all(connections(name) == {"n1": 2, "n2": 1, "n3": 0} for name in cluster.names))
