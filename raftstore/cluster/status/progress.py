"""How far each node's log has come, as the others remember it while they run. Pure.

A node whose log ends before entries that it has told to be committed and synced has another disk, or an older copy of
its disk (a snapshot of a virtual machine). Together with the numbers of starts in the log (`boot`) this tells copies
made during the node's last run, too, as long as one of the others has run on since.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Remembered:
    """`safe`: in start `boot`; `before`: in all earlier ones on this disk."""

    store: bytes
    boot: int
    safe: int = 0
    before: int = 0


class Progress:
    """What was heard of each node: up to which index its log is committed and synced."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Remembered] = {}

    def hear(self, name: str, store: bytes, boot: int, safe: int) -> None:
        """Take what a node says of itself: the disk (identity of its volumes), its start and the index."""
        if not boot or not store:
            return  # it does not take part yet, or does not tell
        known = self._nodes.get(name)
        if known is None or known.store != store:
            known = self._nodes[name] = _Remembered(store, boot)
        if boot != known.boot:
            known.before, known.safe, known.boot = max(known.before, known.safe), 0, boot
        known.safe = max(known.safe, safe)

    def lacks(self, name: str, store: bytes, boot: int, log_end: int) -> bool:
        """Whether a node whose log ended at `log_end` when it began start `boot` lacks what it had before.

        `log_end` 0: it does not tell, or knows that it lost its log.
        """
        known = self._nodes.get(name)
        if known is None or known.store != store or not log_end:
            return False
        return log_end < (known.before if boot == known.boot else max(known.before, known.safe))

    def forget(self, name: str) -> None:
        """It is no member any more."""
        self._nodes.pop(name, None)
