"""What this program says of itself to other nodes."""

from __future__ import annotations

from raftstore.metadata import levels
from raftstore.peers.versions import Versions

VERSIONS = Versions(levels.VERSION, levels.OLDEST, levels.NEWEST)
