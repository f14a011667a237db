"""The application: from a path to what answers it, for whom, and what is said when it is refused."""

from __future__ import annotations

from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ftpgateway.access.refusal import LoginRefused
from ftpgateway.serving.refusals import NO_QUORUM, one_line
from ftpgateway.web import api, assets
from ftpgateway.web.asking import Asked, Endpoint, Site, declared
from ftpgateway.web.http import security
from ftpgateway.web.pages import account, folders, inbox, picture, selection, sent, signin, trash
from ftpgateway.web.pages.rendering import rendered
from ftpgateway.web.refusals import RETRY_SECONDS, BadRequest, Refusal, login_refused, refusal
from raftstore.errors import StoreError

log = structlog.get_logger()

MODULES = (assets, signin, folders, picture, selection, inbox, sent, trash, account, api)
"""What has pages or calls."""


def application(site: Site) -> ASGIApp:
    """Return what answers requests that the guard has let through."""
    routes = [Route(each.path, _Answers(site, each), methods=list(each.methods)) for each in declared(MODULES)]
    return Router(routes, redirect_slashes=False, default=_Answers(site, _NOWHERE))


async def _nowhere(asked: Asked) -> Response:
    raise BadRequest("There is nothing at this address.", 404)


_NOWHERE = Endpoint("", (), _nowhere, open=True)


class _Answers:
    """One endpoint as an ASGI application."""

    def __init__(self, site: Site, endpoint: Endpoint) -> None:
        self._site = site
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        asked: Asked | None = None
        try:
            asked = Asked.of(self._site, request)
            if not self._endpoint.bare:
                await self._find_session(asked)
            session = asked.session_
            if session is None and not self._endpoint.open:
                await self._sign_in_first(asked)(scope, receive, send)
                return
            if session is not None:
                session.busy += 1
            try:
                response = await self._answered(asked)
                await response(scope, receive, send)
            finally:
                if session is not None:
                    session.busy -= 1
        except BadRequest as error:
            await self._refused(asked, Refusal(error.status, str(error), "Invalid"))(scope, receive, send)
        except LoginRefused as error:
            await self._refused(asked, login_refused(error))(scope, receive, send)
        except StoreError as error:  # of the session itself
            text = refusal(error)._replace(text=NO_QUORUM)
            await self._refused(asked, text)(scope, receive, send)

    async def _find_session(self, asked: Asked) -> None:
        text = security.token_in(asked.header("cookie"), asked.client.scheme)
        asked.session_ = await self._site.sessions.of(text, asked.client.address)
        if asked.session_ is not None:
            self._site.signed_in(asked.connection, asked.session_.name)

    async def _answered(self, asked: Asked) -> Response:
        try:
            return await self._endpoint.answer(asked)
        except StoreError as error:
            found = refusal(error, asked.doing)
            if asked.session_ is not None:
                asked.session_.refusals.refused(
                    command=asked.request.method,
                    path=one_line(asked.request.scope["path"]),
                    reason=found.text,
                    probe=found.status == 404 and asked.request.method in security.SAFE,
                )
            return self._refused(asked, found)

    def _sign_in_first(self, asked: Asked) -> Response:
        if self._endpoint.program:
            return self._refused(asked, Refusal(401, "Sign in first.", "Denied"))
        if asked.request.method not in security.SAFE:
            return RedirectResponse("/sign-in", 303)
        return RedirectResponse(
            signin.address(quote(asked.request.scope["path"]), asked.request.url.query), 303
        )

    def _refused(self, asked: Asked | None, found: Refusal) -> Response:
        headers = {"Cache-Control": "no-store"}
        if found.again:
            headers["Retry-After"] = str(RETRY_SECONDS)
        if self._endpoint.program:
            shape = {"type": "about:blank", "status": found.status, "title": found.code, "detail": found.text}
            return JSONResponse(
                shape, found.status, headers={**headers, "Content-Type": "application/problem+json"}
            )
        return rendered("problem.html", asked, status=found.status, headers=headers, text=found.text)
