"""The log of a node: one line an event on standard error, as text for people or JSON for machines."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import MutableMapping
from typing import Any, Protocol, TextIO, cast

import structlog

from ftpgateway.node.config.log import LogSettings
from ftpgateway.serving.logs.clientlines import ClientLines
from ftpgateway.serving.logs.loglevel import LogLevel
from raftstore import paths

_FOREIGN = {"pyftpdlib": logging.WARNING, "paramiko": logging.WARNING, "asyncio": logging.WARNING}
"""Libraries that log with the standard module, and from which level on they are heard."""


_PLAIN = re.compile(r"[!#-&(-<>-\[\]-~]+").fullmatch
"""ASCII that is written as it is."""
_UNQUOTED = re.compile(r"[^\s\"'=\\]+").fullmatch


def text_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """Render an event as text: time, level, phrase, then its details in alphabetical order.

    Looks as what structlog's console renderer writes without colours, at less than half its cost: a busy node logs
    every transfer.
    """
    moment, level = event.pop("timestamp", ""), event.pop("level", "")
    phrase, trace = str(event.pop("event", "")), event.pop("exception", "")
    if not phrase.isprintable():
        phrase = paths.shown(phrase)
    details = " ".join(
        [
            f"{key}={value if type(value) is int or (type(value) is str and _PLAIN(value)) else _shown(value)}"
            for key, value in sorted(event.items())
        ]
    )
    line = f"{moment} [{level:<9}] {phrase:<30} {details}".rstrip()
    return f"{line}\n{paths.shown_lines(trace)}" if trace else line


def _json(event: object, **options: Any) -> str:
    return paths.shown_json(json.dumps(event, **options))


def _printable(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For terminals: clients' texts are shown and not obeyed."""
    for key, value in event.items():
        if type(value) is str:
            event[key] = paths.shown_lines(value) if key == "exception" else paths.shown(value)
    return event


def _shown(value: object) -> str:
    if type(value) is str:
        return value if _UNQUOTED(value) and value.isprintable() else repr(value)
    return repr(value)


class Clock:
    """Adds the time in UTC, ISO 8601, to the microsecond. The part down to the second is made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """See structlog: a processor."""
        second, rest = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        event["timestamp"] = f"{self._text}.{rest // 1000:06}Z"
        return event


class _Name:
    """Adds the name of the node that logs."""

    def __init__(self, node: str) -> None:
        self._node = node

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """See structlog: a processor."""
        event["node"] = self._node
        return event


class _Forward(logging.Handler):
    """Hand what libraries log to structlog, so that all lines look the same."""

    def emit(self, record: logging.LogRecord) -> None:
        logger: Any = structlog.get_logger()
        logger.log(record.levelno, record.getMessage(), library=record.name, exc_info=record.exc_info or None)


class _Stream(Protocol):
    def write(self, text: str, /) -> object: ...
    def flush(self) -> None: ...
    def isatty(self) -> bool: ...


class Lenient:
    """A stream that drops what cannot be written: what a node does must not depend on whether that can be logged.

    Standard error may be a file on a full disk, or a pipe that nobody reads any more.
    """

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def write(self, text: str, /) -> None:
        """Write `text`, or drop it."""
        try:  # not contextlib.suppress: this is on the way of every transfer
            self._stream.write(text)
        except (OSError, ValueError):
            pass

    def flush(self) -> None:
        """Flush, as far as that works."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            pass

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return self._stream.isatty()


def configure(
    config: LogSettings,
    stream: _Stream | None = None,
    *,
    node: str = "",
    log_level: LogLevel | None = None,
) -> ClientLines:
    """Set up logging for this process, to `stream` or else to standard error; return what bounds clients' lines.

    `log_level`, of the configured level, can be set to another one later. Lines of JSON have the name of the `node` in
    them: they are collected, as a rule, from several.
    """
    client_lines = ClientLines(config.client_lines)
    stream = Lenient(stream or sys.stderr)
    log_level = log_level or LogLevel(config.level)
    last: list[Any]
    if config.format == "json":
        last = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(_json, ensure_ascii=False),
        ]
    elif stream.isatty():
        plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        last = [structlog.processors.format_exc_info, _printable, plain]
    else:
        last = [structlog.processors.format_exc_info, text_line]
    structlog.configure(
        processors=[
            client_lines,
            structlog.processors.add_log_level,
            *([_Name(node)] if node and config.format == "json" else []),
            Clock(),
            *last,
        ],
        wrapper_class=log_level.wrapper_class,
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", stream)),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    log_level.on_change = _libraries_at
    _libraries_at(logging.getLevelNamesMapping()[config.level.upper()])
    return client_lines


def _libraries_at(level: int) -> None:
    """Have libraries heard at a level."""
    logging.getLogger().setLevel(max(level, logging.WARNING))
    for name, least in _FOREIGN.items():
        logging.getLogger(name).setLevel(max(level, least))


def to_standard_error() -> None:
    """Have what is logged before `configure` on standard error: a command's result is on standard output."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, Clock(), text_line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
    )
