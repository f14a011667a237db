"""The command by which a store gives up copies that are more than wanted; `surplus` has the rule."""

from __future__ import annotations

from raftstore.metadata.refusal import Refusal
from raftstore.metadata.tables.contents import Contents
from raftstore.metadata.tables.intents import Intents
from raftstore.metadata.tables.jobs import Jobs, draining
from raftstore.metadata.tables.stores import Stores
from raftstore.types import Wanted
from raftstore.wire import commands_pb2 as commands


class Drops:
    """Applies DropReplicas."""

    def __init__(self, jobs: Jobs, intents: Intents, stores: Stores, contents: Contents) -> None:
        self._jobs = jobs
        self._intents = intents
        self._stores = stores
        self._contents = contents

    def apply(self, command: commands.DropReplicas, index: int, time_ns: int) -> None:
        """Drop what may be dropped at log `index`. Refuses with CHANGED, NOT_FOUND (the job), INVALID."""
        job = self._jobs.held(command.job, command.node, command.boot, time_ns)
        if job.kind != commands.Job.TRIM or not self._stores.belongs(command.store, job.node):
            raise Refusal(commands.INVALID, "a node drops copies of its own, by a job of that kind")
        zones = self._stores.zones(self._intents.staying() - draining(self._jobs.list()))
        for number in job.without:
            zones.pop(number, None)
        # Rather too many copies than too few: whoever is to leave is counted here.
        members = max(1, len(self._intents.members))
        wanted = Wanted(max(1, min(job.replicas, members)), members)
        if self._contents.drop(command.store, command.drops, zones, wanted):
            self._stores.sweep(command.store, index)
