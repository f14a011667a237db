"""What the loop and its worker do with a journal, in one thread."""

from __future__ import annotations

from raftstore.consensus.log.journal import Journal
from raftstore.util.disk import DiskFile


def sync_written(journal: Journal, file: DiskFile) -> None:
    """Sync what `Journal.write` has written, and tell the journal how it went."""
    failure = None
    try:
        file.datasync()
    except OSError as error:
        failure = error
    journal.synced(failure)
