"""One node: a store and its front-ends in one process, from configuration to clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import structlog

from ftpgateway.access.access import Access
from ftpgateway.access.settings import AccessSettings, ClientsSettings, PeopleSettings
from ftpgateway.node.config.errors import ConfigError
from ftpgateway.node.config.log import LogSettings
from ftpgateway.node.config.whole import NodeConfig
from ftpgateway.node.memory import freeze_start, of_machine
from ftpgateway.node.systemd import keep_alive, notify
from ftpgateway.serving.draining import Draining
from ftpgateway.serving.frontends import Frontend, FrontendContext
from ftpgateway.serving.logs.clientlines import ClientLines
from ftpgateway.serving.logs.logfile import AppendedFile
from ftpgateway.serving.logs.loglevel import LogLevel
from ftpgateway.serving.logs.loglevelcalls import LOG_LEVEL_CALLS
from ftpgateway.serving.logs.transferlog import TransferLog
from ftpgateway.serving.opensessions import SESSION_CALLS, OpenSessions
from ftpgateway.serving.transfercounts import TransferCounts
from raftstore.chunks.settings import ChunksSettings
from raftstore.cluster.settings import (
    AuditSettings,
    ClusterSettings,
    JobsSettings,
    NodeSettings,
    StoreSettings,
    WebhooksSettings,
)
from raftstore.consensus.settings import ConsensusSettings, RaftLogSettings
from raftstore.errors import Damaged, Invalid, Removed, StoreError, Superseded, TooNew
from raftstore.peers.security.pki import Identity
from raftstore.peers.settings import PeersSettings
from raftstore.store.facade import Store
from raftstore.store.transfers.spool import SpoolLedger, Spools
from raftstore.util import tasks
from raftstore.util.metrics import Metrics

log = structlog.get_logger()

STOP_GRACE = 5.0
"""Seconds that transfers under way have to end when the node is asked to stop."""

SUMMARY_PERIOD = 60.0
"""Seconds between two summaries of what was left out of the log."""

EXIT_FATAL = 4
"""Exit code of a node that stopped because it could no longer keep its promises."""


async def run_node(
    config: NodeConfig,
    log_file: AppendedFile | None = None,
    client_lines: ClientLines | None = None,
    log_level: LogLevel | None = None,
) -> int:
    """Run a node until SIGTERM or SIGINT (exit code 0) or a fatal error (EXIT_FATAL).

    At SIGHUP, `log_file` (where the log goes) and the log of transfers are opened anew. `client_lines` tells now and
    then which lines of the log were left out; `log_level` is what operators may change. Raises StoreError when it
    cannot start from what is on disk, OSError when an address is taken.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[BaseException | None] = loop.create_future()

    def end(reason: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(reason)

    files = [] if log_file is None else [log_file]
    transfers = None
    if (transfers_file := config[LogSettings].transfers) is not None:
        files.append(AppendedFile(transfers_file))
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
        reason = await _until_ended(config, transfers, log_level, ended, end)
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
    log_level: LogLevel | None,
    ended: asyncio.Future[BaseException | None],
    end: Callable[[BaseException | None], None],
) -> BaseException | None:
    """Serve until `ended` tells why to stop. A start that waits for the other members is broken off then."""
    ready = False

    async def serve() -> None:
        nonlocal ready
        notify("STATUS=starting: reads its data, then waits for a majority of the cluster")
        async with _serving(config, transfers, log_level, end):
            ready = True
            freeze_start()
            notify("READY=1", f"STATUS=serves {_served(config)}")
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
    config: NodeConfig,
    transfers: TransferLog | None,
    log_level: LogLevel | None,
    on_fatal: Callable[[BaseException], None],
) -> AsyncIterator[None]:
    metrics = Metrics()
    store = await Store.open(store_settings(config), on_fatal, metrics)
    try:
        access = Access(store, access_settings(config))
        access.start()
        store.report_clients(access.ledger.figures)
        if log_level is not None:
            store.answer(LOG_LEVEL_CALLS, log_level)
        access.meter(metrics)
        if transfers is not None:
            metrics.add(transfers)
        counts = TransferCounts(transfers)
        metrics.add(counts.uploads, direction="upload")
        metrics.add(counts.downloads, direction="download")
        try:
            async with _frontends(config, store, access, metrics, counts):
                yield
        finally:
            access.stop()
    finally:
        await store.stop()


@contextlib.asynccontextmanager
async def _frontends(
    config: NodeConfig, store: Store, access: Access, metrics: Metrics, transfers: TransferCounts
) -> AsyncIterator[None]:
    spools = Spools(config.data / "spool", SpoolLedger(store.free_space))
    sessions = OpenSessions(ended=transfers)
    store.answer(SESSION_CALLS, sessions)
    draining = Draining(sessions, store.maintenance)
    draining.start()
    context = FrontendContext(
        store,
        access,
        spools,
        metrics,
        transfers,
        checks=store.checks,
        proxy_networks=config[ClientsSettings].proxy_networks,
        sessions=sessions,
    )
    started: list[Frontend] = []
    try:
        for kind, section in config.each_frontend():
            kind.serve_calls(store)
            if (frontend := kind.build(context, section)) is not None:
                await frontend.start()
                started.append(frontend)
        for name, file in certificate_files(config):
            store.report_certificate(name, file.read_bytes)
        services = config.services()
        log.info(
            "node ready",
            node=config.name,
            **{kind.name: str(services.get(kind.name, "off")) for kind in config.frontends},
            peers=str(config[PeersSettings].listen),
        )
        yield
    finally:
        await draining.stop()
        await asyncio.gather(*(frontend.stop(STOP_GRACE) for frontend in started))
        spools.close()


def _served(config: NodeConfig) -> str:
    """Say what is served, and where."""
    return ", ".join(f"{name.upper()} on {address}" for name, address in config.services().items())


def certificate_files(config: NodeConfig) -> Iterator[tuple[str, Path]]:
    """Yield the certificates of the front-ends, by the name of the front-end."""
    for kind, section in config.each_frontend():
        for file in kind.private_files(section):
            if file.certificate:
                yield kind.name, file.path


def store_settings(config: NodeConfig) -> StoreSettings:
    """Return what the store must be told. Raises ConfigError when the certificate cannot be used for this node."""
    peers = config[PeersSettings]
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
        node=config[NodeSettings],
        peers=peers,
        cluster=config[ClusterSettings],
        identity=identity,
        chunks=config[ChunksSettings],
        consensus=ConsensusSettings.bounded(config[RaftLogSettings]),
        jobs=config[JobsSettings],
        audit=config[AuditSettings],
        webhooks=config[WebhooksSettings],
        services=config.services(for_clients=True),
        stall_threshold=config[LogSettings].stalls / 1000,
    )


def access_settings(config: NodeConfig) -> AccessSettings:
    """Return what must be told about logins and clients."""
    kinds = config.each_frontend()
    ranges = [ports for kind, section in kinds if (ports := kind.passive_ports(section)) is not None]
    roots = [root for kind, section in kinds if (root := kind.anonymous_root(section)) is not None]
    return AccessSettings(
        anonymous_root=roots[0] if roots else None,
        people=config[PeopleSettings],
        ledger=config[ClientsSettings].limits(
            of_machine(), sum(ports.last - ports.first + 1 for ports in ranges)
        ),
    )
