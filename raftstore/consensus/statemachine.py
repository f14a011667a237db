"""What consensus asks of the replicated state machine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class StateMachine(Protocol):
    """Applies log entries in order, exactly once each. All methods but those marked run on the loop."""

    @property
    def applied_index(self) -> int:
        """Log index of the last entry applied (0: none); survives a restart with the state."""
        ...

    @property
    def behind(self) -> bool:
        """Whether entries that were applied are undone, since the disk is full: `applied_index` has gone back."""
        ...

    def catch_up(self) -> None:
        """Apply again what was undone. Raises DiskFull when there is still no space."""
        ...

    def apply(self, index: int, batch: bytes) -> list[bytes]:
        """Apply the entry at log `index`, a serialised commands.Batch; return a serialised Result an operation.

        Deterministic. An entry at or below `applied_index` changes nothing; its remembered results come back
        (an empty `bytes` for what is forgotten). DiskFull: nothing is done, and it may be tried again.
        """
        ...

    def refusal(self, command: bytes) -> str | None:
        """Say why `command` must not be put into the log now: this state, or a later one, could not apply it.

        None: it may be. Whether it changes anything is decided when it is applied.
        """
        ...

    def weight(self, command: bytes) -> int:
        """Estimate how long it will take to apply `command`, in some 20 microseconds, beyond what each takes.

        Asked once, before it is proposed: what shares an entry, which is applied in one turn, is bounded by it.
        """
        ...

    def batch_refusal(self, batch: bytes) -> str | None:
        """Say why a serialised commands.Batch, of another node, must not be put into the log now; None: it may be."""
        ...

    @property
    def opening(self) -> bytes | None:
        """What must be the first command of the log, while this state is that of a new log; else None."""
        ...

    @property
    def configuration(self) -> tuple[int, bytes]:
        """The last configuration given to `configure`, with its index; (0, b"") before the first."""
        ...

    def configure(self, index: int, configuration: bytes) -> None:
        """Remember `configuration`, who the members are, as the entry at log `index`.

        Part of the state like everything else: deterministic, once, and in snapshots. DiskFull as with `apply`.
        """
        ...

    def make_durable(self) -> int:
        """Fsync the state; return the applied index that a power cut can no longer undo. Runs in a thread."""
        ...

    def write_snapshot(self, target: Path) -> int:
        """Write a consistent, fsynced copy to `target`; return its applied index. Runs in a thread."""
        ...

    def prepare_snapshot(self, source: Path) -> int:
        """Do what of `install_snapshot(source)` takes long; return the copy's applied index. Runs in a thread.

        Raises Damaged when the copy is not whole.
        """
        ...

    def discard_prepared(self) -> None:
        """Remove what `prepare_snapshot` has made and no `install_snapshot` has taken. Runs in a thread."""
        ...

    def install_snapshot(self, source: Path) -> int:
        """Atomically and durably replace the state by the copy at `source`; return its applied index.

        Raises Damaged when the copy is not whole; the state is then as it was.
        """
        ...
