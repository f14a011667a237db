"""Status and users between plain values and the admin messages."""

from __future__ import annotations

from raftstore.types import ClientFigure, ClusterStatus, LoopStatus, NodeStatus, Usage, User
from raftstore.wire import admin_pb2 as admin

_OPTIONAL = (
    *("term", "commit_index", "applied_index", "lag"),
    *("pictures", "bytes", "free_disk", "reclaimable", "quarantined", "oldest", "newest", "level"),
)


def node_to_wire(node: NodeStatus) -> admin.NodeStatus:
    """Encode one node's status; what is None stays absent."""
    message = admin.NodeStatus(
        name=node.name,
        address=node.address,
        role=node.role,
        voter=node.voter,
        reachable=node.reachable,
        error=node.error,
        zone=node.zone,
        drain=node.drain,
        services=node.services,
        program=node.program,
        certificates=node.certificates,
        maintenance=node.maintenance,
    )
    for field in _OPTIONAL:
        value = getattr(node, field)
        if value is not None:
            setattr(message, field, value)
    if node.loop is not None:
        message.loop.CopyFrom(_loop_to_wire(node.loop))
    for resource, figure in node.clients.items():
        # Not asdict, here and there: every node says this to every other once a second.
        message.clients[resource].CopyFrom(
            admin.ClientFigure(used=figure.used, peak=figure.peak, limit=figure.limit, refused=figure.refused)
        )
    return message


def _loop_to_wire(loop: LoopStatus) -> admin.LoopStatus:
    return admin.LoopStatus(
        threshold=loop.threshold,
        probes=loop.probes,
        stalls=loop.stalls,
        longest=loop.longest,
        longest_cpu=loop.longest_cpu,
        classes=loop.classes,
    )


def node_from_wire(message: admin.NodeStatus) -> NodeStatus:
    """Decode one node's status."""
    node = NodeStatus(
        name=message.name,
        address=message.address,
        role=message.role,
        voter=message.voter,
        reachable=message.reachable,
        error=message.error,
        zone=message.zone,
        drain=message.drain,
        services=dict(sorted(message.services.items())),
        program=message.program,
        certificates=dict(sorted(message.certificates.items())),
        maintenance=message.maintenance,
        clients={
            resource: ClientFigure(figure.used, figure.peak, figure.limit, figure.refused)
            for resource, figure in sorted(message.clients.items())
        },
    )
    for field in _OPTIONAL:
        if message.HasField(field):
            setattr(node, field, getattr(message, field))
    if message.HasField("loop"):
        loop = message.loop
        node.loop = LoopStatus(
            loop.threshold, loop.probes, loop.stalls, loop.longest, loop.longest_cpu, list(loop.classes)
        )
    return node


def cluster_to_wire(status: ClusterStatus) -> admin.ClusterStatus:
    """Encode the cluster's status."""
    return admin.ClusterStatus(
        verdict=status.verdict,
        asked=status.asked,
        leader=status.leader or "",
        term=status.term,
        nodes=[node_to_wire(node) for node in status.nodes],
        files=status.files,
        bytes=status.bytes,
        short=status.short,
        short_count=status.short_count,
        lost_count=status.lost_count,
        partials=status.partials,
        partial_bytes=status.partial_bytes,
        error=status.error,
    )


def user_to_wire(user: User, used: Usage) -> admin.User:
    """Encode an account without its password hash: hashes do not leave the cluster."""
    return admin.User(
        name=user.name,
        home=user.home,
        rights=user.rights,
        quota_bytes=user.quota_bytes,
        quota_files=user.quota_files,
        disabled=user.disabled,
        used_bytes=used.bytes,
        used_files=used.files,
        replicas=user.replicas,
        rules=[admin.Rule(path=rule.path, rights=rule.rights) for rule in user.rules],
        authorized_keys=user.authorized_keys,
        upload_rate=user.upload_rate,
        download_rate=user.download_rate,
        max_sessions=user.max_sessions,
        person=user.person,
        expires_ns=user.expires_ns,
        inbox_bytes=user.inbox_bytes,
        inbox_files=user.inbox_files,
        sender_bytes=user.sender_bytes,
        sender_files=user.sender_files,
        trash_ns=user.trash_ns,
    )
