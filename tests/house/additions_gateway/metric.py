"""A metric, where it is counted."""

from __future__ import annotations

from raftstore.util.metrics import counter


class Visits:
    """Counts who has come to the page."""

    def __init__(self) -> None:
        self.number = 0

    @counter("pixraft_page_visits_total", "Visits of the page since the node's start.")
    def total(self) -> float:
        """How many there were."""
        return self.number
