"""The rooms of one node's store, put together: which is opened when, and what each is told of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from raftstore.chunks.service import ChunkService
from raftstore.chunks.volumes import VolumeSet
from raftstore.cluster import bootstrap, verdict
from raftstore.cluster.administration import Administration
from raftstore.cluster.boot import next_boot
from raftstore.cluster.health import Health
from raftstore.cluster.recorder import ReplicaRecorder
from raftstore.cluster.results import accepted
from raftstore.cluster.view import ClusterView
from raftstore.consensus.engine import Consensus, ConsensusSettings
from raftstore.consensus.journal import Journal
from raftstore.errors import StoreError
from raftstore.metadata import Catalog
from raftstore.peers import Lane, PeerNetwork
from raftstore.settings import StoreSettings
from raftstore.types import ClusterStatus, NodeStatus
from raftstore.wire import commands_pb2 as commands

if TYPE_CHECKING:
    from raftstore.store import Store

log = structlog.get_logger()

STATUS_BARRIER = 1.5
"""Seconds that status waits for a majority before it says that there is no quorum."""
