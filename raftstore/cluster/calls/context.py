"""What a running node offers to the functions that answer calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raftstore.wire import admin_pb2 as admin

if TYPE_CHECKING:
    from raftstore.cluster.accounts import Accounts
    from raftstore.cluster.auditing import AuditFeed
    from raftstore.cluster.backups import Backups
    from raftstore.cluster.events import EventFeed
    from raftstore.cluster.jobs.background import BackgroundJobs
    from raftstore.cluster.maintenance import MaintenanceCalls
    from raftstore.cluster.membership.service import Membership
    from raftstore.cluster.people import People
    from raftstore.cluster.proposals import Barrier, Propose
    from raftstore.cluster.retention import RetentionCalls
    from raftstore.cluster.settings import StoreSettings
    from raftstore.cluster.status.health import Health
    from raftstore.cluster.trash import TrashCalls
    from raftstore.cluster.webhooks.sending import WebhookWork
    from raftstore.metadata import Catalog
    from raftstore.peers import PeerNetwork
    from raftstore.types import ClusterStatus


@dataclass(frozen=True, slots=True)
class NodeContext:
    """The parts of a node; a call may come before it takes part in consensus. `renew` takes another certificate.

    `leader` names the leader that it follows, `jobs` raises NoQuorum until there are any. `status` tells the cluster's
    status with at most so many names; `report` what the node says of itself to one that asks.
    """

    settings: StoreSettings
    catalog: Catalog
    propose: Propose
    barrier: Barrier
    network: PeerNetwork
    accounts: Accounts
    people: People
    events: EventFeed
    audit: AuditFeed
    webhooks: WebhookWork
    trash: TrashCalls
    retention: RetentionCalls
    renew: Callable[[bytes], Awaitable[None]]
    maintenance: MaintenanceCalls
    backups: Backups
    membership: Membership
    health: Health
    leader: Callable[[], str | None]
    jobs: Callable[[], BackgroundJobs]
    status: Callable[[int], Awaitable[ClusterStatus]]
    report: Callable[[str, admin.NodeRequest], admin.NodeReport]
