"""What nodes tell each other in passing: soft state of front-ends, lost without harm."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog
from google.protobuf.message import DecodeError

from raftstore.peers import Peer, PeerNetwork
from raftstore.wire import news_pb2

log = structlog.get_logger()

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
        network.on_message("news", self._heard)

    def listen(self, topic: str, heard: Heard) -> None:
        """Give news of `topic` to `heard` from now on, instead of to whoever listened before."""
        self._listeners[topic] = heard

    def tell(self, topic: str, body: bytes) -> None:
        """Tell the other members; who cannot be reached now never hears of it. Too much at once is dropped."""
        if len(body) > MAX_BODY:
            log.warning("news not told: too much at once", topic=topic, bytes=len(body))
            return
        message = news_pb2.News(topic=topic, body=body).SerializeToString()
        for member in self._members():
            self._network.send(member, "news", message)

    def _heard(self, peer: Peer, body: bytes) -> None:
        try:
            news = news_pb2.News.FromString(body)
            listener = self._listeners.get(news.topic)
            if listener is not None:
                listener(peer.name, news.body)
        except DecodeError:
            log.warning("news that cannot be read", peer=peer.name)
