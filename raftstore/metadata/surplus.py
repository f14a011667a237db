"""When a store may give up its copy of a chunk. Decided where the command is applied, by the state of that moment: so
two stores never give up the same surplus, whatever either of them believed.

**Claim.** Where a drop is applied, the chunk has at least as many other copies as are wanted, on disks that are there
and stay, and is in no fewer failure zones than before, unless it is in as many zones as it has copies.

A copy counts when all of this holds: the catalog lists it now (who dropped theirs first is listed no more); its store
is the one that its node has now, and the node is a member and not to leave; the leader that made the job reached it;
and its store has just confirmed that it has the chunk. What the catalog lists its store does not remove
(`raftstore.cluster.replicas.collector`), so it does not matter how long ago that was. That a node may have died for
good meanwhile does: so who drops must hold the job, whose lease is short, and the leader cancels jobs in which a store
counts that it does not reach any more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping


def may_drop(
    store: int, listed: Collection[int], keepers: Collection[int], zones: Mapping[int, str], copies: int
) -> bool:
    """Whether `store`, among the `listed` ones, may give its copy up. Pure.

    `zones`: the failure zones of the stores that count. `keepers` have confirmed that they have the chunk.
    """
    if store not in listed:
        return False
    before = {zones[number] for number in listed if number in zones}
    left = [number for number in listed if number in keepers and number in zones and number != store]
    spread = len({zones[number] for number in left})
    return len(left) >= max(1, copies) and spread >= min(copies, len(before))
