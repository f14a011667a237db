"""Bounds and times of the consensus engine."""

from __future__ import annotations

from dataclasses import dataclass

from raftstore.util.settings import declared, kinds

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class RaftLogSettings:
    """How much of the replicated log is kept: the same on every node. The defaults suit nearly everyone."""

    log_entries: int = declared(
        kinds.integer(30, 10_000_000),
        "Entries (each of up to 1024 commands) up to which the log grows before it is cut; a third of them stay. "
        "A node that was away for longer than they last is sent a snapshot of the catalog.",
        30_000,
    )
    log_bytes: int = declared(
        kinds.integer(64 * 1024, 64 * 1024**3),
        "Bytes up to which the log grows before it is cut, in memory too; about half of them stay.",
        64 * 1024**2,
    )
    snapshot_piece: int = declared(
        kinds.integer(4096, 4 * 1024**2),
        "Bytes of a snapshot that a node asks for at a time: the next piece when it has stored the last one.",
        1024**2,
    )

    @property
    def retained(self) -> int:
        """Entries that stay when the log is cut."""
        return self.log_entries // 3


_LOG = RaftLogSettings()


@dataclass(frozen=True, slots=True)
class ConsensusSettings:
    """All nodes of a cluster should have the same. Times are in seconds, sizes in bytes.

    A leader that vanishes silently is replaced after `election_max` plus a poll and a vote, so within 2 s; one
    whose connections break (a killed process) within half a second. `election_min` is eight heartbeats: stalls
    of a busy machine that are shorter do not cost a leader, and `leader_fallback` is above `election_max`, so
    that a leader that is cut off steps down when its successor is there, not before.
    """

    heartbeat: float = 0.1
    election_min: float = 0.8
    election_max: float = 1.6
    leader_fallback: float = 2.0
    disk_patience: float = 3.0
    """A node whose journal takes longer than this for a sync leads no more and does not stand for election."""

    max_command: int = 512 * KIB
    """A larger command is refused: half of `append_bytes`, far from where pysyncobj would split an entry."""
    append_bytes: int = MIB
    """Entries of one append; the last one may go over it."""
    append_entries: int = 16_384
    """Entries of one append, so that a message of many tiny ones stays small, too."""
    batch_operations: int = 100
    batch_bytes: int = 256 * KIB
    batch_weight: int = 1_000
    """Bounds of what becomes one log entry (a single larger operation is an entry of its own). An entry is applied in
    one turn of the loop: a hundred operations take some ten milliseconds, and what weighs 1,000 takes twenty."""
    batches: int = 4
    """Proposals of one node under way at a time."""
    max_operations: int = 8192
    max_bytes: int = 32 * MIB
    """Bounds of what is accepted and not yet answered; further callers wait."""
    max_spread: int = 32_768
    """No new operation begins that is so many after the oldest one under way."""
    attempt: float = 1.0
    """After this long without an answer a proposal is made again."""
    retry: float = 0.05
    """Wait after a refusal (no leader known, queue full) before the next attempt."""

    apply_slice: float = 0.005
    """After so long no further entry is applied in a turn of the loop."""
    read_attempt: float = 0.5

    compact_entries: int = _LOG.log_entries - _LOG.retained
    compact_bytes: int = _LOG.log_bytes
    """The log is compacted when it holds so many entries more than are retained, or so many bytes; of the
    bytes half are retained at most."""
    retain_entries: int = _LOG.retained
    """Applied entries that stay, for followers that were away shortly; fewer when they are large."""
    compact_interval: float = 1.0

    snapshot_piece: int = _LOG.snapshot_piece
    snapshot_keep: float = 60.0
    """A snapshot that nobody has read for this long is removed."""
    snapshot_call: float = 10.0
    snapshot_retry: float = 1.0
    """Wait after a failed attempt to fetch one."""

    @classmethod
    def bounded(cls, log: RaftLogSettings) -> ConsensusSettings:
        """Return the defaults but for how much of the log is kept."""
        return cls(
            retain_entries=log.retained,
            compact_entries=log.log_entries - log.retained,
            compact_bytes=log.log_bytes,
            snapshot_piece=log.snapshot_piece,
        )

    @property
    def segment_bytes(self) -> int:
        """Size of the journal's files, of which only whole ones are removed, so that disk follows the bound."""
        return min(64 * MIB, max(64 * KIB, self.compact_bytes // 4))
