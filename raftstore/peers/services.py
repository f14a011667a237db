"""What this node answers: methods with the roles that may call them, and one-way messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from raftstore.errors import Refused
from raftstore.peers.model import Handler, OneWay, Peer, Role


@dataclass(frozen=True, slots=True)
class Service:
    """A method. `by_digest`: the handler compares each payload with a digest in the body."""

    handler: Handler
    roles: frozenset[Role]
    by_digest: bool = False


class Services:
    """The methods by name; every name is taken at most once."""

    def __init__(self) -> None:
        self._methods: dict[str, Service] = {}
        self._messages: dict[str, OneWay] = {}
        self.on_refused: Callable[[Peer, str, Refused], object] = lambda peer, method, error: None
        """Called when a peer is refused a method for its role, with what it is told; must not raise."""

    def serve(
        self,
        method: str,
        handler: Handler,
        roles: Iterable[Role],
        *,
        by_digest: bool = False,
    ) -> None:
        """Register a method; a second handler for it is a ValueError."""
        if method in self._methods:
            raise ValueError(f"{method} is served already")
        self._methods[method] = Service(handler, frozenset(roles), by_digest)

    def on_message(self, method: str, handler: OneWay) -> None:
        """Register a one-way message; a second handler for it is a ValueError."""
        if method in self._messages:
            raise ValueError(f"{method} is taken already")
        self._messages[method] = handler

    def find(self, peer: Peer, method: str) -> Service:
        """Give the service; raises Refused when there is none, or none for this peer."""
        service = self._methods.get(method)
        if service is None:
            raise Refused(f"unknown method {method[:100]!r}")
        if peer.role not in service.roles:
            error = Refused(f"{method} is not for the role {peer.role.value}")
            if service.roles == {Role.ADMIN} and peer.role is Role.NODE:
                error = Refused(
                    "it needs the administrator's directory (`--cluster DIR`), not a node's configuration"
                )
            self.on_refused(peer, method, error)
            raise error
        return service

    def taker(self, method: str) -> OneWay | None:
        """Give the handler of a one-way message, if there is one."""
        return self._messages.get(method)
