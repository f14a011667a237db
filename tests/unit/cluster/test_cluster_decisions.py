"""The pure decisions of the cluster room: verdict, bootstrap, repair plan, results, user changes."""

from __future__ import annotations

import asyncio

import pytest

from raftstore import errors
from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.cluster.calls.accounts import merged
from raftstore.cluster.jobs.repair import plan
from raftstore.cluster.membership import bootstrap
from raftstore.cluster.membership.boot import Boots, next_boot, retract
from raftstore.cluster.status import verdict
from raftstore.metadata.results import accepted
from raftstore.types import ChunkRef, ClusterStatus, NodeStatus, User
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands


def status(*nodes: NodeStatus, short: int = 0, leader: str | None = "n1") -> ClusterStatus:
    return ClusterStatus("", "n1", leader, 3, list(nodes), short_count=short)


def node(name: str, **changes: object) -> NodeStatus:
    return NodeStatus(name, "host:1", **{"reachable": True, "lag": 0, "role": "follower", **changes})


def test_verdicts():
    whole = [node("n1"), node("n2"), node("n3")]
    assert verdict.judge(status(*whole), confirmed=True) == (verdict.HEALTHY, "")
    word, why = verdict.judge(status(*whole[:2], node("n3", reachable=False)), confirmed=True)
    assert (word, why) == (verdict.DEGRADED, "n3 cannot be reached")
    learner = status(*whole[:2], node("n3", voter=False, role="learner"))
    assert verdict.judge(learner, confirmed=True) == (
        verdict.DEGRADED,
        "n3 has no vote yet: it gets what the others have",
    )
    absent = status(*whole, node("n4", voter=False, reachable=False))
    assert verdict.judge(absent, confirmed=True) == (verdict.DEGRADED, "n4 has joined, but is not there yet")
    for short, words in ((1, "1 picture has fewer"), (2, "2 pictures have fewer")):
        word, why = verdict.judge(status(*whole, short=short), confirmed=True)
        assert (word, why) == (verdict.DEGRADED, f"{words} copies than wanted")
    assert verdict.judge(status(*whole[:2], node("n3", lag=5000)), confirmed=True)[0] == verdict.DEGRADED
    candidate = status(*whole[:2], node("n3", role="candidate"))
    assert verdict.judge(candidate, confirmed=True) == (verdict.DEGRADED, "n3 does not take part yet")
    assert verdict.judge(status(*whole[:2], node("n3", error="disk")), confirmed=True)[0] == verdict.DEGRADED
    replaced = verdict.judge(status(*whole[:2]), confirmed=True, changes=["n3 is being taken in"])
    assert replaced == (verdict.DEGRADED, "n3 is being taken in")
    word, why = verdict.judge(status(*whole, leader=None), confirmed=False)
    assert word == verdict.NO_QUORUM
    assert "no leader" in why


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([], False),
        ([True, True], False),
        ([True, None], None),
        ([None, None], None),
        ([False, None], True),
        ([True, False], True),
    ],
)
def test_who_must_rejoin(answers, expected):
    assert bootstrap.judge(answers) is expected


@pytest.mark.parametrize("members", range(1, 8))
def test_enough_terms_are_heard_to_meet_every_majority(members):
    majority = members // 2 + 1
    needed = bootstrap.answers_needed(members)
    others = members - 1
    assert needed <= others
    if members > 1:
        # The rest of a majority that this node was in, and the others that answered: too many to miss each other.
        assert (majority - 1) + needed > others
        assert (majority - 1) + (needed - 1) <= others


def test_the_safe_term_is_the_highest_of_enough_answers(monkeypatch):
    monkeypatch.setattr(bootstrap, "RETRY_SECONDS", 0.001)
    answers = {"n2": [errors.Unavailable(), 4, 4], "n3": [7, errors.Unavailable(), 9]}

    async def ask(name: str) -> int:
        answer = answers[name].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert asyncio.run(bootstrap.safe_term(lambda: ["n2", "n3"], ask)) == 9


def view(*reachable: bool, replicas: int = 3, nodes: int | None = None) -> ClusterView:
    stores = tuple(StoreState(number, f"n{number}", reachable=up) for number, up in enumerate(reachable, 1))
    return ClusterView(stores, nodes or len(stores), replicas)


def chunk(*stores: int) -> ChunkRef:
    return ChunkRef(b"d" * 32, 1000, stores, 3)


def test_repair_copies_to_a_store_that_lacks_the_chunk():
    (copy,) = plan(view(True, True, True), [chunk(1, 2)])
    assert copy.target.number == 3
    assert {store.number for store in copy.sources} == {1, 2}


def test_repair_leaves_alone_what_is_only_away():
    assert plan(view(True, True, False, True), [chunk(1, 2, 3)]) == []


def test_repair_replaces_a_store_that_is_gone():
    (copy,) = plan(view(True, True, True), [chunk(1, 3, 9)])
    assert copy.target.number == 2


def test_repair_without_a_source_or_a_target_does_nothing():
    assert plan(view(False, True, True), [chunk(1)]) == []
    assert plan(view(True, False, False), [chunk(1)]) == []


def test_results_become_errors():
    assert accepted(commands.Result(inode=7).SerializeToString()).inode == 7
    for word in commands.Status.keys()[1:]:  # an enum wrapper, not a dict
        refused = commands.Result(status=commands.Status.Value(word), detail="why")
        with pytest.raises(errors.StoreError, match="why"):
            accepted(refused.SerializeToString())


def test_boot_numbers_grow(tmp_path):
    path = tmp_path / "boot"
    first = next_boot(path)
    assert first.previous == 0
    second = next_boot(path)
    assert second.previous == first.now < second.now
    path.write_text(f"{first.now * 10}\n")
    assert next_boot(path) == Boots(first.now * 10, first.now * 10 + 1)
    path.write_text("\0\0\0")
    with pytest.raises(errors.Damaged, match="boot"):
        next_boot(path)


def test_a_node_with_a_new_disk_and_a_clock_behind_is_no_older_copy(tmp_path, monkeypatch):
    """Its starts on the disk before had higher numbers: what it proposes would be of a start that is over."""
    path, latest = tmp_path / "boot", 5000
    monkeypatch.setattr("time.time_ns", lambda: 1000)
    first = next_boot(path, others=latest)
    assert first == Boots(0, 5001)
    assert not first.outdated(latest)
    second = next_boot(path, own=first.now, others=0)
    assert second == Boots(5001, 5002)
    assert not second.outdated(first.now)


def test_what_a_node_has_in_its_own_catalog_was_no_later_start(tmp_path, monkeypatch):
    """As after a start with a lower number, by a version that did not ask the others."""
    path = tmp_path / "boot"
    monkeypatch.setattr("time.time_ns", lambda: 1000)
    assert next_boot(path) == Boots(0, 1000)
    again = next_boot(path, own=5000)
    assert again == Boots(5000, 5001)
    assert not again.outdated(5000)
    assert Boots(1000, 1001).outdated(5000)


def test_a_lost_file_is_no_older_copy_whatever_the_catalog_has(tmp_path, monkeypatch):
    """The end of the catalog may be lost with it: the others know of a later start then."""
    monkeypatch.setattr("time.time_ns", lambda: 1000)
    assert next_boot(tmp_path / "boot", own=4000) == Boots(0, 4001)
    assert not Boots(0, 4001).outdated(5000)


def test_an_older_copy_is_found_whatever_others_have_told(tmp_path, monkeypatch):
    path = tmp_path / "boot"
    path.write_text("3000")
    monkeypatch.setattr("time.time_ns", lambda: 9000)
    copy = next_boot(path, own=3000, others=5000)
    assert copy == Boots(3000, 9000)
    assert copy.outdated(5000)


@pytest.mark.parametrize(
    ("previous", "now", "before", "outdated"),
    [
        (7, 9, 0, False),  # the cluster knows of no start yet
        (7, 9, 7, False),  # started before, and nothing since
        (7, 9, 5, False),  # the last start was too short to announce itself
        (7, 9, 8, True),  # a copy from before start 8
        (7, 9, 12, True),  # another process has started as this node since
        (0, 9, 8, False),  # it cannot tell: the file was lost, or the disk is new
    ],
)
def test_an_older_copy_is_told_by_the_starts_that_it_does_not_know(previous, now, before, outdated):
    assert Boots(previous, now).outdated(before) is outdated


def test_an_older_copy_is_one_at_its_next_start_too(tmp_path, monkeypatch):
    path = tmp_path / "boot"
    path.write_text("3000")
    monkeypatch.setattr("time.time_ns", lambda: 9000)
    copy = next_boot(path)
    retract(path, copy)
    monkeypatch.setattr("time.time_ns", lambda: 9500)
    again = next_boot(path, own=9000)
    assert again == Boots(3000, 9500)
    assert again.outdated(5000)


def test_user_changes_keep_what_is_not_named():
    earlier = User("ann", "hash", home="/ann", quota_bytes=5)
    changed = merged(earlier, admin.UserPut(name="ann", quota_bytes=9, update=True))
    assert changed == User("ann", "hash", home="/ann", quota_bytes=9)
    with pytest.raises(errors.AlreadyExists):
        merged(earlier, admin.UserPut(name="ann", password_hash="x", create=True))
    with pytest.raises(errors.NotFound):
        merged(None, admin.UserPut(name="bob", update=True))
    with pytest.raises(errors.Invalid):
        merged(None, admin.UserPut(name="bob", create=True))


def test_a_forgotten_result_is_no_success():
    with pytest.raises(errors.OutcomeUnknown):
        accepted(b"")
