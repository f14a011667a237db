"""Alerts in drills: a real Prometheus scrapes real nodes, something goes wrong, the alert fires, and clears afterwards.

The rules are those of docker/prometheus; only their times are shorter. `make alert-drills` does it several times over.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
from collections.abc import Iterator
from pathlib import Path

import prometheus
import pytest
import yaml
from harness import Cluster
from members import Members
from pictures import picture
from prometheus import HURRY, SHIPPED, Prometheus, hurried, sooner
from rot import flip_bits
from smalldisks import MIB, SmallDisk, small_disks
from waiting import eventually

from raftstore.peers.security.pki import self_signed_server_pem

pytestmark = pytest.mark.integration

ROUNDS = int(os.environ.get("PIXRAFT_DRILL_ROUNDS", "1"))
SMALL = "n3"
"""The node whose disk is a small one, where this machine mounts one."""


def test_only_the_times_of_the_rules_are_changed() -> None:
    assert (sooner("1m", 600), sooner("1h", 600), sooner("0m", 600)) == ("100ms", "6000ms", "0ms")
    shipped = yaml.safe_load((SHIPPED / "rules.yml").read_text())
    assert hurried(shipped, 1) != shipped, "in ms"
    made = hurried(hurried(shipped, HURRY), 1)
    for group, other in zip(shipped["groups"], made["groups"], strict=True):
        for rule, changed in zip(group["rules"], other["rules"], strict=True):
            assert rule.keys() == changed.keys()
            assert all(rule[key] == changed[key] for key in rule if key not in ("for", "expr"))
            assert rule["expr"].split("[")[0] == changed["expr"].split("[")[0]


@pytest.fixture(scope="module", params=range(ROUNDS))
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not prometheus.installed():
        if os.environ.get("CI"):
            pytest.fail("prometheus is not installed")
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    return tmp_path_factory.mktemp(f"alerts-{request.param}")


@pytest.fixture(scope="module")
def small(directory: Path) -> Iterator[SmallDisk | None]:
    """A disk that can be filled; None where this machine mounts none."""
    with contextlib.ExitStack() as stack:
        try:
            disks = stack.enter_context(small_disks(directory / "disks", (SMALL,), 192 * MIB))
        except pytest.skip.Exception:
            yield None
        else:
            yield disks[SMALL]


@pytest.fixture(scope="module")
def cluster(directory: Path, small: SmallDisk | None) -> Iterator[Cluster]:
    data = {SMALL: str(small.place / "data")} if small is not None else {}
    with Cluster(directory / "cluster", data=data, metrics=True) as started:
        started.wait_verdict("healthy")
        yield started


@pytest.fixture(scope="module")
def watched(directory: Path, cluster: Cluster) -> Iterator[Prometheus]:
    (place := directory / "prometheus").mkdir()
    with prometheus.watching(place, [str(node.metrics) for node in cluster.local.nodes.values()]) as running:
        yield running


class Drill:
    """What Prometheus says since the beginning of a drill."""

    def __init__(self, watched: Prometheus) -> None:
        self._watched = watched
        self._before = watched.fired()

    def wait_for(self, *names: str) -> None:
        """Wait until these have fired."""
        eventually(lambda: set(self._watched.fired() - self._before) >= set(names))

    def firing(self) -> set[str]:
        """Return what fires now."""
        return self._watched.firing()


@pytest.fixture
def alerts(watched: Prometheus) -> Iterator[Drill]:
    """Prometheus before a drill and after it, when nothing fires."""
    eventually(lambda: not watched.firing())
    yield Drill(watched)
    eventually(lambda: not watched.firing())


def test_a_node_is_killed_and_comes_back(cluster: Cluster, alerts: Drill) -> None:
    cluster.kill("n2")
    alerts.wait_for("PixraftNodeDown", "PixraftPeerUnreachable")
    assert "PixraftMajorityLost" not in alerts.firing()
    cluster.start_node("n2")


def test_the_majority_is_lost_and_comes_back(cluster: Cluster, alerts: Drill) -> None:
    cluster.kill("n2", SMALL)
    alerts.wait_for("PixraftMajorityLost", "PixraftNoLeader", "PixraftNodeDown")
    cluster.start_node("n2")
    eventually(lambda: not alerts.firing() & {"PixraftMajorityLost", "PixraftNoLeader"})
    assert "PixraftNodeDown" in alerts.firing()
    cluster.start_node(SMALL)


def test_a_disk_is_filled_and_emptied(cluster: Cluster, small: SmallDisk | None, alerts: Drill) -> None:
    if small is None:
        pytest.skip("this machine mounts no file system for a test")
    small.fill()
    alerts.wait_for("PixraftDiskFilling", "PixraftDiskFull")
    small.empty()


def test_flipped_bits_are_found_by_a_scrub(cluster: Cluster, alerts: Drill) -> None:
    with cluster.login("n1") as ftp:
        for number in range(20):
            ftp.storbinary(f"STOR {number}.jpg", io.BytesIO(picture(number, 40_000)))
    cluster.wait_verdict("healthy")
    flip_bits(cluster, "n2", 50, random.Random(1))
    Members(cluster).run("scrub", "--now", "--no-wait")
    alerts.wait_for("PixraftBytesDamaged")


def test_a_certificate_is_short_of_its_end_and_renewed(cluster: Cluster, alerts: Drill) -> None:
    certificate = cluster.config("n1").parent / "ftps.pem"
    before = certificate.read_bytes()
    certificate.write_bytes(self_signed_server_pem(["127.0.0.1"], days=20))
    alerts.wait_for("PixraftCertificateEnds")
    assert "PixraftCertificateEndsSoon" not in alerts.firing()
    certificate.write_bytes(self_signed_server_pem(["127.0.0.1"], days=3))
    alerts.wait_for("PixraftCertificateEnds", "PixraftCertificateEndsSoon")
    certificate.write_bytes(before)
