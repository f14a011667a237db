"""`leader transfer` waits until the one that was asked leads, within bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from commandline import pixraft

from ftpgateway.cli.client import ClusterClient
from ftpgateway.cli.cluster import leader
from raftstore.errors import OutcomeUnknown
from raftstore.wire import admin_pb2


def cluster(monkeypatch: pytest.MonkeyPatch, leaders: Iterator[str | None]) -> None:
    """The leader asks n2 to take over; whoever then asks for the leader is told the next of `leaders`."""

    async def ask(*_: object) -> admin_pb2.TransferReply:
        return admin_pb2.TransferReply(target="n2")

    async def status(_: ClusterClient) -> SimpleNamespace:
        return SimpleNamespace(leader=next(leaders))

    monkeypatch.setattr(ClusterClient, "ask", ask)
    monkeypatch.setattr(ClusterClient, "status", status)
    monkeypatch.setattr(leader, "POLL", 0)


def test_it_waits_for_the_new_leader(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter(["n1", None, "n2"])
    cluster(monkeypatch, seen)
    result = pixraft("leader", "transfer", "--config", str(node), "-o", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"leader": "n2", "changed": True})
    assert next(seen, "") == ""


def test_one_that_does_not_take_over_is_told(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(monkeypatch, iter(["n1", "n1"]))
    monkeypatch.setattr(leader, "HANDOVER", 0)
    result = pixraft("leader", "transfer", "n2", "--config", str(node))
    assert result.exit_code == OutcomeUnknown.exit_code
    assert "n2 was asked to take over; n1 leads after 0 s" in result.stderr
    assert result.stdout == ""
