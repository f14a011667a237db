"""Keys of [log]: what the node tells."""

from __future__ import annotations

from dataclasses import dataclass

from ftpgateway.config import kinds
from ftpgateway.config.declare import declared


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """The node's log, on standard error."""

    level: str = declared(
        kinds.choice("debug", "info", "warning", "error"), "The least important lines that are logged.", "info"
    )
    format: str = declared(
        kinds.choice("text", "json"), "`text` for people, `json` (a line an event) for machines.", "text"
    )
