"""docker/compose.yaml without an engine: its services' commands, environment and health checks as processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from ftpgateway.demo import ports

pytestmark = pytest.mark.integration

DOCKER = Path(__file__).resolve().parents[2] / "docker"
PATIENCE = 180.0


class Composed:
    """The compose file laid out under a directory: volumes are directories, host names are loopback ports."""

    def __init__(self, root: Path) -> None:
        self.root = root
        services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
        self.services: dict[str, Any] = {n: each for n, each in services.items() if "profiles" not in each}
        self.nodes = [name for name in self.services if name != "init"]
        self.image = image_environment()
        count = len(self.nodes)
        found = ports.free("127.0.0.1", 4 * count)
        self.peers, self.ftp, self.sftp, self.metrics = (
            dict(zip(self.nodes, found[first : first + count], strict=True))
            for first in range(0, 4 * count, count)
        )

    def path(self, service: str, text: str) -> str:
        """A path inside a container as one in this directory."""
        for volume in self.services[service]["volumes"]:
            name, target = volume.split(":")[:2]
            text = re.sub(rf"(^|(?<==)){re.escape(target)}(?=/|$)", str(self.root / name), text)
        return text

    def environment(self, service: str) -> dict[str, str]:
        """What the service's processes get, with the addresses that containers would have replaced."""
        made = {name: value for name, value in os.environ.items() if not name.startswith("PIXRAFT_")}
        given = self.image | self.services[service].get("environment", {})
        for name, value in given.items():
            made[name] = self.path(service, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)))
        if service in self.peers:
            made["PIXRAFT_PEERS_LISTEN"] = f"127.0.0.1:{self.peers[service]}"
            made["PIXRAFT_FTP_LISTEN"] = f"127.0.0.1:{self.ftp[service]}"
            made["PIXRAFT_SFTP_LISTEN"] = f"127.0.0.1:{self.sftp[service]}"
            made["PIXRAFT_METRICS_LISTEN"] = f"127.0.0.1:{self.metrics[service]}"
            made["PIXRAFT_CLUSTER_MEMBERS"] = ",".join(f"{n}=127.0.0.1:{p}" for n, p in self.peers.items())
        return made

    def command(self, service: str, words: list[str]) -> list[str]:
        """A container's command line as one of this machine."""
        entry = entrypoint()
        words = words[len(entry) :] if words[: len(entry)] == entry else words
        return [sys.executable, "-m", "ftpgateway.cli", *(self.path(service, word) for word in words)]

    def healthy(self, service: str) -> bool:
        """Run the service's health check."""
        test = self.services[service]["healthcheck"]["test"]
        assert test[0] == "CMD"
        done = subprocess.run(
            self.command(service, test[1:]),
            env=self.environment(service),
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.returncode == 0


def dockerfile(word: str) -> list[str]:
    text = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")
    return re.findall(rf"^{word} (.+)$", text, re.MULTILINE)


def entrypoint() -> list[str]:
    found: list[str] = yaml.safe_load(dockerfile("ENTRYPOINT")[-1])
    return found


def image_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for line in dockerfile("ENV") for pair in line.split())


def test_the_composed_cluster_works(tmp_path: Path) -> None:
    composed = Composed(tmp_path)
    for volume in yaml.safe_load((DOCKER / "compose.yaml").read_text())["volumes"]:
        (tmp_path / volume).mkdir()
    for _ in range(2):  # every `up` runs it
        init = composed.command("init", composed.services["init"]["command"])
        subprocess.run(init, env=composed.environment("init"), check=True, timeout=60, capture_output=True)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name in composed.nodes:
            with (tmp_path / f"{name}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        composed.command(name, composed.services[name]["command"]),
                        env=composed.environment(name),
                        cwd=tmp_path,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                    )
                )
        deadline = time.monotonic() + PATIENCE
        for name in composed.nodes:
            while not composed.healthy(name):
                assert time.monotonic() < deadline, (tmp_path / f"{name}.log").read_text()
        environment = composed.environment("n1")
        # As the compose file's head says: docker compose exec n1 pixraft status, pixraft user add anna
        for words, given in (
            (["status", "--wait", "60"], ""),
            (["user", "add", "anna", "--password-stdin"], "secret\n"),
        ):
            subprocess.run(
                composed.command("n1", words),
                env=environment,
                input=given,
                text=True,
                check=True,
                timeout=120,
                capture_output=True,
            )
        for name in composed.nodes:
            picture = f"ftp://anna:secret@127.0.0.1:{composed.ftp[name]}/{name}.txt"
            for words in (
                ["-sS", "-T", str(DOCKER / "compose.yaml"), picture],
                ["-sS", picture, "-o", os.devnull],
            ):
                subprocess.run(["curl", *words], check=True, timeout=120)
        assert (tmp_path / "n1" / "volumes").is_dir()
    finally:
        for process in processes:
            process.terminate()
        codes = [process.wait(60) for process in processes]
    assert codes == [0, 0, 0]
