"""How the cluster is, and how one node is."""

from __future__ import annotations

from raftstore.cluster.calls.context import NodeContext
from raftstore.cluster.status.convert import cluster_to_wire
from raftstore.peers import Peer
from raftstore.peers.calls import admin_call, node_call
from raftstore.wire import admin_pb2 as admin

MAX_SHORT = 1_000
"""Names of pictures with too few copies that a status tells: each is looked up, some ten microseconds of the loop."""


@admin_call("admin.status", admin.StatusRequest, admin.ClusterStatus, changes=False)
async def status(node: NodeContext, request: admin.StatusRequest) -> admin.ClusterStatus:
    """Tell the cluster's status, gathered from all nodes."""
    return cluster_to_wire(await node.status(min(request.short_limit or 100, MAX_SHORT)))


@node_call("admin.node", admin.NodeRequest, admin.NodeReport, admins=True)
async def node_report(node: NodeContext, request: admin.NodeRequest, peer: Peer) -> admin.NodeReport:
    """Tell what this node knows by itself, also about the one that asks. Each node asks each about once a second."""
    return node.report(peer.name, request)
