"""One node: a store and its front-ends in one process, from configuration to clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog

from ftpgateway.config import ConfigError, NodeConfig
from ftpgateway.ftp.server import FtpFrontend, FtpSettings
from raftstore.consensus import ConsensusSettings
from raftstore.errors import Damaged, Invalid, Removed, StoreError
from raftstore.peers.pki import Identity
from raftstore.settings import JobsSettings, StoreSettings
from raftstore.store import Store

log = structlog.get_logger()

STOP_GRACE = 5.0
"""Seconds that transfers under way have to end when the node is asked to stop."""

EXIT_FATAL = 4
"""Exit code of a node that stopped because it could no longer keep its promises."""


async def run_node(config: NodeConfig) -> int:
    """Run a node until SIGTERM or SIGINT (exit code 0) or a fatal error (EXIT_FATAL).

    Raises StoreError when it cannot start from what is on disk, OSError when an address is taken.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[BaseException | None] = loop.create_future()

    def end(reason: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(reason)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, None)
    try:
        reason = await _until_ended(config, ended, end)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    if reason is None:
        log.info("node stopped", node=config.name)
        return 0
    if isinstance(reason, Removed):
        log.warning("node stopped: it was removed from the cluster", node=config.name, reason=reason.detail)
        return reason.exit_code
    log.error("node stopped: it could no longer keep its promises", node=config.name, error=str(reason))
    return reason.exit_code if isinstance(reason, StoreError) else EXIT_FATAL


async def _until_ended(
    config: NodeConfig, ended: asyncio.Future[BaseException | None], end: Callable[[BaseException | None], None]
) -> BaseException | None:
    """Serve until `ended` tells why to stop. A start that waits for the other members is broken off then."""
    ready = False

    async def serve() -> None:
        nonlocal ready
        async with _serving(config, end):
            ready = True
            notify("READY=1")
            await asyncio.wait([ended])
            notify("STOPPING=1")

    serving = asyncio.create_task(serve(), name="node")
    try:
        either: list[asyncio.Future[Any]] = [serving, ended]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not ready:
            serving.cancel()
        await asyncio.wait([serving])
    except asyncio.CancelledError:
        serving.cancel()
        await asyncio.wait([serving])
        raise
    if not serving.cancelled():
        serving.result()
    return ended.result()


@contextlib.asynccontextmanager
async def _serving(config: NodeConfig, on_fatal: Callable[[BaseException], None]) -> AsyncIterator[None]:
    store = Store(store_settings(config), on_fatal)
    await store.start()
    try:
        frontend = FtpFrontend(store, ftp_settings(config))
        await frontend.start()
        try:
            log.info("node ready", node=config.name, ftp=str(config.ftp.listen), peers=str(config.peers.listen))
            yield
        finally:
            await frontend.stop(STOP_GRACE)
    finally:
        await store.stop()


def store_settings(config: NodeConfig) -> StoreSettings:
    """Return what the store must be told. Raises ConfigError when the certificate cannot be used for this node."""
    peers = config.peers
    try:
        identity = Identity.load(peers.ca, peers.certificate, peers.key)
    except (Invalid, Damaged) as error:
        raise ConfigError(f"{error.detail}; copy it again from what `pixraft init` made") from None
    if identity.name != config.name:
        raise ConfigError(
            f"{config.source}: node.name is {config.name!r}, but {peers.certificate} was issued for {identity.name!r}; "
            "correct the name, or copy that node's own directory again"
        )
    return StoreSettings(
        name=config.name,
        data=config.data,
        listen=config.peers.listen,
        members=config.cluster.addresses(),
        identity=identity,
        zone=config.zone,
        replicas=config.cluster.replicas,
        encryption="bulk-auth" if config.peers.encryption == "bulk-auth" else "full",
        consensus=ConsensusSettings.bounded(
            log_entries=config.consensus.log_entries,
            log_bytes=config.consensus.log_bytes,
            snapshot_piece=config.consensus.snapshot_piece,
        ),
        volume_bytes=config.chunks.volume_bytes,
        jobs=JobsSettings(
            concurrency=config.jobs.concurrency,
            bandwidth=config.jobs.bandwidth,
            repair_after=config.jobs.repair_after,
            scrub_period=config.jobs.scrub_period,
            collect_grace=config.jobs.collect_grace,
        ),
    )


def ftp_settings(config: NodeConfig) -> FtpSettings:
    """Return what the FTP front-end must be told."""
    return FtpSettings(
        listen=config.ftp.listen,
        passive_ports=config.ftp.passive_ports,
        masquerade_address=config.ftp.masquerade_address or None,
        certificate=config.ftp.tls_certificate,
        require_tls=config.ftp.require_tls,
        idle_timeout=config.ftp.idle_timeout,
        max_sessions=config.ftp.max_sessions,
    )


def notify(state: str) -> None:
    """Tell systemd how the node is, where it listens for that (sd_notify(3)); otherwise do nothing."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link, contextlib.suppress(OSError):
        link.sendto(state.encode(), address)
