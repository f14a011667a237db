"""Late replicas reach the catalog in batches, also over failures."""

from __future__ import annotations

import asyncio

from raftstore.cluster.replicas import recorder as module
from raftstore.cluster.replicas.recorder import ReplicaRecorder
from raftstore.errors import Invalid, NoQuorum


def test_what_fails_is_proposed_again_and_the_last_word_counts(monkeypatch):
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.001)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    proposals = []

    async def scenario() -> None:
        done = asyncio.Event()

        async def propose(command):
            proposals.append(command.change_replicas)
            if len(proposals) == 1:
                raise NoQuorum("not yet")
            done.set()

        recorder = ReplicaRecorder(propose)
        recorder.start()
        recorder.added(b"a" * 32, 1, 7)
        recorder.added(b"b" * 32, 2, 7)
        recorder.removed(b"a" * 32, 1)
        await asyncio.wait_for(done.wait(), 60)
        await recorder.stop()

    asyncio.run(scenario())
    assert len(proposals) == 2
    for change in proposals:
        assert [(one.digest, one.store) for one in change.added] == [(b"b" * 32, 2)]
        assert [(one.digest, one.store) for one in change.removed] == [(b"a" * 32, 1)]


def test_what_is_refused_for_good_does_not_hold_up_the_rest(monkeypatch):
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.001)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    taken = []

    async def scenario() -> None:
        done = asyncio.Event()

        async def propose(command):
            added = [one.store for one in command.change_replicas.added]
            if 9 in added:
                raise Invalid("no store has number 9")
            taken.extend(added)
            done.set()

        recorder = ReplicaRecorder(propose)
        recorder.start()
        recorder.added(b"a" * 32, 9, 7)
        while recorder._waiting:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.001)
        recorder.added(b"b" * 32, 2, 7)
        await asyncio.wait_for(done.wait(), 60)
        await recorder.stop()

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert taken == [2]
