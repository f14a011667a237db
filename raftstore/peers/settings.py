"""Keys of [peers]: the channel between nodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from raftstore.util.addresses import Address
from raftstore.util.settings import declared, kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersSettings:
    """The channel between nodes."""

    listen: Address = declared(
        kinds.ADDRESS, "Address on which this node listens for the others, and for `pixraft` itself."
    )
    encryption: Literal["full", "bulk-auth"] = declared(
        kinds.choice("full", "bulk-auth"),
        "`full`: everything between nodes is encrypted. `bulk-auth`: picture bytes go in the clear but "
        "authenticated, which is faster, for networks that you trust. The same on every node.",
        "full",
    )
    ca: Path = declared(kinds.FILE, "Certificate of the cluster's own authority.", "ca.pem")
    certificate: Path = declared(kinds.FILE, "This node's certificate, issued by that authority.", "node.pem")
    key: Path = declared(kinds.FILE, "Private key of the certificate; only its owner may read it.", "node.key")
