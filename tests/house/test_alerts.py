"""Alert rules and dashboard: what they name exists, what they link to is there, and each alert fires in its test."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_docs_links import anchors

from ftpgateway.cli.metricspage import PROCESS, declared_metrics, series

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS, GRAFANA = ROOT / "docker" / "prometheus", ROOT / "docker" / "grafana"
SERIES = {name for metric in declared_metrics() for name in series(metric)} | {*PROCESS, "up"}
LABELS = {label for metric in declared_metrics() for label in (metric.label, *metric.also) if label} | {
    *("job", "instance", "le"),
}
NAMES = re.compile(r"\b(?:pixraft|process|python)_[a-z_]+\b")


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    return list(group["rules"])


def dashboard() -> dict[str, Any]:
    return dict(json.loads((GRAFANA / "dashboards" / "pixraft.json").read_text()))


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    variables = [each["query"]["query"] for each in dashboard()["templating"]["list"]]
    return [rule["expr"] for rule in rules()] + asked + variables


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_and_label_that_is_named_exists(expression: str) -> None:
    assert set(NAMES.findall(expression)) <= SERIES
    assert NAMES.search(expression) or "up{" in expression
    grouped = re.findall(r"\b(?:by|without) \(([a-z_, ]+)\)", expression)
    matched = re.findall(r"([a-z_]+)(?:=~|!=|=)\"", expression)
    named = {*itertools.chain.from_iterable(group.split(", ") for group in grouped), *matched}
    assert named <= LABELS


def test_a_name_that_is_no_series_would_be_found() -> None:
    assert "pixraft_commit_seconds" not in SERIES and "pixraft_commit_seconds_bucket" in SERIES
    assert set(NAMES.findall("rate(pixraft_gone_total[5m]) > 1")) - SERIES == {"pixraft_gone_total"}


def test_every_alert_links_to_what_to_do() -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    for rule in rules():
        file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert (file, anchor) == ("docs/operating.md", rule["alert"].lower())
        assert anchor in anchors(page), rule["alert"]
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
    described = re.findall(r"^### (Pixraft\w+)$", page, re.MULTILINE)
    assert described == [rule["alert"] for rule in rules()]


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
    looks = [look for test in tests for look in test["alert_rule_test"]]
    for fires in (True, False):
        named = {look["alertname"] for look in looks if bool(look["exp_alerts"]) is fires}
        assert named == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "rules.yml"),
        ("check", "config", "prometheus.yml"),
        ("check", "config", "compose.yml"),
        ("test", "rules", "rules_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_agrees(command: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run([promtool, *command], cwd=PROMETHEUS, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board = dashboard()
    assert board["uid"] == "pixraft-cluster" and board["schemaVersion"] >= 36 and board["title"]
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    source = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "pixraft.yaml").read_text())
    (uid,) = {each["uid"] for each in source["datasources"]}
    for panel in panels():
        assert panel["title"] and panel["targets"] and panel["fieldConfig"]["defaults"]["unit"]
        assert {each["datasource"]["uid"] for each in (panel, *panel["targets"])} == {uid}
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] >= 0 and at["x"] + at["w"] <= 24
        cells = set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells


def test_the_dashboard_shows_what_matters() -> None:
    shown = {name for expression in expressions() for name in NAMES.findall(expression)}
    left_out = {metric.name for metric in declared_metrics() if not shown & {*series(metric)}}
    assert left_out == {
        "pixraft_audit_lost_total",
        "pixraft_account_sessions",  # names accounts; not everybody collects it
        "pixraft_chunks",
        "pixraft_log_level",
        "pixraft_maintenance",
        "pixraft_loop_busy_seconds",
        "pixraft_loop_longest_stall_seconds",
        "pixraft_raft_applied_index",
        "pixraft_transfer_log_dropped_total",
        "pixraft_webhook_messages_total",  # not everybody has webhooks
        "pixraft_webhooks_failing",
    }
