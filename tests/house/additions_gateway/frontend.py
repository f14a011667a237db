"""A front-end: a page with a greeting and the node's metrics, for whoever connects."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from additions_gateway.metric import Visits
from additions_gateway.section import PageSettings
from ftpgateway.serving.exposition import Exposition
from ftpgateway.serving.frontends import FrontendContext, FrontendKind
from raftstore.util.addresses import Address
from raftstore.util.metrics import Metrics


class Page:
    """Serves the page."""

    def __init__(self, settings: PageSettings, address: Address, metrics: Metrics) -> None:
        self._settings = settings
        self._address = address
        self._metrics = metrics
        self._servers: list[asyncio.Server] = []
        self.visits = Visits()

    async def start(self) -> None:
        self._servers.append(await asyncio.start_server(self._visit, *self._address))

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits.number += 1
        if self.visits.number <= self._settings.most_visits:
            writer.write(f"{self._settings.greeting}\n".encode() + Exposition(self._metrics).text())
        writer.close()

    async def stop(self, grace: float = 5.0) -> None:
        for server in self._servers:
            server.close()


class PageKind(FrontendKind[PageSettings]):
    """The page as a kind of front-end."""

    name = "page"
    settings = PageSettings

    def services(self, settings: PageSettings) -> Mapping[str, Address | None]:
        return {"page": settings.listen}

    def build(self, context: FrontendContext, settings: PageSettings) -> Page | None:
        if settings.listen is None:
            return None
        made = Page(settings, settings.listen, context.metrics)
        context.metrics.add(made.visits)
        return made


PAGE = PageKind()
