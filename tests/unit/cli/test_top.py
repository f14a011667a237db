"""Rates from two looks, and what `pixraft top` shows of them."""

from __future__ import annotations

import pytest
from rich.console import Console

from ftpgateway.cli.helpers.rates import Look, NodeRates, Seen, node_rates, running
from ftpgateway.cli.operating import top
from raftstore.wire import admin_pb2 as admin

SECOND = 10**9
NOW = 1_700_000_000 * SECOND


def seen(at: float, *, role: str = "leader", commit: int = 0, cpu: float = 1.0, **totals: int) -> Seen:
    sessions = admin.Sessions(time_ns=NOW + round(at * SECOND), cpu_seconds=cpu, count=2, **totals)
    report = admin.NodeReport()
    report.node.name, report.node.role, report.node.commit_index = "n1", role, commit
    return Seen(sessions, report)


def doing(there: Seen, number: int, what: str, path: str, moved: int | None, seconds: float) -> None:
    session = there.sessions.sessions.add(number=number, protocol="ftp", user="anna", address="192.0.2.1")
    operation = session.operations.add(what=what, path=path, seconds=seconds)
    if moved is not None:
        operation.moved = moved


def look(at: float = 0.0, failures: dict[str, str] | None = None, **nodes: Seen) -> Look:
    return Look(NOW + round(at * SECOND), nodes, failures or {})


def test_bytes_of_transfers_that_go_on_and_that_have_ended_count_once() -> None:
    before = seen(0, uploads=5, upload_bytes=1000, downloads=1, download_bytes=10, commit=100, cpu=1.0)
    doing(before, 1, "upload", "/a", 400, 1.0)
    doing(before, 2, "download", "/b", 50, 3.0)
    now = seen(2, uploads=6, upload_bytes=1600, downloads=1, download_bytes=10, commit=120, cpu=1.5)
    doing(now, 1, "upload", "/c", 100, 0.5)  # /a ended with 600
    doing(now, 2, "download", "/b", 90, 5.0)
    (rates,) = node_rates(look(n1=before), look(2, n1=now))
    assert rates == NodeRates("n1", "leader", 2, 150.0, 20.0, 0.5, 0.0, 10.0, 0.25, "")


@pytest.mark.parametrize("other", [seen(0, cpu=9.0), seen(5)])
def test_a_node_that_was_started_anew_or_whose_clock_was_set_has_no_rates(other: Seen) -> None:
    (rates,) = node_rates(look(n1=other), look(2, n1=seen(2, cpu=1.0)))
    assert (rates.sessions, rates.upload, rates.cpu) == (2, None, None)


def test_who_does_not_answer_is_there_with_the_reason() -> None:
    rates = node_rates(look(n1=seen(0)), look(1, {"n2": "no route"}, n1=seen(1, role="follower")))
    assert [(one.node, one.sessions, one.error) for one in rates] == [("n1", 2, ""), ("n2", None, "no route")]
    assert top.summary(rates).startswith("1 of 2 nodes, no leader; 2 sessions; up 0 B/s")


def test_what_takes_longest_comes_first_with_the_rate_of_now() -> None:
    before, now = seen(0), seen(1)
    doing(before, 1, "upload", "/slow", 1000, 10.0)
    doing(before, 2, "upload", "/again", 900, 9.0)
    doing(now, 1, "upload", "/slow", 1500, 11.0)
    doing(now, 2, "upload", "/again", 100, 0.5)  # the same name once more
    doing(now, 3, "RMD", "/old", None, 20.0)
    found = running(look(n1=before), look(1, n1=now))
    assert [(one.path, one.moved, one.rate) for one in found] == [
        ("/old", None, None),
        ("/slow", 1500, 500.0),
        ("/again", 100, 200.0),
    ]


def looks(operations: int = 3) -> tuple[Look, Look]:
    before, now = seen(0, upload_bytes=0), seen(1, upload_bytes=3 << 20)
    for number in range(operations):
        doing(now, number + 1, "upload", f"/dir/picture {number}.jpg", 2048, 9.5 + number)
    return look(n1=before), look(1, {"n2": "no route"}, n1=now)


def test_plain_lines() -> None:
    head, titles, one, two, *operations = top.plain(*looks(5))
    assert head.startswith("2023-11-14T22:13:21Z  1 of 2 nodes, leader n1; 2 sessions; up 3.0 MiB/s, down ")
    assert titles.split() == list(top._TITLES)
    assert one.split()[:5] == ["n1", "leader", "2", "3.0", "MiB/s"]
    assert two.split()[:3] == ["n2", "-", "-"] and two.endswith("no route")
    assert len(operations) == 5 and operations[-1] == ""
    assert "upload /dir/picture 4.jpg" in operations[1] and operations[1].endswith("14s")


@pytest.mark.parametrize(("width", "height"), [(200, 40), (100, 12), (60, 9)])
def test_the_view_fits_on_a_terminal(width: int, height: int) -> None:
    console = Console(width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(top.view("pictures", *looks(50), height))
    lines = captured.get().splitlines()
    assert len(lines) <= height or width < 100  # a narrow one may wrap the error
    assert all(len(line) <= width for line in lines)
    assert "pictures" in lines[0] and any("more" in line for line in lines[-2:])


def test_a_view_without_anything_going_on() -> None:
    console = Console(width=120, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(top.view("pictures", *looks(0), 30))
    assert "No session does anything just now." in captured.get()


def test_the_json_has_nulls_for_what_is_not_known() -> None:
    shape = top.shape(*looks(1))
    one, two = shape["nodes"]  # type: ignore[misc]
    assert one["upload_rate"] == (3 << 20) + 2048 and isinstance(one["upload_rate"], int)
    assert (two["role"], two["sessions"], two["upload_rate"], two["error"]) == (None, None, None, "no route")
    (operation,) = shape["operations"]  # type: ignore[misc]
    assert operation["path"] == "/dir/picture 0.jpg" and operation["seconds"] == 9.5
