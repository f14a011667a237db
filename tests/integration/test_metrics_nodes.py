"""Metrics and health of real nodes: what the page has, and a drill in which the majority is lost and comes back."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from harness import Cluster
from prometheus_client.parser import text_string_to_metric_families
from waiting import PATIENCE, eventually

from ftpgateway.cli.metricspage import PROCESS, declared_metrics

pytestmark = pytest.mark.integration

OFF = {"pixraft_account_sessions", "pixraft_transfer_log_dropped_total"}
"""Metrics of what is switched off here."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("metrics"), metrics=True) as started:
        yield started


def get(cluster: Cluster, name: str, path: str) -> tuple[int, str]:
    address = cluster.local.nodes[name].metrics
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE) as reply:
            return int(reply.status), reply.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def values(cluster: Cluster, name: str) -> Values:
    status, text = get(cluster, name, "/metrics")
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(cluster: Cluster, node: str, metric: str, **labels: str) -> float:
    return values(cluster, node)[metric, frozenset(labels.items())]


def test_every_metric_of_the_page_is_there_with_its_labels(cluster: Cluster) -> None:
    _, text = get(cluster, "n1", "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    declared = {metric.name: metric for metric in declared_metrics() if metric.name not in OFF}
    assert set(families) == {name.removesuffix("_total") for name in {*declared, *PROCESS}}
    for name, metric in declared.items():
        expected = {label for label in (metric.label, *metric.also) if label}
        for sample in families[name.removesuffix("_total")].samples:
            assert set(sample.labels) - {"le"} == expected, name


def test_what_clients_do_is_counted(cluster: Cluster) -> None:
    before = values(cluster, "n2")
    with cluster.login("n2") as client:
        client.storbinary("STOR counted.jpg", io.BytesIO(b"x" * 5000))
        client.retrbinary("RETR counted.jpg", lambda _block: None)

        def grown() -> bool:
            now = values(cluster, "n2")

            def more(name: str, **labels: str) -> float:
                key = name, frozenset(labels.items())
                return now[key] - before[key]

            return (
                more("pixraft_transfers_total", direction="upload", result="complete") == 1
                and more("pixraft_transfers_total", direction="download", result="complete") == 1
                and more("pixraft_transfer_bytes_total", direction="upload") == 5000
                and more("pixraft_transfer_bytes_total", direction="download") == 5000
                and more("pixraft_logins_total", result="accepted") == 1
                and more("pixraft_commit_seconds_count") >= 1
                and more("pixraft_journal_fsync_seconds_count") >= 1
                and now["pixraft_sessions", frozenset()] == 1
            )

        eventually(grown)


def test_health_while_nodes_are_killed_and_come_back(cluster: Cluster) -> None:
    for name in cluster.names:
        eventually(lambda name=name: get(cluster, name, "/readyz?maintenance")[0] == 200)
        assert get(cluster, name, "/livez") == (200, "alive\n")
        assert value(cluster, name, "pixraft_nodes", state="reachable") == 3

    # One of three is away: ready, but nobody else may go.
    cluster.kill("n3")
    eventually(lambda: value(cluster, "n1", "pixraft_nodes", state="unreachable") == 1)
    eventually(lambda: get(cluster, "n1", "/readyz")[0] == 200)
    eventually(lambda: get(cluster, "n1", "/readyz?maintenance")[0] == 503)
    eventually(lambda: value(cluster, "n1", "pixraft_has_leader") == 1)

    # No majority: unready within 3 s by the node's own clock, as often as it is asked; alive all the time.
    cluster.kill("n2")

    def refused_in_time() -> bool:
        status, text = get(cluster, "n1", "/readyz?verbose")
        assert status == 503 and json.loads(text)["reason"] == "no majority of the cluster answers"
        return bool(json.loads(text)["seconds"] < 3)

    eventually(refused_in_time)
    eventually(lambda: value(cluster, "n1", "pixraft_has_leader") == 0)
    assert get(cluster, "n1", "/readyz?local")[0] == 503
    assert get(cluster, "n1", "/livez") == (200, "alive\n")

    # A majority again: ready once reads are answered, and never while they would be refused.
    cluster.start_node("n2")
    eventually(lambda: get(cluster, "n1", "/readyz")[0] == 200)
    with cluster.login("n1") as client:
        client.nlst()
    cluster.start_node("n3")
    for name in cluster.names:
        eventually(lambda name=name: get(cluster, name, "/readyz?maintenance")[0] == 200)
    eventually(lambda: value(cluster, "n1", "pixraft_nodes", state="unreachable") == 0)
    assert value(cluster, "n1", "pixraft_leader_changes_total") >= 2
