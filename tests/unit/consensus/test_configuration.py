"""Which configuration may follow on which, and what of the log is in force."""

from __future__ import annotations

import pytest
from raftcluster import MemoryJournal

from raftstore.consensus.membership.configuration import Configuration, Former, Member, check_step
from raftstore.consensus.membership.watchedlog import PREFIX, WatchedLog
from raftstore.errors import Damaged, Invalid, TooNew
from raftstore.wire import raft_pb2

THREE = Configuration.of(["n1", "n2", "n3"])


def learner(configuration: Configuration, name: str = "n4") -> Configuration:
    return configuration.with_learner(name, "host4:7420", b"4" * 32)


def test_the_way_of_a_node_in_and_out():
    four = learner(THREE)
    assert four.voters == THREE.voters
    assert four.majority == 2
    voting = four.with_voter("n4")
    assert voting.majority == 3
    gone = voting.without("n1", 17)
    assert gone.names == {"n2", "n3", "n4"}
    assert gone.removal("n1") == Former("n1", 17)
    assert gone.removal("n2") is None
    back = learner(gone, "n1")
    assert back.removal("n1") is None
    assert back.removed == (Former("n1", 17),)
    assert back.without("n1", 20).removed == (Former("n1", 20, b"4" * 32),)
    moved = back.with_address("n4", "elsewhere:1")
    assert moved.by_name["n4"] == Member("n4", True, "elsewhere:1", b"4" * 32)


@pytest.mark.parametrize("configuration", [THREE, learner(THREE), learner(THREE).without("n2", 9)])
def test_encoded_and_decoded(configuration):
    assert Configuration.decode(configuration.encode()) == configuration


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xff", Configuration((Member("n1", False),)).encode(), Configuration((Member(""),)).encode()],
)
def test_what_is_no_configuration_is_damage(data):
    with pytest.raises(Damaged):
        Configuration.decode(data)


@pytest.mark.parametrize("part", ["message", "member", "former"])
def test_a_configuration_that_says_more_than_is_understood_stops_the_node(part):
    message = raft_pb2.Configuration.FromString(THREE.without("n2", 9).encode())
    extended = {"message": message, "member": message.members[1], "former": message.removed[0]}[part]
    extended.MergeFromString(b"\xfa\x3f\x01x")  # field 1023
    with pytest.raises(TooNew, match="A node that is too old"):
        Configuration.decode(message.SerializeToString())


def test_single_steps_are_taken():
    four = learner(THREE)
    for new in (THREE, four, THREE.without("n2", 5), THREE.with_address("n2", "a:1")):
        check_step(THREE, new, "n1")
    check_step(four, four.with_voter("n4"), "n1")
    check_step(four, four.without("n4", 5), "n1")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (THREE, Configuration.of(["n1"]), "one voter"),
        (THREE, Configuration.of(["n1", "n2", "n4"]), "one voter"),
        (learner(THREE), learner(THREE).with_voter("n4").without("n2", 3), "one voter"),
        (THREE, Configuration.of(["n1", "n2", "n3", "n4"]), "learner first"),
        (THREE, THREE.without("n1", 3), "transfer"),
        (THREE, Configuration((Member("n1"), Member("n2"), Member("n3", False))), "cannot become a learner"),
    ],
)
def test_other_steps_are_refused(old, new, why):
    with pytest.raises(Invalid, match=why):
        check_step(old, new, "n1")


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.with_learner("n2", "", b""),
        lambda c: c.with_voter("n2"),
        lambda c: c.with_voter("n9"),
        lambda c: c.with_address("n9", "a:1"),
        lambda c: c.without("n9", 3),
    ],
)
def test_a_change_of_what_is_not_there_is_refused(change):
    with pytest.raises(Invalid):
        change(THREE)


class Watched:
    def __init__(self, journal=None, base=(0, THREE)):
        self.base = base
        self.changes = 0
        self.journal = journal or MemoryJournal([(b"\x01", 1, 0)])
        self.log = WatchedLog(self.journal, lambda: self.base, self.changed)

    def changed(self):
        self.changes += 1

    def add(self, index, configuration=None, term=1):
        command = b"\x01" if configuration is None else PREFIX + configuration.encode()
        self.log.add(command, index, term)


def test_in_force_when_appended_and_no_more_when_truncated():
    watched = Watched()
    four, voting = learner(THREE), learner(THREE).with_voter("n4")
    watched.add(2)
    watched.add(3, four)
    assert watched.log.latest == (3, four)
    watched.add(4, voting)
    watched.add(5)
    assert watched.changes == 2
    assert watched.log.committed(3) == (3, four)
    assert watched.log.committed(2) == (0, THREE)
    watched.log.deleteEntriesFrom(3)
    assert watched.log.latest == (3, four)
    watched.log.deleteEntriesFrom(1)
    assert watched.log.latest == (0, THREE)
    assert watched.changes == 4
    watched.log.deleteEntriesFrom(5)
    assert watched.changes == 4


def test_found_again_at_a_start():
    watched = Watched()
    watched.add(2, learner(THREE))
    again = Watched(watched.journal)
    assert again.log.latest == (2, learner(THREE))
    assert again.changes == 0
    newer = Watched(watched.journal, (7, THREE.without("n2", 7)))
    assert newer.log.latest[0] == 7, "what was applied goes before an older one in a log that lost its end"


def test_what_is_committed_is_forgotten_only_for_something_newer():
    watched = Watched()
    watched.add(2, learner(THREE))
    watched.add(3, learner(THREE).with_voter("n4"))
    watched.log.setRaftCommitIndex(2)
    watched.log.deleteEntriesFrom(2)
    assert watched.log.latest == (2, learner(THREE))
    assert watched.log.committed(2) == (2, learner(THREE))


def test_a_snapshot_brings_its_own():
    watched = Watched()
    watched.add(2, learner(THREE))
    watched.base = (40, THREE.without("n3", 40))
    watched.log.clear()
    watched.add(50)
    assert watched.changes == 1
    watched.add(51)
    assert watched.log.latest == (40, THREE.without("n3", 40))
    assert watched.changes == 2


def test_what_follows_an_installed_snapshot_counts():
    watched = Watched()
    for index in range(2, 5):
        watched.add(index)
    watched.add(5, learner(THREE))
    watched.log.clear()
    watched.add(3)
    watched.add(4)
    assert [index for _, index, _ in watched.journal[:]] == [3, 4, 5]
    assert watched.log.latest == (5, learner(THREE))
