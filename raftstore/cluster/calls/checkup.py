"""What a node finds on its machine, and whether it reaches the others: for `pixraft doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from raftstore.cluster.calls.context import NodeContext
from raftstore.errors import Invalid
from raftstore.peers import Peer
from raftstore.peers.calls import node_call
from raftstore.types import NodeStatus
from raftstore.util import machine
from raftstore.util.addresses import Address
from raftstore.wire import admin_pb2 as admin

CONNECT = 2.0
"""Seconds that another node's port has to accept a connection."""


@node_call("admin.checkup", admin.CheckupRequest, admin.Checkup, admins=True)
async def checkup(node: NodeContext, _request: admin.CheckupRequest, peer: Peer) -> admin.Checkup:
    """Tell of disk, limits and reachability. Writes a few blocks, and connects to the ports of the other nodes."""
    settings = node.settings
    found = admin.Checkup(data=str(settings.data), disk_reserve=settings.reserve, backlog=machine.backlog())
    disk = machine.disk_of(settings.data)
    found.disk_bytes, found.disk_free, found.files_total, found.files_free = disk
    found.descriptors, found.descriptors_used = machine.own_descriptors()
    try:
        found.sync_seconds = await asyncio.get_running_loop().run_in_executor(
            None, machine.sync_seconds, settings.data
        )
    except OSError as error:
        found.sync_error = error.strerror or str(error)
    others = [each for each in (await node.health.gather()).nodes if each.name != settings.name]
    found.reached.extend(await _reached(others))
    found.report.CopyFrom(node.report(peer.name, admin.NodeRequest()))  # last: it has the time
    return found


async def _reached(nodes: Iterable[NodeStatus]) -> list[admin.Reached]:
    """Try the ports of other nodes: whether they talk to this one the status tells already."""
    found, tried = [], []
    for each in nodes:
        error = "" if each.reachable else each.error or "cannot be reached"
        found.append(admin.Reached(node=each.name, service="peers", address=each.address, error=error))
        tried += [
            admin.Reached(node=each.name, service=service, address=address)
            for service, address in each.services.items()
        ]
    await asyncio.gather(*(_try(one) for one in tried))
    return found + tried


async def _try(one: admin.Reached) -> None:
    try:
        address = Address.parse(one.address)
        async with asyncio.timeout(CONNECT):
            _, writer = await asyncio.open_connection(*address)
    except TimeoutError:
        one.error = f"does not answer within {CONNECT:g} s"
    except (OSError, Invalid, ValueError) as error:
        one.error = getattr(error, "strerror", None) or str(error)
    else:
        writer.close()
