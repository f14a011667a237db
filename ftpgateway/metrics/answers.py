"""What is answered: metrics, whether the node is alive, whether it is ready for clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import NamedTuple, Protocol

from ftpgateway.metrics.access import permits
from ftpgateway.metrics.requests import Refused, Request
from ftpgateway.serving.exposition import CONTENT_TYPE, Exposition

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


class NodeChecks(Protocol):
    """What is asked of the node (raftstore.store.checks)."""

    def alive(self) -> str:
        """Say what is wrong, "" for nothing."""
        ...

    def ready(self, *, local: bool = False) -> Awaitable[str]:
        """Say why reads are refused."""
        ...

    def writable(self) -> str:
        """Say why uploads are refused."""
        ...

    def spared(self) -> str:
        """Say why the cluster needs this node now."""
        ...

    def details(self) -> Mapping[str, object]:
        """Return what the node knows of itself."""
        ...


class Answer(NamedTuple):
    """A status and a body."""

    status: int
    type: str
    body: bytes


class Answers:
    """Answers requests of one node."""

    def __init__(self, exposition: Exposition, checks: NodeChecks, token: bytes | None) -> None:
        self._exposition = exposition
        self._checks = checks
        self._token = token

    async def answer(self, request: Request) -> Answer:
        """Return the answer. Raises Refused."""
        match request.path:
            case "/metrics":
                self._require_token(request)
                return Answer(200, CONTENT_TYPE, self._exposition.text())
            case "/livez":
                return self._livez(request)
            case "/readyz":
                return await self._readyz(request)
        raise Refused(404)

    def _require_token(self, request: Request) -> None:
        if not permits(self._token, request.authorization):
            raise Refused(401)

    def _livez(self, request: Request) -> Answer:
        verbose = self._verbose(request)
        problem = self._checks.alive()
        if verbose:
            return _json(
                not problem, {"alive": not problem, "reason": problem or None, **self._checks.details()}
            )
        return _text(not problem, "alive" if not problem else "not alive")

    async def _readyz(self, request: Request) -> Answer:
        verbose = self._verbose(request)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        unready = await self._checks.ready(local="local" in request.options)
        unwritable = self._checks.writable()
        needed = self._checks.spared() if verbose or "maintenance" in request.options else ""
        good = not unready
        if "writable" in request.options:
            good = good and not unwritable
        if "maintenance" in request.options:
            good = good and not needed
        if verbose:
            shape = {
                "ready": not unready,
                "reason": unready or None,
                "writable": not unwritable,
                "not_writable": unwritable or None,
                "spared": not needed,
                "needed": needed or None,
                "seconds": round(loop.time() - begun, 3),
            }
            return _json(good, {**shape, **self._checks.details()})
        words = ["ready" if good else "not ready", f"writable: {str(not unwritable).lower()}"]
        if "maintenance" in request.options:
            words.append(f"spared: {str(not needed).lower()}")
        return _text(good, "\n".join(words))

    def _verbose(self, request: Request) -> bool:
        if "verbose" not in request.options:
            return False
        self._require_token(request)
        return True


def _text(good: bool, words: str) -> Answer:
    return Answer(200 if good else 503, TEXT, f"{words}\n".encode())


def _json(good: bool, shape: Mapping[str, object]) -> Answer:
    return Answer(200 if good else 503, JSON, json.dumps(shape).encode() + b"\n")


def refusal(status: int) -> Answer:
    """Return the answer that says just the status."""
    return Answer(status, TEXT, f"{HTTPStatus(status).phrase}\n".encode())


def response(answer: Answer, *, with_body: bool = True) -> bytes:
    """Return the bytes of a whole response, after which the connection is closed."""
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if answer.status == 401:
        lines.append("WWW-Authenticate: Bearer")
    if answer.status == 405:
        lines.append("Allow: GET, HEAD")
    head = "\r\n".join([*lines, "", ""]).encode("ascii")
    return head + answer.body if with_body else head
