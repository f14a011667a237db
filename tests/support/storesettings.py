"""Settings of a store, for tests that make one by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raftstore.cluster.settings import ClusterSettings, NodeSettings, StoreSettings
from raftstore.peers.settings import PeersSettings
from raftstore.util.addresses import Address
from raftstore.util.settings.kinds import Member


def store_settings(name: str, data: Path, members: Mapping[str, Address], identity: Any) -> StoreSettings:
    """Return the settings of the node `name`, which listens where its members reach it; no ballast."""
    return StoreSettings(
        node=NodeSettings(name=name, data=data, ballast_bytes=0),
        peers=PeersSettings(
            listen=members[name], ca=data / "ca.pem", certificate=data / "node.pem", key=data / "node.key"
        ),
        cluster=ClusterSettings(members=tuple(Member(*member) for member in members.items())),
        identity=identity,
    )
