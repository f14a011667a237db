"""Requests of HTTP/1 without a body (RFC 9112), as far as metrics and health need them. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

_LINE = re.compile(r"([A-Z]{1,16}) (/[\x21-\x7e]*) HTTP/1\.[01]")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*?)[ \t]*")

METHODS = ("GET", "HEAD")


class Refused(Exception):
    """The request is answered with `status` and nothing else."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Request(NamedTuple):
    """What was asked: `options` are the names in the query; values have no meaning here."""

    method: str
    path: str
    options: frozenset[str]
    authorization: str = ""


def parse(head: bytes) -> Request:
    """Read the head of a request, its empty line included. Raises Refused."""
    line, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    match = _LINE.fullmatch(line)
    if match is None:
        raise Refused(400)
    method, target = match.groups()
    if method not in METHODS:
        raise Refused(405)
    headers = _headers(fields)
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise Refused(413)
    path, _, query = target.partition("?")
    options = frozenset(unquote(part.partition("=")[0]) for part in query.split("&") if part)
    return Request(method, path, options, headers.get("authorization", ""))


def _headers(fields: list[str]) -> dict[str, str]:
    """Return the fields by their names in small letters; of one that comes twice nobody could say which counts."""
    headers: dict[str, str] = {}
    for field in fields:
        match = _FIELD.fullmatch(field)
        if match is None:
            raise Refused(400)
        name = match[1].lower()
        if name in headers and name in ("authorization", "content-length", "transfer-encoding", "host"):
            raise Refused(400)
        headers[name] = match[2]
    return headers
