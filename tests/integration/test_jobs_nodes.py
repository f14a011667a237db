"""Work in the background on real nodes: space comes back, rot is mended, a lost node is made good."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from harness import Cluster, eventually
from members import Members
from pictures import picture, retrieve

pytestmark = pytest.mark.integration

QUICK = {
    "PIXRAFT_JOBS_COLLECT_GRACE": "1",
    "PIXRAFT_JOBS_REPAIR_AFTER": "2",
    "PIXRAFT_CHUNKS_VOLUME_BYTES": str(1 << 20),
}


def volumes(cluster: Cluster, name: str) -> int:
    """Bytes that a node's volumes take on its disk."""
    directory = cluster.data(name) / "volumes"
    return sum(path.stat().st_size for path in directory.glob("*.vol*") if path.is_file())


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
        full = {name: volumes(cluster, name) for name in cluster.names}
        with cluster.login("n1") as ftp:
            for name in gone:
                ftp.delete(name)
        live = sum(map(len, kept.values()))
        eventually(lambda: all(volumes(cluster, name) < 1.5 * live + (1 << 20) for name in cluster.names))
        assert min(full.values()) > 10 * live / 2
        read(cluster, kept)
        members = Members(cluster)
        found = members.run("fsck")
        assert found["clean"], found
