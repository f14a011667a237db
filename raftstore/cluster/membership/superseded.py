"""Is this still the node's disk? One that was replaced, and is put back, must not vote.

A node that starts on an empty disk learns the log anew and votes again. If its old disk is then brought back, that
one's log lacks what the node has acknowledged since, and a vote given by it could elect a leader that lacks it too
(Raft, section 5.4.3, rests on logs that are never forgotten). The catalog knows which disk, by the identity of its
volumes, is the latest of every node; so a node that starts asks the others, and holds its vote until a majority,
itself among it, knows of no later one: one of them is of the majority that took note of a later disk. The same goes
for an older copy of the same disk (a snapshot of a virtual machine, a backup): each start of a node stands in the log
with its number, and one that the copy does not know of was later (`boot`); nodes that run remember how far its log was
(`progress`). The answer of one that has just started itself counts only when it has applied what it knows to be
committed; as it may not know of all that yet, the question goes on being asked, about once a second.
"""

from __future__ import annotations

from collections.abc import Collection

from raftstore.errors import Superseded


class SupersededCheck:
    """What the others have said of this node's disk since the start."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._confirmed: set[str] = set()
        self._refuted = False

    def hear(self, name: str, *, superseded: bool, outdated: bool, caught_up: bool) -> None:
        """Take the answer of `name`, which has applied what it knows to be committed, or not yet.

        `superseded`: it knows of a later disk; `outdated`: of a later start. Raises Superseded for either.
        """
        self._refuted = self._refuted or superseded or outdated
        if superseded:
            raise Superseded(
                f"{name} says that {self._node} has had another disk since; if that one is lost too, remove the data "
                "directory and start: the others have everything"
            )
        if outdated:
            raise Superseded(
                f"{name} knows that {self._node} had newer data: these are an older copy, and lack what it has "
                "acknowledged since. Start it with its newest data; if these are lost, remove the data directory and "
                "start: the others have everything"
            )
        if caught_up:
            self._confirmed.add(name)

    def certain(self, voters: Collection[str]) -> bool:
        """Whether so many voters, this node among them if it is one, know of no later disk that its vote is safe.

        Never again once one has known of a later disk or start: the others may only not have applied that yet.
        """
        confirmed = len((self._confirmed | {self._node}).intersection(voters))
        return not self._refuted and confirmed >= len(voters) // 2 + 1
