"""The two that `make bench-consensus` compares, each three processes on loopback that sync every commit."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftpgateway.demo import ports
from raftstore.peers import create_authority

HOST = "127.0.0.1"
VALUE = 256
WARM_UP = 0.5
PATIENCE = 60.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Rate:
    """Commits a second, and how long each took, in seconds."""

    rate: float
    latencies: list[float]
    cpu: float = 0.0
    """CPU seconds of the three processes for one command."""
    client_cpu: float = 0.0
    """... and of clients that are processes of their own."""

    def quantile(self, share: float) -> float:
        """Seconds within which `share` were committed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def median(self) -> float:
        """Median latency in seconds."""
        return statistics.median(self.latencies)


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system seconds that processes have used so far."""
    used = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")


def shares(clients: int, spread: bool, leader: int) -> list[int]:
    """How many clients each of the three nodes gets."""
    if not spread:
        return [clients if node == leader else 0 for node in range(3)]
    return [clients // 3 + (node < clients % 3) for node in range(3)]


class Pixraft:
    """Three processes of `consensus_node`, TLS between them."""

    def __init__(self, directory: Path, machine: str) -> None:
        self.machine = machine
        self._directory = directory
        self._processes: list[subprocess.Popen[str]] = []
        self._names = ["n1", "n2", "n3"]
        members = {name: (HOST, port) for name, port in zip(self._names, ports.free(HOST, 3), strict=True)}
        authority = create_authority("bench")
        for name in self._names:
            home = directory / name
            home.mkdir(parents=True)
            authority.issue(name).save(home)
            place = {"name": name, "directory": str(home), "members": members, "machine": machine}
            (home / "place.json").write_text(json.dumps(place))
            self._processes.append(
                subprocess.Popen(
                    [
                        sys.executable,
                        str(Path(__file__).with_name("consensus_node.py")),
                        str(home / "place.json"),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=(home / "log").open("w"),
                    text=True,
                    cwd=ROOT,
                )
            )

    def wait_ready(self) -> None:
        """Wait for a leader."""
        deadline = time.monotonic() + PATIENCE
        while not self._leader():
            if time.monotonic() > deadline:
                raise RuntimeError("no leader")
            time.sleep(0.1)
        self.run([1, 1, 1], 0.5)

    def _leader(self) -> str | None:
        found = {self._ask(node, "leader") for node in range(3)}
        return found.pop() if len(found) == 1 else None

    def leader(self) -> int:
        """Number of the node that leads."""
        return self._names.index(self._leader() or "n1")

    def _ask(self, node: int, line: str) -> Any:
        self._send(node, line)
        return self._receive(node)

    def _send(self, node: int, line: str) -> None:
        pipe = self._processes[node].stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):  # `_receive` tells what is wrong
            pipe.write(line + "\n")
            pipe.flush()

    def _receive(self, node: int) -> Any:
        pipe = self._processes[node].stdout
        assert pipe is not None
        line = pipe.readline()
        if not line:
            raise RuntimeError(
                f"node {node} has ended:\n{(self._directory / self._names[node] / 'log').read_text()}"
            )
        return json.loads(line)

    def run(self, clients: list[int], seconds: float) -> Rate:
        """Let so many clients on each node propose for so long."""
        before = cpu_seconds(process.pid for process in self._processes)
        for node, count in enumerate(clients):
            self._send(node, f"run {count} {WARM_UP} {seconds}")
        answers = [self._receive(node) for node in range(3)]
        cpu = cpu_seconds(process.pid for process in self._processes) - before
        latencies = [one for answer in answers for one in answer["latencies"]]
        return Rate(len(latencies) / seconds, latencies, cpu / sum(answer["total"] for answer in answers))

    def close(self) -> None:
        """Stop all."""
        for process in self._processes:
            assert process.stdin is not None and process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


class Etcd:
    """Three etcd of Debian's package as it comes, without TLS, and h2load as client, a C program: gRPC calls over
    HTTP/2, with a connection a client or, as etcd's own library has it, a few shared ones.
    """

    SHARED = 4
    """Connections to one node when clients share them; fewer where that does not divide their number."""

    def __init__(self, directory: Path) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._directory = directory
        directory.mkdir(parents=True)
        numbers = ports.free(HOST, 6)
        self._clients = [f"http://{HOST}:{port}" for port in numbers[:3]]
        peers = [f"http://{HOST}:{port}" for port in numbers[3:]]
        cluster = ",".join(f"e{n}={url}" for n, url in enumerate(peers))
        for n in range(3):
            command = ["etcd", "--name", f"e{n}", "--data-dir", str(directory / f"e{n}")]
            command += ["--listen-client-urls", self._clients[n], "--advertise-client-urls", self._clients[n]]
            command += ["--listen-peer-urls", peers[n], "--initial-advertise-peer-urls", peers[n]]
            command += ["--initial-cluster", cluster, "--initial-cluster-state", "new", "--log-level", "error"]
            with (directory / f"e{n}.log").open("wb") as log:
                self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        key, value = b"k" * 8, b"v" * VALUE
        put = b"\x0a" + _length(key) + key + b"\x12" + _length(value) + value
        get = b"\x0a" + _length(key) + key + b"\x38\x01"
        for name, message in (("put", put), ("get", get)):
            (directory / name).write_bytes(struct.pack(">BI", 0, len(message)) + message)

    def wait_ready(self) -> None:
        """Wait for a leader."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                if all(int(self._status(node)["leader"]) for node in range(3)):
                    break
            if time.monotonic() > deadline:
                raise RuntimeError("etcd has no leader")
            time.sleep(0.2)
        self.run([1, 1, 1], 0.5)

    def _ask(self, node: int, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(self._clients[node] + path, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            decoded: dict[str, Any] = json.load(answer)
            return decoded

    def _status(self, node: int) -> dict[str, Any]:
        return self._ask(node, "/v3/maintenance/status", {})

    def leader(self) -> int:
        """Number of the member that leads."""
        found = [self._status(node) for node in range(3)]
        return next(n for n, one in enumerate(found) if one["leader"] == one["header"]["member_id"])

    def _revision(self) -> int:
        key = base64.b64encode(b"none").decode()
        return int(self._ask(0, "/v3/kv/range", {"key": key})["header"]["revision"])

    def run(self, clients: list[int], seconds: float, *, shared: bool = False) -> Rate:
        """Put for so long with so many clients at each member. RuntimeError unless every put is a revision."""
        before = self._revision()
        rate, total = self._load("put", "Put", clients, seconds, shared)
        done = self._revision() - before
        if not total <= done <= total + sum(clients):
            raise RuntimeError(f"etcd answered {total} puts and made {done} revisions")
        return rate

    def ceiling(self, clients: list[int], seconds: float, *, shared: bool = False) -> Rate:
        """The same clients with reads that one member answers alone: what client and connection can do."""
        return self._load("get", "Range", clients, seconds, shared)[0]

    def _load(
        self, body: str, method: str, clients: list[int], seconds: float, shared: bool
    ) -> tuple[Rate, int]:
        """Run h2load against each member; return the rate, and how many requests there were with the warm-up."""
        running = []
        before = cpu_seconds(process.pid for process in self._processes)
        clients_before = _ended_children()
        for node, count in enumerate(clients):
            if not count:
                continue
            connections = math.gcd(self.SHARED, count) if shared else count
            log = self._directory / f"requests-{node}"
            log.unlink(missing_ok=True)
            command = ["h2load", "-t", "1", "-c", str(connections), "-m", str(count // connections)]
            command += [
                "-D",
                str(math.ceil(seconds + WARM_UP)),
                "-d",
                str(self._directory / body),
                f"--log-file={log}",
            ]
            command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
            command.append(f"{self._clients[node]}/etcdserverpb.KV/{method}")
            running.append((subprocess.Popen(command, stdout=subprocess.PIPE, text=True), log))
        latencies, total = [], 0
        for process, log in running:
            output, _ = process.communicate(timeout=PATIENCE)
            if process.returncode or " 0 failed" not in output:
                raise RuntimeError(f"h2load: {output}")
            rows = [line.split("\t") for line in log.read_text().splitlines()]
            total += len(rows)
            first = min(int(row[0]) for row in rows) + WARM_UP * 1e6
            answered = [(int(row[0]) + int(row[2]), int(row[2]), row[1]) for row in rows]
            if any(status != "200" for _, _, status in answered):
                raise RuntimeError("etcd refused")
            latencies += [taken / 1e6 for end, taken, _ in answered if first <= end <= first + seconds * 1e6]
        cpu = cpu_seconds(process.pid for process in self._processes) - before
        client_cpu = _ended_children() - clients_before
        return Rate(len(latencies) / seconds, latencies, cpu / total, client_cpu / total), total

    def close(self) -> None:
        """Stop all."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(20)


def _ended_children() -> float:
    """User and system seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _length(data: bytes) -> bytes:
    length = len(data)
    return bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])


@contextlib.contextmanager
def workspace(directory: str | None) -> Iterator[Path]:
    """A directory that vanishes afterwards."""
    with tempfile.TemporaryDirectory(prefix="pixraft-consensus-", dir=directory) as name:
        yield Path(name)


def missing() -> list[str]:
    """Which programs of the comparison are not installed."""
    return [program for program in ("etcd", "h2load") if shutil.which(program) is None]
