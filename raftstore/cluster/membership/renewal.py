"""Another certificate for a node that runs.

Where the cluster knows the only certificate that a member may show (one that came by a token), it must know the new
one first: the members let in both from then on (`Configuration.with_certificate`). Who has not heard of that yet would
refuse the node; it hears of newer configurations from every other member.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from raftstore.cluster.membership.roster import Roster
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import DiskFailed, Invalid, OutcomeUnknown
from raftstore.metadata.tables.cluster.intents import ID_SIZE
from raftstore.peers.network import PeerNetwork
from raftstore.util.disk import RealDisk, replace_file
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

LEVEL = 3
"""From which on a member can have two certificates."""
KNOWN_WITHIN = 20.0

Intent = commands.Intent


class Wishes(Protocol):
    """Takes what is wanted of the membership (`Membership`)."""

    roster: Roster

    async def intend(self, intent: Intent) -> None:
        """See `Membership.intend`."""
        ...

    async def until(self, agreed: Callable[[Configuration], bool]) -> None:
        """See `Membership.until`."""
        ...


class Renewal:
    """Takes another certificate into use: for new connections, those that there are go on."""

    def __init__(self, network: PeerNetwork, membership: Wishes, file: Path) -> None:
        """`file` is where the node's certificate is read from at its start."""
        self._network = network
        self._membership = membership
        self._file = file
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, pem: bytes, level: int) -> None:
        """Take it; `level` is the one in force.

        Raises Invalid for one that does not fit, DiskFailed when it cannot be written, NoQuorum, OutcomeUnknown.
        """
        async with self._one_at_a_time:
            identity = self._network.identity.renewed(pem)
            await self._make_known(identity.certificate, level)
            try:
                replace_file(RealDisk(), self._file, identity.certificate)
            except OSError as error:
                raise DiskFailed(f"cannot write {self._file}: {error.strerror}") from None
            self._network.renew(identity)
            log.info("the certificate of this node was renewed", file=str(self._file))

    async def _make_known(self, pem: bytes, level: int) -> None:
        name = self._network.name
        fingerprint = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256())
        known = self._membership.roster.committed[1].by_name[name].certificates
        if not known or fingerprint in known:
            return
        if level < LEVEL:
            raise Invalid(
                f"{name} came by a token, so that the cluster knows its certificate: it can be renewed when the "
                "cluster is upgraded, see `pixraft upgrade`"
            )
        intent = Intent(id=secrets.token_bytes(ID_SIZE), kind=Intent.RENEW, node=name, certificate=fingerprint)
        await self._membership.intend(intent)
        try:
            async with asyncio.timeout(KNOWN_WITHIN):
                await self._membership.until(lambda agreed: fingerprint in agreed.by_name[name].certificates)
        except TimeoutError:
            raise OutcomeUnknown(
                f"the members have not agreed on the new certificate of {name} within {KNOWN_WITHIN:g} s; the node "
                "goes on with the old one: try again"
            ) from None
