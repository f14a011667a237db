"""Fill three nodes of the version that runs this, and stop them: `makerelease.py` calls it with the wheel's Python.

    python -I fillcluster.py DIRECTORY        writes data.tar.xz and expected.json there

Nothing but the wheel and the standard library is used. What must be readable is noted twice: as it was put here, and as
the version's own catalog tells it; the two must agree.
"""

from __future__ import annotations

import contextlib
import ftplib
import functools
import hashlib
import io
import json
import lzma
import os
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from raftstore.consensus.log.journal import Journal
from raftstore.metadata import Catalog
from raftstore.types import Kind

NODES = ("n1", "n2", "n3")
LEFT_OUT = {"node.log", "lock", "ballast", "authority"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0n8aTUZ7eHvM2qvK2zKqLmpxSgJfVd9mXh6Q1dYVxC test@pixraft"
PIXRAFT = (sys.executable, "-I", "-m", "ftpgateway.cli")
SETTINGS = {
    "PIXRAFT_CONSENSUS_LOG_ENTRIES": "60",  # so that the log is cut
    "PIXRAFT_JOBS_BANDWIDTH": str(256 * 1024),  # so that a job is not over at once
    "PIXRAFT_NODE_BALLAST_BYTES": "0",
}
PATIENCE = 120.0


def content(seed: str, size: int) -> bytes:
    """Bytes that nothing compresses."""
    blocks = (hashlib.sha256(f"{seed} {number}".encode()).digest() for number in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def large(seed: str, size: int) -> bytes:
    """Bytes that compress well, while no two MiB of them are the same."""
    line = content(seed, 4096)
    return b"".join(line[:-8] + struct.pack(">Q", number) for number in range(size // 4096 + 1))[:size]


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """Wait until it holds, and return what it is."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError, EOFError, ftplib.Error, subprocess.CalledProcessError):
            if found := condition():
                return found
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {PATIENCE:g} s for {what}")
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


class Cluster:
    """Node processes, as their clients and their admin see them; `put` has what was stored, by path."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = dict(zip(NODES, free_ports(3), strict=True))
        self.put: dict[str, bytes] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        nodes = zip(NODES, free_ports(3), strict=True)
        words = [f"{name}=127.0.0.1:{port},ftp=127.0.0.1:{self.ports[name]}" for name, port in nodes]
        where = (word for spec in words for word in ("--node", spec))
        subprocess.run(
            [*PIXRAFT, "init", str(directory), "--name", "released", *where],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def run(self, *words: str, given: str = "") -> Any:
        """Run a command that changes or tells something of the cluster; return its JSON."""
        command = [*PIXRAFT, *words, "--cluster", str(self.directory), "-o", "json"]
        return json.loads(
            subprocess.run(command, input=given, text=True, capture_output=True, check=True).stdout
        )

    def account(self, name: str, *words: str) -> None:
        """Make an account; its password is its name and "-secret"."""
        self.run("user", "add", name, "--password-stdin", *words, given=f"{name}-secret\n")

    def session(self, name: str, node: str = "n1") -> ftplib.FTP:
        """Log in."""
        ftp = ftplib.FTP()
        ftp.connect("127.0.0.1", self.ports[node], timeout=60)
        ftp.login(name, f"{name}-secret")
        return ftp

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start all nodes; stop them cleanly at the end."""
        environment = os.environ | SETTINGS
        try:
            for name in NODES:
                with (self.directory / name / "node.log").open("ab") as log:
                    serve = [*PIXRAFT, "serve", "--config", str(self.directory / name / "pixraft.toml")]
                    self.processes[name] = subprocess.Popen(serve, stdout=log, stderr=log, env=environment)
            eventually(lambda: self.run("status")["verdict"] == "healthy", "a healthy cluster")
            yield
        finally:
            for process in self.processes.values():
                process.terminate()
            codes = [process.wait(60) for process in self.processes.values()]
        if any(codes):
            raise SystemExit(f"nodes ended with {codes}")

    def store(self, ftp: ftplib.FTP, home: str, path: str, data: bytes) -> None:
        """Upload, and note it."""
        ftp.storbinary(f"STOR {path}", io.BytesIO(data))
        self.put[f"{home}/{path}"] = data

    def broken_upload(self, name: str, node: str, path: str, data: bytes) -> None:
        """Lose both connections in the middle of an upload, and wait until what came is kept."""
        before = len(self.run("partials", "list")["partials"])
        ftp = self.session(name, node)
        transfer = ftp.transfercmd(f"STOR {path}")
        transfer.sendall(data)
        eventually(lambda: not unread(transfer), "the node to read it")
        assert ftp.sock is not None and ftp.file is not None
        ftp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ftp.file.close()
        ftp.sock.close()  # the session is gone before its data connection ends in an orderly way
        eventually(lambda: len(self.run("partials", "list")["partials"]) > before, "the upload to be kept")
        transfer.close()


def unread(connection: socket.socket) -> int:
    """How many bytes that were sent the other side has not acknowledged (Linux: SIOCOUTQ)."""
    import fcntl
    import termios

    return int(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0\0\0\0"))[0])


def fill(cluster: Cluster) -> None:
    """Put what the releases' tests ask for: the same in every release."""
    cluster.account("anna", "--home", "/anna")
    cluster.account("bert", "--quota", "20M", "--quota-files", "100", "--max-sessions", "8")
    cluster.account("cam", "--home", "/incoming", "--role", "drop-box")
    cluster.account("gone", "--home", "/gone")
    cluster.account("root", "--role", "admin")
    cluster.account("off")
    cluster.account("two", "--replicas", "2")
    anna, bert, cam = cluster.session("anna"), cluster.session("bert", "n2"), cluster.session("cam", "n3")
    gone, two = cluster.session("gone"), cluster.session("two")
    for directory in ("2024", "2024/summer", "private", "emptied"):
        anna.mkd(directory)
    anna.rmd("emptied")
    for number in range(12):
        cluster.store(anna, "/anna", f"2024/summer/p{number}.jpg", content(f"p{number}", 700 + number * 997))
    cluster.store(anna, "/anna", "Grüße 猫.jpg", content("umlaut", 5000))
    cluster.store(anna, "/anna", "empty.jpg", b"")
    cluster.store(anna, "/anna", "same.jpg", content("p3", 700 + 3 * 997))
    cluster.store(anna, "/anna", "big.jpg", large("big", 3 * 1024**2 + 77_777))
    cluster.store(anna, "/anna", "private/hidden.jpg", content("hidden", 3000))
    cluster.store(anna, "/anna", "versions.jpg", content("first", 2000))
    cluster.store(anna, "/anna", "versions.jpg", content("second", 2500))
    anna.sendcmd("MFMT 20240102030405 2024/summer/p0.jpg")
    anna.rename("2024/summer/p1.jpg", "2024/renamed.jpg")
    cluster.put["/anna/2024/renamed.jpg"] = cluster.put.pop("/anna/2024/summer/p1.jpg")
    anna.delete("2024/summer/p2.jpg")
    del cluster.put["/anna/2024/summer/p2.jpg"]
    bert.mkd("team")
    bert.mkd("team/a")
    for number in range(3):
        cluster.store(bert, "", f"team/a/b{number}.png", content(f"b{number}", 4000))
    cluster.store(bert, "", "team/other.jpg", content("other", 100))
    for name in ("c1.raw", "c2.raw"):
        cluster.store(cam, "/incoming", name, content(name, 9000))
    cluster.store(gone, "/gone", "left.jpg", content("left", 6000))
    cluster.store(two, "", "two.jpg", content("two", 3000))
    for number in range(40):  # entries, so that the log is cut
        cluster.store(two, "", "rewritten.jpg", content(f"rewritten {number}", 50))
    cluster.broken_upload("anna", "n1", "broken.jpg", content("broken", 30_000))
    cluster.broken_upload("cam", "n2", "c3.raw", content("c3", 12_000))
    cluster.broken_upload("gone", "n3", "gone-broken.jpg", content("gone-broken", 8000))
    cluster.run("user", "grant", "bert", "/team", "elr")
    cluster.run("user", "grant", "bert", "/anna/private", "none")
    cluster.run("user", "set", "off", "--disable")
    cluster.run("user", "key", "add", "anna", KEY)
    for ftp in (anna, bert, cam, gone, two):
        ftp.quit()
    cluster.run("user", "remove", "gone")


def leave_a_job(cluster: Cluster) -> None:
    """Begin to verify all chunks of a node, which takes longer than the nodes go on running."""
    cluster.run("scrub", "--now", "n1", "--no-wait")
    for name in NODES:
        eventually(functools.partial(running_jobs, cluster, name), "the job at every node")


def running_jobs(cluster: Cluster, name: str) -> list[Any]:
    """The jobs that are being done, as that node knows it."""
    return [job for job in cluster.run("jobs", "list", "--node", name)["jobs"] if job["state"] == "running"]


def contents(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """Every name, as this version's catalog has it."""
    found: dict[str, dict[str, Any]] = {}
    waiting = ["/"]
    while waiting:
        directory = waiting.pop()
        for entry in catalog.listing(directory):
            path = f"{directory.rstrip('/')}/{entry.name}"
            found[path] = {"owner": entry.owner, "mtime_ns": entry.mtime_ns}
            if entry.kind is Kind.DIRECTORY:
                waiting.append(path)
                continue
            digests = [chunk.digest.hex() for chunk in catalog.file(path).chunks]
            found[path] |= {"size": entry.size, "version": entry.version, "chunks": digests}
    return dict(sorted(found.items()))


def contents_of(catalog: Catalog) -> dict[str, Any]:
    """All that must be found again, as this version's catalog has it."""
    users, usage = {}, {}
    for user in catalog.users():
        rules = dict(user.rules)
        users[user.name] = {
            **{"home": user.home, "rights": user.rights, "rules": rules, "disabled": user.disabled},
            "keys": list(user.authorized_keys),
        }
        used = catalog.usage(user.owner)
        usage[user.name] = [used.files, used.bytes]
    partials = [[one.path, one.owner, one.size] for one in catalog.partials((0, "", ""), -1)]
    return {
        "level": catalog.level,
        "files": contents(catalog),
        "users": users,
        "usage": usage,
        "partials": sorted(partials),
        "jobs": [[job.id, job.kind, job.node] for job in catalog.jobs() if not job.finished_ns],
    }


def expected(cluster: Cluster) -> dict[str, Any]:
    """What three catalogs say, with the SHA-256 of what was put; anything that does not fit ends this."""
    said, applied = [], {}
    for name in NODES:
        data = cluster.directory / name / "data"
        catalog = Catalog(data / "catalog" / "catalog.db")
        said.append(contents_of(catalog))
        applied[name] = catalog.applied_index
        catalog.close()
        journal = Journal(data / "journal")
        first = next(iter(journal[:]))[1]
        journal.close()
        if first == 1:
            raise SystemExit(f"the log of {name} was not cut")
    if any(one != said[0] for one in said):
        raise SystemExit("the catalogs of the nodes differ")
    found = said[0]
    files = {path: file for path, file in found["files"].items() if "size" in file}
    if {path: file["size"] for path, file in files.items()} != {
        p: len(data) for p, data in cluster.put.items()
    }:
        raise SystemExit("the catalog does not have what was put")
    for path, file in files.items():
        file["sha256"] = hashlib.sha256(cluster.put[path]).hexdigest()
    if not found["jobs"] or len(found["partials"]) != 3:
        raise SystemExit(f"no open job, or not three partial uploads: {found['jobs']}, {found['partials']}")
    return {**found, "applied": applied}


def pack(cluster: Cluster, target: Path) -> None:
    """Write the directories of nodes and admin; a copy that is at three nodes takes the space of one."""
    settings = [{"id": 0x21, "preset": 9, "dict_size": 64 * 1024**2}]  # LZMA2
    with lzma.open(target, "wb", filters=settings) as file, tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("admin", *NODES):
            archive.add(
                cluster.directory / name,
                name,
                filter=lambda member: None if Path(member.name).name in LEFT_OUT else member,
            )


def main(target: Path) -> None:
    """Fill, stop, look, and pack."""
    with tempfile.TemporaryDirectory() as scratch:
        cluster = Cluster(Path(scratch) / "cluster")
        with cluster.running():
            fill(cluster)
            leave_a_job(cluster)
        found = expected(cluster)
        pack(cluster, target / "data.tar.xz")
    (target / "expected.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
