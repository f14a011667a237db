"""Keys of [cluster]: the cluster as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from ftpgateway.node.config import kinds
from ftpgateway.node.config.declare import declared
from ftpgateway.node.config.kinds import Member
from raftstore.util.addresses import Address

REPLICAS = 3
"""Copies of a picture, unless the configuration says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """The cluster as a whole: the same on every node."""

    name: str = declared(kinds.NAME, "Name of the cluster, for people.", "pictures")
    replicas: int = declared(
        kinds.integer(1, 15),
        "Copies of each picture, on different nodes; while there are fewer nodes, as many as there are nodes.",
        REPLICAS,
    )
    members: tuple[Member, ...] = declared(
        kinds.MEMBERS,
        "Where this node finds the others when it starts: a `[[cluster.members]]` table for each node, with `name` "
        "and the `address` (host:port) at which the others reach it. In a new cluster these are its members; "
        "later it agrees on them itself (`pixraft node`). In the environment: `n1=host1:7420,n2=host2:7420`.",
    )

    def addresses(self) -> dict[str, Address]:
        """Return the address of each member by its name."""
        return {member.name: member.address for member in self.members}
