"""One node: a store and its front-ends in one process, from configuration to clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog

from ftpgateway.access import Access, AccessSettings
from ftpgateway.access.ledger import LedgerLimits, Limits
from ftpgateway.ftp.server import FtpFrontend, FtpSettings
from ftpgateway.node.config import ClientsConfig, ConfigError, NodeConfig
from ftpgateway.node.memory import freeze_start, of_machine
from ftpgateway.node.systemd import keep_alive, notify
from ftpgateway.serving.clientlines import ClientLines
from ftpgateway.serving.logfile import AppendedFile
from ftpgateway.serving.transferlog import TransferLog
from ftpgateway.sftp.frontend import SftpFrontend
from ftpgateway.sftp.hostkeys import host_keys, rotate_host_keys
from ftpgateway.sftp.settings import SftpSettings
from raftstore.cluster.settings import JobsSettings, StoreSettings
from raftstore.consensus import ConsensusSettings
from raftstore.errors import Damaged, Invalid, Removed, StoreError, Superseded, TooNew
from raftstore.peers.security.pki import Identity
from raftstore.store.facade import Store
from raftstore.store.transfers.spool import SpoolLedger, Spools
from raftstore.util import tasks
from raftstore.util.addresses import Address

log = structlog.get_logger()

STOP_GRACE = 5.0
"""Seconds that transfers under way have to end when the node is asked to stop."""

SUMMARY_PERIOD = 60.0
"""Seconds between two summaries of what was left out of the log."""

LEAST_MEMORY = 128 * 1024 * 1024
"""Bytes for clients on however small a machine."""

EXIT_FATAL = 4
"""Exit code of a node that stopped because it could no longer keep its promises."""


async def run_node(
    config: NodeConfig, log_file: AppendedFile | None = None, client_lines: ClientLines | None = None
) -> int:
    """Run a node until SIGTERM or SIGINT (exit code 0) or a fatal error (EXIT_FATAL).

    At SIGHUP, `log_file` (where the log goes) and the log of transfers are opened anew. `client_lines` tells now and
    then which lines of the log were left out. Raises StoreError when it cannot start from what is on disk, OSError
    when an address is taken.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[BaseException | None] = loop.create_future()

    def end(reason: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(reason)

    files = [] if log_file is None else [log_file]
    transfers = None
    if config.log.transfers is not None:
        files.append(AppendedFile(config.log.transfers))
        transfers = TransferLog(files[-1])

    def reopen() -> None:
        for file in files:
            file.reopen()

    handlers = {signal.SIGTERM: lambda: end(None), signal.SIGINT: lambda: end(None)}
    if sys.stdin is None or not sys.stdin.isatty():  # there, it says that the terminal is gone
        handlers[signal.SIGHUP] = reopen
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    beating = asyncio.create_task(keep_alive(), name="watchdog")
    telling = asyncio.create_task(_tell(client_lines), name="lines left out")
    try:
        reason = await _until_ended(config, transfers, ended, end)
    finally:
        beating.cancel()
        await tasks.cancel_and_wait(telling)
        for number in handlers:
            loop.remove_signal_handler(number)
        if transfers is not None:
            transfers.close()
    if reason is None:
        log.info("node stopped", node=config.name)
        return 0
    if isinstance(reason, Removed):
        log.warning("node stopped: it was removed from the cluster", node=config.name, reason=reason.detail)
        return reason.exit_code
    if isinstance(reason, TooNew):
        log.error("node stopped: a newer version of pixraft is needed", node=config.name, reason=reason.detail)
        return reason.exit_code
    if isinstance(reason, Superseded):
        log.error("node stopped: its data are not its newest", node=config.name, reason=reason.detail)
        return reason.exit_code
    log.error("node stopped: it could no longer keep its promises", node=config.name, error=str(reason))
    return reason.exit_code if isinstance(reason, StoreError) else EXIT_FATAL


async def _tell(lines: ClientLines | None) -> None:
    """Say every SUMMARY_PERIOD, and at the end, which lines were left out."""
    if lines is None:
        return
    try:
        while True:
            await asyncio.sleep(SUMMARY_PERIOD)
            lines.summary()
    finally:
        lines.summary()


async def _until_ended(
    config: NodeConfig,
    transfers: TransferLog | None,
    ended: asyncio.Future[BaseException | None],
    end: Callable[[BaseException | None], None],
) -> BaseException | None:
    """Serve until `ended` tells why to stop. A start that waits for the other members is broken off then."""
    ready = False

    async def serve() -> None:
        nonlocal ready
        notify("STATUS=starting: reads its data, then waits for a majority of the cluster")
        async with _serving(config, transfers, end):
            ready = True
            freeze_start()
            notify("READY=1", f"STATUS=serves FTP on {config.ftp.listen}")
            await asyncio.wait([ended])
            notify("STOPPING=1", "STATUS=stopping: transfers under way end")

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
async def _serving(
    config: NodeConfig, transfers: TransferLog | None, on_fatal: Callable[[BaseException], None]
) -> AsyncIterator[None]:
    store = await Store.open(store_settings(config), on_fatal)
    try:
        access = Access(store, access_settings(config))
        access.start()
        store.report_clients(access.ledger.figures)
        try:
            async with _frontends(config, store, access, transfers):
                yield
        finally:
            access.stop()
    finally:
        await store.stop()


@contextlib.asynccontextmanager
async def _frontends(
    config: NodeConfig, store: Store, access: Access, transfers: TransferLog | None
) -> AsyncIterator[None]:
    wanted: list[FtpFrontend | SftpFrontend] = [FtpFrontend(access, ftp_settings(config), transfers=transfers)]
    sftp = sftp_settings(config)
    spools = Spools(config.data / "spool", SpoolLedger(store.free_space))
    if sftp is not None:
        wanted.append(SftpFrontend(store, access, sftp, spools, transfers=transfers))
    store.answer((host_keys, rotate_host_keys), store)
    started = []
    try:
        for frontend in wanted:
            await frontend.start()
            started.append(frontend)
        log.info(
            "node ready",
            node=config.name,
            ftp=str(config.ftp.listen),
            sftp=str(config.sftp.listen or "off"),
            peers=str(config.peers.listen),
        )
        yield
    finally:
        await asyncio.gather(*(frontend.stop(STOP_GRACE) for frontend in started))
        spools.close()


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
        ballast_bytes=config.ballast_bytes,
        services=services(config),
        stall_threshold=config.log.stalls / 1000,
        jobs=JobsSettings(
            concurrency=config.jobs.concurrency,
            bandwidth=config.jobs.bandwidth,
            repair_after=config.jobs.repair_after,
            scrub_period=config.jobs.scrub_period,
            collect_grace=config.jobs.collect_grace,
            keep_partials=config.jobs.keep_partials,
        ),
    )


def services(config: NodeConfig) -> dict[str, Address]:
    """Return what clients can connect to, and where it listens."""
    wanted = {"ftp": config.ftp.listen, "ftps": config.ftp.implicit_tls_listen, "sftp": config.sftp.listen}
    return {name: address for name, address in wanted.items() if address is not None}


def ftp_settings(config: NodeConfig) -> FtpSettings:
    """Return what the FTP front-end must be told."""
    return FtpSettings(
        listen=config.ftp.listen,
        passive_ports=config.ftp.passive_ports,
        masquerade_address=config.ftp.masquerade_address or None,
        certificate=config.ftp.tls_certificate,
        implicit_tls_listen=config.ftp.implicit_tls_listen,
        require_tls=config.ftp.require_tls,
        require_tls_reuse=config.ftp.require_tls_reuse,
        active_mode=config.ftp.active_mode,
        idle_timeout=config.ftp.idle_timeout,
        login_timeout=config.ftp.login_timeout,
        handshake_timeout=config.ftp.handshake_timeout,
        data_timeout=config.ftp.data_timeout,
        stall_timeout=config.ftp.stall_timeout,
        max_sessions=config.ftp.max_sessions,
        max_sessions_per_address=config.ftp.max_sessions_per_address,
        max_logging_in=config.ftp.max_logging_in,
        proxy_networks=config.clients.proxy_networks,
    )


def access_settings(config: NodeConfig) -> AccessSettings:
    """Return what must be told about logins."""
    return AccessSettings(
        anonymous_root=config.ftp.anonymous_root if config.ftp.anonymous else None,
        ledger=ledger_limits(config.clients, config.ftp.passive_ports),
    )


def ledger_limits(clients: ClientsConfig, passive_ports: tuple[int, int] | None) -> LedgerLimits:
    """Return what clients may hold at once; of the passive ports an account has at most half."""
    ports = passive_ports[1] - passive_ports[0] + 1 if passive_ports is not None else 0
    memory = clients.memory or max(LEAST_MEMORY, of_machine() // 4)
    return LedgerLimits(
        node=Limits(memory=memory, handles=clients.handles, names=clients.names),
        account=Limits(
            memory=clients.memory_per_account or memory // 4,
            handles=max(1, clients.handles // 10),
            names=max(1, clients.names // 5),
            connections=clients.connections_per_account,
            ports=-(-ports // 2),
        ),
        network=Limits(
            memory=clients.memory_per_address or memory // 2,
            handles=max(1, clients.handles // 4),
            names=max(1, clients.names // 2),
            connections=clients.connections_per_address,
            ports=-(-ports * 3 // 4),
        ),
    )


def sftp_settings(config: NodeConfig) -> SftpSettings | None:
    """Return what the SFTP front-end must be told; None: there is none."""
    sftp = config.sftp
    if sftp.listen is None:
        return None
    return SftpSettings(
        listen=sftp.listen,
        workers=sftp.workers,
        idle_timeout=sftp.idle_timeout,
        login_timeout=sftp.login_timeout,
        max_login_attempts=sftp.max_login_attempts,
        max_sessions=sftp.max_sessions,
        max_sessions_per_address=sftp.max_sessions_per_address,
        max_logging_in=sftp.max_logging_in,
        proxy_networks=config.clients.proxy_networks,
        legacy_algorithms=sftp.legacy_algorithms,
    )
