"""A node's own certificate: to be shown to who makes another, and to be replaced while the node runs.

The key stays where it is, and the same: an admin who has the authority's key signs a new certificate for it.
"""

from __future__ import annotations

from raftstore.cluster.calls.context import NodeContext
from raftstore.peers.calls import admin_call
from raftstore.wire import admin_pb2 as admin


@admin_call("admin.certificate", admin.CertificateRequest, admin.Certificate, changes=False)
async def show_certificate(node: NodeContext, _request: admin.CertificateRequest) -> admin.Certificate:
    """Tell the certificate that the asked node shows."""
    return admin.Certificate(pem=node.network.identity.certificate)


@admin_call("admin.certificate_renew", admin.Certificate, admin.CertificateReply, changes=True)
async def renew_certificate(node: NodeContext, request: admin.Certificate) -> admin.CertificateReply:
    """Take another certificate into use at the asked node. Raises Invalid, DiskFailed, NoQuorum, OutcomeUnknown."""
    await node.renew(request.pem)
    return admin.CertificateReply()
