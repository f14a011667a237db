"""One request as pages and API see it, and how they declare what they answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from ftpgateway.access.workspace import Workspace
from ftpgateway.serving.logs.transferlog import TransferSink
from ftpgateway.serving.refusals import Doing
from ftpgateway.web.http.http1 import HttpConnection
from ftpgateway.web.http.security import Client
from ftpgateway.web.refusals import BadRequest
from ftpgateway.web.sessions import WebSession, WebSessions
from ftpgateway.web.settings import WebSettings

FORM_BYTES = 256 * 1024
"""Of a form without files, or of a JSON document: a thousand paths fit."""
MOST_FIELDS = 2000


@dataclass(frozen=True, slots=True)
class Site:
    """What all requests of a node share."""

    sessions: WebSessions
    settings: WebSettings
    transfers: TransferSink | None
    signed_in: Callable[[HttpConnection, str], None]
    """Counts a connection for an account. Raises LoginRefused."""


@dataclass(slots=True)
class Asked:
    """A request. `session` is None for who is not signed in."""

    site: Site
    request: Request
    client: Client
    connection: HttpConnection
    session_: WebSession | None = None
    query: dict[str, str] = field(default_factory=dict)
    doing: Doing = Doing.NAMES
    """What is under way, for the words of a refusal."""

    @classmethod
    def of(cls, site: Site, request: Request) -> Asked:
        """Read what a request says. Raises BadRequest."""
        state = request.scope["state"]
        query = dict(_pairs(request.scope["query_string"]))
        return cls(site, request, state["client"], state["connection"], None, query)

    @property
    def session(self) -> WebSession:
        """The session of who is signed in."""
        assert self.session_ is not None
        return self.session_

    @property
    def files(self) -> Workspace:
        """What the session sees."""
        return self.session.session.files

    @property
    def path(self) -> str:
        """The client path that the URL ends with. Raises BadName."""
        return self.files.resolve("/" + str(self.request.path_params.get("path", "")))

    def header(self, name: str) -> str:
        """Return a header, "" where there is none."""
        return self.request.headers.get(name, "")

    async def body(self) -> bytes:
        """Return a small body. Raises BadRequest (too large)."""
        declared = self.header("content-length")
        if declared.isdigit() and int(declared) > FORM_BYTES:
            raise BadRequest("The form is too large.", 413)
        taken = bytearray()
        async for part in self.request.stream():
            taken += part
            if len(taken) > FORM_BYTES:
                raise BadRequest("The form is too large.", 413)
        return bytes(taken)

    async def form(self) -> Form:
        """Return the fields of a form without files. Raises BadRequest."""
        kind = self.header("content-type").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise BadRequest("A form is expected.", 415)
        return Form(_pairs(await self.body()))

    async def document(self) -> dict[str, Any]:
        """Return a JSON object. Raises BadRequest."""
        kind = self.header("content-type").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise BadRequest("A JSON document is expected (Content-Type: application/json).", 415)
        try:
            found = json.loads(await self.body())
        except (ValueError, RecursionError):
            raise BadRequest("The body is no JSON document.") from None
        if not isinstance(found, dict):
            raise BadRequest("The body is no JSON object.")
        return found


class Form:
    """The fields of a form, in their order."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = list(pairs)

    def one(self, name: str, otherwise: str = "") -> str:
        """Return a field."""
        return next((value for key, value in self._pairs if key == name), otherwise)

    def all(self, name: str) -> list[str]:
        """Return all fields of a name."""
        return [value for key, value in self._pairs if key == name]


def _pairs(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except (ValueError, UnicodeError):
        raise BadRequest("A field is not written in UTF-8, or there are too many.") from None


Answer = Callable[[Asked], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers a path. `open`: who is not signed in is answered, too; `bare`: nobody looks who it is.

    `program`: for programs, in JSON.
    """

    path: str
    methods: tuple[str, ...]
    answer: Answer
    open: bool = False
    program: bool = False
    bare: bool = False


def page(path: str, *methods: str, open: bool = False, bare: bool = False) -> Callable[[Answer], Endpoint]:
    """Declare a page, or a form's action. A module with one is named in `ftpgateway.web.app.MODULES`."""
    return lambda answer: Endpoint(path, methods or ("GET",), answer, open or bare, bare=bare)


def call(path: str, *methods: str, open: bool = False) -> Callable[[Answer], Endpoint]:
    """Declare a call of the API, below /api/v1. A module with one is named in `ftpgateway.web.app.MODULES`."""
    return lambda answer: Endpoint(f"/api/v1{path}", methods or ("GET",), answer, open, program=True)


def declared(modules: Iterable[ModuleType]) -> list[Endpoint]:
    """Return all endpoints of some modules, in their order."""
    return [each for module in modules for each in vars(module).values() if isinstance(each, Endpoint)]
