"""Remove backups that a policy does not keep, and objects that no backup refers to. Blocking."""

from __future__ import annotations

from dataclasses import dataclass

from ftpgateway.backup.manifest import Manifest
from ftpgateway.backup.policy import Policy, kept
from ftpgateway.backup.repository import Lock, Report, Repository, object_place
from ftpgateway.backup.verifying import catalog_of
from raftstore.errors import Damaged

TOGETHER = 64
"""Objects that are removed before the lock is looked at and renewed again."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or would be: backups, and objects with their bytes. `kept` stays."""

    kept: list[Manifest]
    removed: list[Manifest]
    objects: int
    bytes: int


def prune(repository: Repository, policy: Policy, report: Report, *, dry_run: bool = False) -> Pruned:
    """Prune. Raises Unavailable while a backup is made, Damaged when a backup that is to stay cannot be read.

    Manifests go first: a backup of which some objects are gone is never listed.
    """
    lock = repository.lock("prune", ("create", "prune"))
    try:
        return _prune(repository, policy, report, lock, dry_run)
    finally:
        lock.release()


def _prune(repository: Repository, policy: Policy, report: Report, lock: Lock, dry_run: bool) -> Pruned:
    found = repository.manifests()
    for one in found:
        if one.manifest is None:
            # What it refers to is not known: nothing may go.
            raise Damaged(f"{one.place}: {one.error}; remove that file if the backup is given up")
    places = {one.place: one.manifest for one in found if one.manifest is not None}
    staying = kept(policy, [(place, manifest.time_ns) for place, manifest in places.items()])
    keep = [manifest for place, manifest in places.items() if place in staying]
    gone = [(place, manifest) for place, manifest in places.items() if place not in staying]
    needed: set[str] = set()
    for number, manifest in enumerate(keep):
        report("backups read", number, len(keep))
        lock.renew()
        needed |= {repository.block_name(bytes.fromhex(digest)) for digest in manifest.blocks}
        with catalog_of(repository, manifest) as catalog:
            needed |= {repository.chunk_name(ref.digest) for ref in catalog.chunks()}
    unneeded = [(name, size) for name, size in repository.objects() if name not in needed]
    if not dry_run:
        lock.renew()
        for place, _ in gone:
            repository.target.remove(place)
        for number in range(0, len(unneeded), TOGETHER):
            lock.renew()
            for name, _ in unneeded[number : number + TOGETHER]:
                repository.target.remove(object_place(name))
            report("objects removed", number, len(unneeded))
        repository.target.tidy()
    size = sum(size for _, size in unneeded)
    return Pruned(keep, [manifest for _, manifest in gone], len(unneeded), size)
