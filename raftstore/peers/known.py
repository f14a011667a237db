"""Where members and admins have been: their connections do not compete with those of strangers. Pure."""

from __future__ import annotations

from collections import OrderedDict

from raftstore.util.networks import network_of

MOST = 256
"""Networks that are remembered; the longest unheard of is forgotten."""


class KnownNetworks:
    """The latest networks. A host name, which is no address, does no harm."""

    def __init__(self) -> None:
        self._networks: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, network: str) -> bool:
        return network in self._networks

    def add(self, address: str) -> None:
        """Somebody who has proven who it is comes from there."""
        network = network_of(address)
        self._networks[network] = None
        self._networks.move_to_end(network)
        while len(self._networks) > MOST:
            self._networks.popitem(last=False)
