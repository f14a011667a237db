"""What `pixraft doctor` finds in facts, and how it says it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from commandline import pixraft

from ftpgateway.cli.helpers import diagnosis, statusview
from ftpgateway.cli.helpers.diagnosis import DAY, Finding, Severity
from ftpgateway.cli.operating import doctor
from raftstore.types import ClusterStatus, NodeStatus
from raftstore.util import machine
from raftstore.wire import admin_pb2 as admin

NOW = 1_700_000_000.0
OK, WARNING, PROBLEM = Severity


def checkup(name: str = "n1", **changes: object) -> admin.Checkup:
    facts: dict[str, object] = {
        "data": "/data",
        "disk_bytes": 100 << 30,
        "disk_free": 60 << 30,
        "disk_reserve": 1 << 30,
        "files_total": 1000,
        "files_free": 900,
        "sync_seconds": 0.002,
        "descriptors": 65_536,
        "descriptors_used": 50,
        "backlog": 4096,
    }
    made = admin.Checkup(**(facts | changes))  # type: ignore[arg-type]
    report = made.report
    report.node.name, report.node.program, report.leader = name, "0.3.0", "n1"
    report.node.level = report.node.newest = 3
    report.node.certificates["node"] = int(NOW) + 3650 * DAY
    return made


def severities(findings: Iterable[Finding]) -> list[Severity]:
    return [finding.severity for finding in findings]


def bad(findings: Iterable[Finding]) -> list[Finding]:
    found = [finding for finding in findings if finding.severity is not OK]
    assert all(finding.remedy for finding in found)
    return found


def test_a_healthy_cluster_has_nothing_but_good_findings() -> None:
    checkups = {name: checkup(name) for name in ("n1", "n2", "n3")}
    for name, found in checkups.items():
        found.reached.add(node="n1" if name != "n1" else "n2", service="peers", address="h:1")
    findings = diagnosis.of_cluster(checkups, {}, {"here": 0.0, "n1": 0.1, "n2": 0.0, "n3": 0.2}, "here", NOW)
    assert diagnosis.worst(findings) is OK
    assert {finding.check for finding in findings} == {
        *("nodes", "versions", "clocks", "ports", "disks", "certificates", "limits")
    }
    assert doctor.summary(findings) == f"All is well: {len(findings)} checks."


@pytest.mark.parametrize(
    ("facts", "severity", "said"),
    [
        ({"disk_free": 1 << 30}, PROBLEM, "it takes no pictures"),
        ({"disk_free": 8 << 30}, WARNING, "8.0 GiB of 100.0 GiB are free at /data; 1.0 GiB of it are kept"),
        ({"files_free": 20}, WARNING, "only 20 more files"),
        ({"sync_error": "Read-only file system"}, PROBLEM, "a write to /data fails: Read-only file system"),
        ({"sync_seconds": 0.08}, WARNING, "takes 80 ms"),
        ({"sync_seconds": 0.8}, PROBLEM, "takes 800 ms"),
    ],
)
def test_disks(facts: dict[str, object], severity: Severity, said: str) -> None:
    (found,) = bad(diagnosis.disk("n1", checkup(**facts)))
    assert found.severity is severity and said in found.text


@pytest.mark.parametrize(
    ("facts", "severity", "said"),
    [
        ({"descriptors": 1024}, WARNING, "at most 1,024 descriptors"),
        ({"descriptors": 1000, "descriptors_used": 900}, PROBLEM, "900 of 1,000 descriptors are in use"),
        ({"backlog": 128}, WARNING, "only 128 connections"),
    ],
)
def test_limits(facts: dict[str, object], severity: Severity, said: str) -> None:
    (found,) = bad(diagnosis.limits("n1", checkup(**facts)))
    assert found.severity is severity and said in found.text
    (well,) = diagnosis.limits("n1", checkup(descriptors=0, backlog=0))
    assert well.severity is OK and "any number of descriptors" in well.text


@pytest.mark.parametrize(
    ("left", "severity", "said"),
    [
        (20 * DAY, WARNING, "ends in 20 days"),
        (3600, PROBLEM, "ends in less than a day"),
        (-3 * DAY, PROBLEM, "has ended 3 days ago"),
        (None, PROBLEM, "cannot be read"),
    ],
)
def test_certificates(left: int | None, severity: Severity, said: str) -> None:
    end = 0 if left is None else int(NOW) + left
    (found,) = bad(diagnosis.certificates("n1", {"node": end, "ftp": int(NOW) + 400 * DAY}, NOW))
    assert found.severity is severity and said in found.text
    assert "pixraft cert renew n1" in found.remedy


def test_clocks() -> None:
    off = bad(diagnosis.clock_offsets({"here": 0.0, "n1": 0.0, "n2": 0.1, "n3": 90.0}, "here"))
    assert [(one.where, one.severity) for one in off] == [("n3", PROBLEM)]
    (a_little,) = bad(diagnosis.clock_offsets({"here": 0.0, "n1": 0.0, "n2": -4.0}, "here"))
    assert a_little.severity is WARNING and a_little.text == "is 4.0 s behind the others"


def test_nodes_versions_and_ports() -> None:
    one, two = checkup("n1"), checkup("n2")
    two.report.leader, two.report.node.error = "", "its disk failed"
    two.report.node.program, two.report.node.newest = "0.2.0", 3
    one.report.node.level = two.report.node.level = 2
    one.reached.add(node="n2", service="ftp", address="h:21", error="Connection refused")
    one.reached.add(node="n2", service="peers", address="h:7420")
    findings = diagnosis.of_cluster({"n1": one, "n2": two}, {"n3": "no route"}, {"here": 0.0}, "here", NOW)
    said = {(one.check, one.where): one for one in bad(findings)}
    assert said["nodes", "n3"].text == "does not answer: no route"
    assert said["ports", "n1"].text == "does not reach ftp of n2 at h:21: Connection refused"
    assert {one.text for one in findings if one.where == "n2" and one.severity is PROBLEM} == {
        "its disk failed",
        "knows no leader: it refuses reads and writes",
    }
    versions = [one.text for one in findings if one.check == "versions"]
    assert versions == [
        "the nodes run different versions: n1 0.3.0, n2 0.2.0",
        "level 2 is in force, and all that answer know 3",
    ]
    assert not [one for one in findings if one.check == "ports" and one.severity is OK]


def test_lines_keep_checks_together_and_have_remedies() -> None:
    findings = [
        Finding(OK, "nodes", "n1", "fine"),
        Finding(PROBLEM, "disks", "n1", "full", "free space"),
        Finding(WARNING, "nodes", "n2", "odd", "look"),
    ]
    shown = [line.plain for line in doctor.lines(findings)]
    assert shown == [
        "ok       nodes  n1: fine",
        "warning  nodes  n2: odd",
        "                do: look",
        "problem  disks  n1: full",
        "                do: free space",
    ]
    assert doctor.summary(findings) == "1 problem, 1 warning; 1 checks are well."


def test_a_node_that_does_not_run_is_looked_at_on_its_machine(node: Path) -> None:
    done = pixraft("doctor", "--config", str(node), "--timeout", "1", "-o", "json")
    assert done.exit_code == 5, done.output
    shape = json.loads(done.stdout)
    found = {(one["check"], one["where"]): one for one in shape["findings"]}
    assert shape["worst"] == "problem"
    assert found["nodes", doctor.HERE]["text"] == "node n1 does not run here"
    assert found["nodes", "n1"]["text"].startswith("does not answer: ")
    assert found["certificates", doctor.HERE]["severity"] == "ok"
    assert found["configuration", doctor.HERE]["severity"] == "ok"
    assert ("limits", doctor.HERE) in found
    quiet = pixraft("doctor", "--config", str(node), "--timeout", "1", "--quiet")
    assert "ok " not in quiet.stdout and "do: " in quiet.stdout


def test_the_machine_is_measured(tmp_path: Path) -> None:
    assert 0 < machine.sync_seconds(tmp_path) < 60
    assert machine.disk_of(tmp_path).size > 0
    assert machine.own_descriptors().used > 0
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError):
        machine.sync_seconds(tmp_path / "not there")


def test_the_status_says_when_a_certificate_ends() -> None:
    node = NodeStatus("n1", "h:1", reachable=True, certificates={"node": 1, "ftp": 2**40})
    status = ClusterStatus(verdict="healthy", asked="n1", leader="n1", term=1, nodes=[node])
    (line,) = statusview.advice(status)
    assert line.startswith("n1: the certificate for node has ended") and "pixraft cert renew n1" in line
