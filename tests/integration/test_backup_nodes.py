"""Backups of real clusters: what changed is sent alone, and a new cluster of any size has everything."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import Cluster
from members import Failed, pixraft
from persons import asked, fetched, names, put_person, states, store
from pictures import picture, retrieve
from waiting import PATIENCE, eventually

from ftpgateway.demo import ports

pytestmark = pytest.mark.integration

SIZE = 30_000
DAMAGED = 40
QUICK = {"PIXRAFT_JOBS_COLLECT_GRACE": "1", "PIXRAFT_CHUNKS_VOLUME_BYTES": str(1 << 20)}


def put(cluster: Cluster, pictures: dict[str, bytes]) -> None:
    with cluster.login("n1") as ftp:
        for name, content in pictures.items():
            ftp.storbinary(f"STOR {name}", io.BytesIO(content))


class Backups:
    """A target and its key, beside a cluster."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        self.directory = directory
        self.cluster = cluster
        self.target = directory / "target"
        self.key = directory / "backup.key"
        pixraft("backup", "key", str(self.key))

    def run(self, verb: str, *more: str) -> Any:
        """Run a command on the target."""
        return pixraft("backup", verb, str(self.target), *more, "--key", str(self.key))

    def create(self, *more: str) -> Any:
        """Make a backup."""
        return self.run("create", *more, "--cluster", str(self.cluster.local.directory))

    @contextmanager
    def begun(self, *more: str) -> Iterator[subprocess.Popen[str]]:
        """Begin one in a process of its own, which is gone at the end."""
        words = ("backup", "create", str(self.target), "--key", str(self.key), *more, "-o", "json")
        command = [
            sys.executable,
            "-m",
            "ftpgateway.cli",
            *words,
            "--cluster",
            str(self.cluster.local.directory),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def objects(self) -> list[Path]:
        """What is at the target."""
        return [path for path in (self.target / "objects").rglob("*") if path.is_file()]

    def wait_for_objects(self, count: int) -> None:
        """Wait until so many are there."""
        eventually(lambda: len(self.objects()) >= count)

    def restore(self, place: Path, nodes: int, *more: str) -> Any:
        """Restore the newest backup, or the one that `more` begins with."""
        options = []
        for number, port in enumerate(ports.free("127.0.0.1", nodes), 1):
            options += ["--node", f"n{number}=127.0.0.1:{port},sftp="]
        return self.run("restore", *more, str(place), *options)


def finished(process: subprocess.Popen[str]) -> Any:
    """Wait until a backup is made."""
    printed, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    return json.loads(printed)


@pytest.fixture
def backups(tmp_path: Path) -> Iterator[Backups]:
    with Cluster(tmp_path / "cluster") as cluster:
        yield Backups(tmp_path, cluster)


def refused(call: Any, *arguments: Any) -> Failed:
    """Return the error that a command ends with."""
    with pytest.raises(Failed) as caught:
        call(*arguments)
    return caught.value


def check(cluster: Cluster, pictures: dict[str, bytes], people: dict[str, bytes]) -> None:
    """All is there, for who may log in as before."""
    for node in {cluster.names[0], cluster.names[-1]}:
        with cluster.login(node) as ftp:
            assert set(names(ftp, "/")) >= {name for name in pictures if "/" not in name}
            for name, content in pictures.items():
                assert retrieve(ftp, name) == content, name
    with cluster.login("n1", "anna") as anna, cluster.login("n1", "bob") as bob:
        assert fetched(bob, "/inbox/anna/hi.jpg") == people["hi.jpg"]
        assert fetched(anna, "/send/bob/hi.jpg") == people["hi.jpg"]
        assert fetched(bob, "/inbox/anna/all.jpg") == people["all.jpg"]
        assert names(anna, "/trash") == ["old.jpg"]
        anna.rename("/trash/old.jpg", "/back.jpg")
        assert fetched(anna, "/back.jpg") == people["old.jpg"]
        assert store(bob, "/send/family/again.jpg", b"to the group").startswith("226")
        assert fetched(anna, "/inbox/bob/again.jpg") == b"to the group"
    assert states(cluster, "anna", "bob/hi.jpg") == [("bob", "opened")]
    kinds = {event["event"] for event in _events(cluster)}
    assert "delivered" in kinds


def _events(cluster: Cluster) -> list[Any]:
    words = ("events", "--cluster", str(cluster.local.directory), "-o", "json")
    done = subprocess.run(
        [sys.executable, "-m", "ftpgateway.cli", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_increment_is_small_and_clusters_of_other_sizes_have_everything(
    backups: Backups, tmp_path: Path
) -> None:
    cluster = backups.cluster
    people = {name: picture(name, 20_000) for name in ("hi.jpg", "all.jpg", "old.jpg")}
    for name in ("anna", "bob"):
        put_person(cluster, name, trash_ns=30 * 86_400 * 10**9)
    asked(cluster, "group", "add", "family", "--members", "anna,bob")
    with cluster.login("n2", "anna") as anna, cluster.login("n3", "bob") as bob:
        assert store(anna, "/send/bob/hi.jpg", people["hi.jpg"]).startswith("226")
        assert store(anna, "/send/family/all.jpg", people["all.jpg"]).startswith("226")
        assert store(anna, "/old.jpg", people["old.jpg"]).startswith("226")
        anna.delete("/old.jpg")
        assert fetched(bob, "/inbox/anna/hi.jpg") == people["hi.jpg"]
    eventually(lambda: states(cluster, "anna", "bob/hi.jpg") == [("bob", "opened")])
    pictures = {f"p{number}.jpg": picture(number, SIZE) for number in range(200)}
    pictures["long.jpg"] = picture("long", 3_500_000)
    put(cluster, pictures)
    first = backups.create()
    assert first["files"] >= 201 and first["new_bytes"] > 200 * SIZE
    earlier = dict(pictures)
    changed = {f"p{number}.jpg": picture(f"other{number}", SIZE) for number in range(2)}
    put(cluster, changed)
    pictures |= changed
    second = backups.create()
    assert second["index"] > first["index"]
    assert second["new_bytes"] <= 0.05 * first["new_bytes"], second
    with cluster.login("n1") as ftp:
        ftp.delete("p5.jpg")
    assert backups.run("verify")["sound"]
    assert [each["name"] for each in backups.run("list")["backups"]] == [first["name"], second["name"]]
    # Nothing of the old nodes is known to the new ones: n1 to n3 begin anew beside n4 and n5.
    for nodes, backup, expected in ((5, second["name"], pictures), (1, first["name"], earlier)):
        place = tmp_path / f"of-{nodes}"
        made = backups.restore(place, nodes, backup)
        assert made["backup"] == backup and len(made["nodes"]) == nodes
        assert (place / "authority" / "ca.pem").read_bytes() != (
            cluster.local.directory / "authority" / "ca.pem"
        ).read_bytes()
        with Cluster(place, nodes=nodes) as new:
            new.wait_verdict("healthy")
            assert new.status("n1")["files"] == made["files"]
            check(new, expected, people)
            put(new, {"after.jpg": picture("after", SIZE)})
            for name in new.names:
                new.local.stop(name)
                new.start_node(name)
                new.wait_ready(name)
    pruned = backups.run("prune", "--keep-last", "1")
    assert (pruned["removed"], pruned["kept"]) == ([first["name"]], [second["name"]])
    assert backups.run("verify")["sound"]
    assert refused(backups.restore, tmp_path / "none", 1, first["name"]).code == 10
    assert not (tmp_path / "none").exists()


def test_the_leader_dies_and_collection_is_eager_while_a_backup_is_made(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", environment=QUICK) as cluster:
        backups = Backups(tmp_path, cluster)
        pictures = {f"p{number}.jpg": picture(number, 100_000) for number in range(80)}
        put(cluster, pictures)
        cluster.wait_verdict("healthy")
        full = sum(map(len, pictures.values()))
        with backups.begun("--rate", "400K") as process:
            backups.wait_for_objects(10)
            assert process.poll() is None
            with cluster.login("n1") as ftp:
                for name in pictures:
                    ftp.delete(name)
            # Somebody wants to collect what the backup has yet to read, and may not.
            eventually(
                lambda: any("chunks are not collected now" in cluster.log(name) for name in cluster.names)
            )
            assert process.poll() is None
            leader = cluster.leader()
            cluster.kill(leader)
            made = finished(process)
        cluster.start_node(leader)
        cluster.wait_ready(leader)
        assert made["files"] == 80 and not made["lost"]
        assert backups.run("verify")["sound"]
        # It has let go of them.
        eventually(lambda: all(cluster.disk_bytes(name) < full / 2 for name in cluster.names))
        backups.restore(tmp_path / "new", 1)
    with Cluster(tmp_path / "new", nodes=1) as new, new.login("n1") as ftp:
        for name, content in pictures.items():
            assert retrieve(ftp, name) == content


def test_an_interrupted_backup_goes_on_and_a_damaged_one_is_refused(backups: Backups, tmp_path: Path) -> None:
    pictures = {f"p{number}.jpg": picture(number, 100_000) for number in range(60)}
    put(backups.cluster, pictures)
    with backups.begun("--rate", "400K"):
        backups.wait_for_objects(15)
    sent = len(backups.objects())
    assert sent < 60 and not backups.run("list")["backups"]
    made = backups.create()
    assert made["new_objects"] <= 60 + 10 - sent + 4
    assert backups.run("verify")["sound"]
    # The process that was killed has left its lock: nobody prunes for a while.
    assert "is at work at this target" in refused(backups.run, "prune", "--keep-last", "1").said
    other = tmp_path / "other.key"
    pixraft("backup", "key", str(other))
    right, backups.key = backups.key, other
    for verb in ("list", "verify"):
        assert "the key is not that of this target" in refused(backups.run, verb).said
    backups.key = right
    whole = tmp_path / "whole"
    shutil.copytree(backups.target, whole)
    by_size = sorted(backups.objects(), key=lambda path: path.stat().st_size)
    for what, victim in (("damaged", by_size[-1]), ("cut", by_size[-2]), ("missing", by_size[-3])):
        content = bytearray(victim.read_bytes())
        if what == "missing":
            victim.unlink()
        else:
            content[DAMAGED] ^= 1
            victim.write_bytes(content[:-1] if what == "cut" else content)
        for call, arguments in ((backups.run, ("verify",)), (backups.restore, (tmp_path / "new", 1))):
            error = refused(call, *arguments)
            assert error.code == 40
            assert victim.name in error.printed + error.said and what in error.printed + error.said, error
            assert "p" in error.printed + error.said and ".jpg" in error.printed + error.said
        assert not (tmp_path / "new").exists()
        # The next backup sends again what it sees to be missing or cut.
        victim.write_bytes((whole / victim.relative_to(backups.target)).read_bytes())
    (manifest,) = (backups.target / "backups").iterdir()
    manifest.write_bytes(manifest.read_bytes()[:-10])
    assert manifest.name in refused(backups.restore, tmp_path / "new", 1).said
    assert refused(backups.run, "verify").code == 40
