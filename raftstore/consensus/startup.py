"""Do log and state machine fit together? Asked before a member takes part."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from raftstore.errors import Damaged


def check_start(
    node: str, members: Collection[str], applied: int, journal: Any, *, rejoining: bool = False
) -> None:
    """Raise Damaged if a state machine at `applied` cannot be brought up to date by this log.

    Where there are other members, a state ahead of the log is in order: after a loss of power the log may lack
    entries that it had not synced, but others had, and that were applied.
    """
    if not len(journal):
        if applied and not rejoining:
            raise Damaged(
                f"the log of {node} is empty, but its state is of entry {applied}: the log was lost. "
                "Remove the whole data directory to let the node fetch everything anew."
            )
        return
    first, last = journal[0][1], journal[-1][1]
    if first > 1 and applied < first + 1:
        raise Damaged(f"the state of {node} is of entry {applied}, but its log starts at entry {first}")
    if applied > last and set(members) == {node}:
        raise Damaged(f"the state of {node} is of entry {applied}, but its log ends at entry {last}")
    if journal.getRaftCommitIndex() > last:
        raise Damaged(f"the log of {node} ends at {last}, before {journal.getRaftCommitIndex()} was committed")
