"""Do log and state machine fit together? Asked before a member takes part."""

from __future__ import annotations

from raftstore.consensus.log.raftlog import RaftLog
from raftstore.consensus.membership.configuration import Configuration
from raftstore.consensus.membership.watchedlog import Versioned, WatchedLog
from raftstore.consensus.statemachine import StateMachine
from raftstore.errors import Damaged


def base_configuration(machine: StateMachine, initial: Configuration) -> Versioned:
    """Return what the log's configurations follow on: the last one applied, else that of the start."""
    index, configuration = machine.configuration
    return (index, Configuration.decode(configuration)) if index else (0, initial)


def reaches_back_too_little(journal: RaftLog, applied: int) -> bool:
    """Whether a state that is of entry `applied` cannot be brought up to date by this log alone."""
    first = journal[0][1] if len(journal) else 0
    return first > 1 and applied < first + 1


def check_start(
    node: str, initial: Configuration, machine: StateMachine, journal: RaftLog, *, rejoining: bool = False
) -> None:
    """Raise Damaged if the state machine cannot be brought up to date by this log.

    Where there are other members, a state ahead of the log is in order: after a loss of power the log may lack
    entries that it had not synced, but others had, and that were applied.
    """
    applied = machine.applied_index
    if not len(journal):
        if applied and not rejoining:
            raise Damaged(
                f"the log of {node} is empty, but its state is of entry {applied}: the log was lost. "
                "Remove the whole data directory to let the node fetch everything anew."
            )
        return
    first, last = journal[0][1], journal[-1][1]
    if reaches_back_too_little(journal, applied):
        raise Damaged(f"the state of {node} is of entry {applied}, but its log starts at entry {first}")
    if applied > last and _voters(journal, machine, initial) == {node}:
        raise Damaged(f"the state of {node} is of entry {applied}, but its log ends at entry {last}")
    if journal.getRaftCommitIndex() > last:
        raise Damaged(f"the log of {node} ends at {last}, before {journal.getRaftCommitIndex()} was committed")


def _voters(journal: RaftLog, machine: StateMachine, initial: Configuration) -> frozenset[str]:
    return WatchedLog(journal, lambda: base_configuration(machine, initial), lambda: None).latest[1].voters
