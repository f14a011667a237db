"""The log of a node: one line an event on standard error, as text for people or JSON for machines."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from ftpgateway.config import LogConfig

_FOREIGN = {"pyftpdlib": logging.WARNING, "paramiko": logging.WARNING, "asyncio": logging.WARNING}
"""Libraries that log with the standard module, and from which level on they are heard."""


class _Forward(logging.Handler):
    """Hand what libraries log to structlog, so that all lines look the same."""

    def emit(self, record: logging.LogRecord) -> None:
        logger: Any = structlog.get_logger()
        logger.log(record.levelno, record.getMessage(), library=record.name, exc_info=record.exc_info or None)


def configure(config: LogConfig) -> None:
    """Set up logging for this process."""
    level = logging.getLevelNamesMapping()[config.level.upper()]
    last: list[Any]
    if config.format == "json":
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        last = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    root.setLevel(max(level, logging.WARNING))
    for name, least in _FOREIGN.items():
        logging.getLogger(name).setLevel(max(level, least))
