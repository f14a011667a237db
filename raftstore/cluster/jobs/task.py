"""A job that is being done: how far it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from raftstore.cluster.jobs.counters import JobCounter
from raftstore.wire import commands_pb2 as commands

Job = commands.Job
OPEN = (Job.WAITING, Job.RUNNING)
"""States of a job that is not over."""


@dataclass(slots=True)
class Task:
    """How far a job is: what does it writes it, the worker reports it.

    `place`, a volume and an offset, is for whoever goes on with the job after this node's next start.
    """

    done: int = 0
    total: int = 0
    unit: str = ""
    counts: dict[JobCounter, int] = field(default_factory=dict)
    place: tuple[int, int] = (0, 0)

    def reached(self, done: int, total: int) -> None:
        """Note how much of how much is done."""
        self.done, self.total = done, total

    def named_counts(self) -> dict[str, int]:
        """Return the counts by their names."""
        return {counter.value: value for counter, value in self.counts.items()}

    def progress(self) -> commands.Progress:
        """Return it as a message."""
        counts = [commands.Count(name=name, value=value) for name, value in self.named_counts().items()]
        volume, offset = self.place
        return commands.Progress(
            done=self.done, total=self.total, unit=self.unit, counts=counts, volume=volume, offset=offset
        )


Handler = Callable[[Job, Task], Awaitable[None]]
"""Does a job; raises StoreError when it cannot. It is cancelled when the job is not this node's any more."""
