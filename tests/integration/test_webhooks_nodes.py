"""Webhooks at real nodes: each event is accepted once, through leaders that are killed while a message is under way."""

from __future__ import annotations

import ftplib
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from click.testing import Result
from commandline import pixraft
from harness import Cluster
from waiting import eventually
from webhookserver import Receiver, status

pytestmark = pytest.mark.integration

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    environment = {"PIXRAFT_WEBHOOKS_PAUSE": "1"}
    with Cluster(tmp_path, sftp=False, environment=environment) as running:
        for name in ("anna", "bob"):
            running.local.put_user(name, QUICK.hash(name), person=True)
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def webhook(cluster: Cluster, *words: str, code: int = 0) -> Result:
    done = pixraft("webhook", *words, "--cluster", str(cluster.local.directory))
    assert done.exit_code == code, done.output
    return done


def add(cluster: Cluster, receiver: Receiver, name: str = "shop") -> str:
    """Return the secret."""
    done = webhook(cluster, "add", name, receiver.url, "--allow-private", "-o", "json")
    secret: str = json.loads(done.stdout)["secret"]
    return secret


def state(cluster: Cluster, name: str = "shop") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(webhook(cluster, "list", name, "-o", "json").stdout)["webhooks"][0]
    return found


def send(cluster: Cluster, name: str) -> None:
    """Put it until it is acknowledged: a repeated put is the same delivery."""

    def done() -> bool:
        for node in cluster.names:
            try:
                with ftplib.FTP(timeout=60, encoding="utf-8") as ftp:
                    ftp.connect(*cluster.address(node))
                    ftp.login("anna", "anna")
                    ftp.storbinary(f"STOR /send/bob/{name}", io.BytesIO(name.encode() * 100))
                return True
            except (ftplib.error_temp, OSError, EOFError):
                continue
        return False

    eventually(done)


def paths(receiver: Receiver) -> list[str]:
    """What was delivered, as a receiver that drops what it knows has it."""
    events = [event for got in receiver.accepted() for event in got.data["events"]]
    return [event["path"] for event in events if event["event"] == "delivered"]


def test_each_event_is_accepted_once_through_leaders_that_are_killed_before_they_hear_it(
    cluster: Cluster, receiver: Receiver
) -> None:
    secret = add(cluster, receiver)
    killed: list[str] = []
    kill_next = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if kill_next.is_set():
            kill_next.clear()
            killed.append(cluster.leader())
            cluster.kill(killed[-1])
        status(204)(handler)

    receiver.answer = answer
    sent = []
    for turn in range(3):
        kill_next.set()
        for number in range(3):
            sent.append(f"bob/{turn}-{number}.jpg")
            send(cluster, sent[-1].partition("/")[2])
        eventually(lambda turn=turn: len(killed) == turn + 1)  # type: ignore[misc]
        eventually(lambda: len(paths(receiver)) == len(sent))
        cluster.start_node(killed[-1])
        cluster.wait_ready(killed[-1])
    last = max(number for got in receiver.got for number in got.numbers)
    eventually(lambda: state(cluster)["position"] >= last)
    assert paths(receiver) == sent
    assert all(got.signed_by(secret) for got in receiver.got)
    by_name: dict[str, set[tuple[int, ...]]] = {}
    for got in receiver.got:
        by_name.setdefault(got.name, set()).add(tuple(got.numbers))
    assert all(len(contents) == 1 for contents in by_name.values()), "a name stands for the same events"
    assert len(receiver.got) > len(by_name), "what was not heard of was sent again"
    assert state(cluster)["dead"] == 0


def test_an_endpoint_that_is_down_is_tried_until_it_is_there(cluster: Cluster, receiver: Receiver) -> None:
    add(cluster, receiver)
    receiver.answer = status(503)
    send(cluster, "a.jpg")
    eventually(lambda: len(receiver.got) >= 3)
    found = eventually(lambda: state(cluster) if state(cluster)["failures"] else None)
    assert (found["error"], found["position"], found["accepted"]) == ("it answers with 503", 0, 0)
    assert "failed" in webhook(cluster, "list").stdout
    receiver.answer = status(204)
    eventually(lambda: state(cluster)["position"] == 1)
    assert len({got.name for got in receiver.got}) == 1
    assert state(cluster)["failures"] == 0


def test_dead_letters_are_shown_and_sent_again(tmp_path: Path, receiver: Receiver) -> None:
    environment = {"PIXRAFT_WEBHOOKS_PAUSE": "1", "PIXRAFT_WEBHOOKS_GIVE_UP": "1"}
    with Cluster(tmp_path, sftp=False, environment=environment) as cluster:
        for name in ("anna", "bob"):
            cluster.local.put_user(name, QUICK.hash(name), person=True)
        add(cluster, receiver)
        receiver.answer = status(500)
        send(cluster, "a.jpg")
        (letter,) = eventually(lambda: state(cluster)["letters"])
        assert (letter["first"], letter["last"], letter["detail"]) == (1, 1, "it answers with 500")
        assert "dead letter 1: events 1 to 1" in webhook(cluster, "list", "shop").stdout
        receiver.answer = status(204)
        webhook(cluster, "retry", "shop", "1")
        eventually(lambda: not state(cluster)["letters"])
        assert len({got.name for got in receiver.got}) == 1
        webhook(cluster, "retry", "shop", "1", code=10)


def test_private_addresses_and_what_is_no_https_are_refused(cluster: Cluster, receiver: Receiver) -> None:
    webhook(cluster, "add", "plain", receiver.url, code=51)
    webhook(cluster, "add", "local", f"https://127.0.0.1:{receiver.port}/")
    send(cluster, "a.jpg")
    found = eventually(lambda: state(cluster, "local") if state(cluster, "local")["failures"] else None)
    assert "not public (127.0.0.1)" in found["error"]
    assert "not public" in webhook(cluster, "test", "local", code=1).output
    assert receiver.got == []


def test_a_trial_is_signed_and_tells_how_it_went(cluster: Cluster, receiver: Receiver) -> None:
    secret = add(cluster, receiver)
    assert "Accepted with 204" in webhook(cluster, "test", "shop").stdout
    (got,) = receiver.got
    assert got.signed_by(secret)
    assert json.loads(got.body)["type"] == "pixraft.test"
    receiver.answer = status(302, location=receiver.url)
    assert "redirect" in webhook(cluster, "test", "shop", code=1).output
    webhook(cluster, "remove", "shop")
    webhook(cluster, "test", "shop", code=10)
    audit = pixraft("audit", "--cluster", str(cluster.local.directory), "-o", "json")
    assert secret.partition("_")[2] not in audit.output
    assert "/hook" not in audit.output, "a path may be a secret"


def test_uploads_and_nodes_that_go_and_come(cluster: Cluster, receiver: Receiver) -> None:
    kinds = [word for kind in ("uploaded", "node_down", "node_up") for word in ("--event", kind)]
    webhook(cluster, "add", "shop", receiver.url, "--allow-private", *kinds)
    node = cluster.follower()
    with cluster.login(node) as ftp:
        ftp.storbinary("STOR a.jpg", io.BytesIO(b"picture"))

    def happened() -> list[tuple[str, str, str | None]]:
        events = [event for got in receiver.accepted() for event in got.data["events"]]
        return [(event["event"], event["subject"], event["path"]) for event in events]

    first = [("uploaded", "demo", "/a.jpg")]
    eventually(lambda: happened() == first)
    cluster.kill(node)
    eventually(lambda: happened() == [*first, ("node_down", node, None)])
    cluster.start_node(node)
    eventually(lambda: happened() == [*first, ("node_down", node, None), ("node_up", node, None)])
