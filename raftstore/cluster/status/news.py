"""What nodes tell each other in passing: soft state of front-ends, lost without harm."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from raftstore.peers import Peer, PeerNetwork
from raftstore.peers.calls import OneWayMessage
from raftstore.wire import news_pb2

log = structlog.get_logger()

NEWS = OneWayMessage("news", news_pb2.News)

MAX_BODY = 64 * 1024
"""Bytes of one piece of news: it travels with consensus."""

Heard = Callable[[str, bytes], None]
"""Called with the name of the node that tells, and what."""


class News:
    """Sends news to all members that are connected, and gives those that come to whoever listens."""

    def __init__(self, network: PeerNetwork, members: Callable[[], Iterable[str]]) -> None:
        self._network = network
        self._members = members
        self._listeners: dict[str, Heard] = {}
        NEWS.take(network, self._heard)

    def listen(self, topic: str, heard: Heard) -> None:
        """Give news of `topic` to `heard` from now on, instead of to whoever listened before."""
        self._listeners[topic] = heard

    def tell(self, topic: str, body: bytes) -> None:
        """Tell the other members; who cannot be reached now never hears of it. Too much at once is dropped."""
        if len(body) > MAX_BODY:
            log.warning("news not told: too much at once", topic=topic, bytes=len(body))
            return
        NEWS.broadcast(self._network, self._members(), news_pb2.News(topic=topic, body=body))

    def _heard(self, peer: Peer, news: news_pb2.News) -> None:
        listener = self._listeners.get(news.topic)
        if listener is not None:
            listener(peer.name, news.body)
