"""`pixraft webhook`, against made-up answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import commandline
import pytest
from click.testing import Result
from fakeadmin import FakeCluster, fake_cluster

from raftstore.wire import admin_pb2

NOW = 1_790_000_000 * 10**9


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with fake_cluster(tmp_path / "c", up=["n1"], names=["n1"]) as running:
        running.webhooks["shop"] = admin_pb2.WebhookState(
            name="shop",
            url="https://shop.example/hook",
            kinds=["delivered", "bounced"],
            position=7,
            newest=1_012,
            accepted=3,
            dead=2,
            letters=[
                admin_pb2.DeadLetter(number=1, first=1, last=4, time_ns=NOW, lost=True),
                admin_pb2.DeadLetter(number=2, first=5, last=7, time_ns=NOW, detail="it answers with 500"),
            ],
            attempts=admin_pb2.WebhookAttempts(failures=2, error="it answers with 503", wait_ms=61_000),
        )
        yield running


def webhook(cluster: FakeCluster, *arguments: str, code: int = 0) -> Result:
    result = commandline.pixraft("webhook", *arguments, "--cluster", str(cluster.directory), "--node", "n1")
    assert result.exit_code == code, result.output
    return result


def test_how_it_goes_with_each(cluster: FakeCluster) -> None:
    cluster.webhooks["desk"] = admin_pb2.WebhookState(
        name="desk", url="https://desk.example/", attempts=admin_pb2.WebhookAttempts()
    )
    cluster.webhooks["dark"] = admin_pb2.WebhookState(name="dark", url="https://dark.example/")
    rows = [line.split(maxsplit=2) for line in webhook(cluster, "list").stdout.splitlines()]
    assert [row[0].lower() for row in rows] == ["name", "dark", "desk", "shop"]
    assert rows[1][2].endswith("not known: no leader tells")
    assert rows[2][2].split() == ["all", "0", "0", "0", "good"]
    words = rows[3][2].split()
    assert words[:5] == ["delivered,", "bounced", "3", "1,005", "2"]
    assert " ".join(words[5:]) == "failed 2 times, again in 61 s: it answers with 503"


def test_one_with_its_dead_letters(cluster: FakeCluster) -> None:
    lines = webhook(cluster, "list", "shop").stdout.splitlines()
    assert lines[-2:] == [
        "dead letter 1: events 1 to 4, 2026-09-21T14:13:20Z: events not kept any more",
        "dead letter 2: events 5 to 7, 2026-09-21T14:13:20Z: it answers with 500",
    ]
    shape = json.loads(webhook(cluster, "list", "shop", "-o", "json").stdout)["webhooks"][0]
    letters = shape.pop("letters")
    assert shape == {
        "name": "shop",
        "url": "https://shop.example/hook",
        "events": ["delivered", "bounced"],
        "private": False,
        "position": 7,
        "newest": 1_012,
        "accepted": 3,
        "dead": 2,
        "failures": 2,
        "error": "it answers with 503",
        "retry_in": 61.0,
    }
    assert letters[0] == {
        "number": 1,
        "first": 1,
        "last": 4,
        "time": "2026-09-21T14:13:20Z",
        "detail": "",
        "asked": False,
        "lost": True,
    }
    webhook(cluster, "list", "other", code=10)


def test_there_are_none(cluster: FakeCluster) -> None:
    cluster.webhooks.clear()
    assert webhook(cluster).stdout == "There are none.\n"


def test_the_secret_is_shown_once(cluster: FakeCluster) -> None:
    shown = webhook(cluster, "add", "desk", "https://desk.example/", "--event", "opened", "--allow-private")
    assert shown.stdout.splitlines()[-1] == "whsec_c2VjcmV0"
    made = cluster.webhooks["desk"]
    assert (made.url, list(made.kinds), made.private) == ("https://desk.example/", ["opened"], True)
    shape = json.loads(webhook(cluster, "add", "lab", "https://lab.example/", "-o", "json").stdout)
    assert shape == {"name": "lab", "secret": "whsec_c2VjcmV0", "done": "added"}
    webhook(cluster, "add", "lab", "https://lab.example/", code=11)
    webhook(cluster, "add", "x", "https://lab.example/", "--event", "nothing", code=2)


def test_removed_and_tried_again(cluster: FakeCluster) -> None:
    webhook(cluster, "retry", "shop", "2")
    assert [letter.asked for letter in cluster.webhooks["shop"].letters] == [False, True]
    assert json.loads(webhook(cluster, "retry", "shop", "-o", "json").stdout) == {
        "name": "shop",
        "done": "retried",
    }
    assert webhook(cluster, "remove", "shop").stdout == "Webhook shop removed.\n"
    webhook(cluster, "remove", "shop", code=10)


def test_a_trial_says_what_came_of_it(cluster: FakeCluster) -> None:
    assert webhook(cluster, "test", "shop", code=1).output.strip() == "Not accepted: it answers with 503"
    failed = json.loads(webhook(cluster, "test", "shop", "-o", "json", code=1).stdout)
    assert failed == {"name": "shop", "status": None, "error": "it answers with 503", "took": 1.5}
    cluster.webhooks["shop"].ClearField("attempts")
    assert webhook(cluster, "test", "shop").stdout == "Accepted with 204 within 1.50 s.\n"
