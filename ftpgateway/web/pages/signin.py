"""Signing in and out."""

from __future__ import annotations

from starlette.responses import Response

from ftpgateway.access.refusal import LoginRefused
from ftpgateway.serving.refusals import NO_QUORUM, TOO_MANY_LOGINS, WRONG_PASSWORD
from ftpgateway.web.asking import Asked, page
from ftpgateway.web.http import security
from ftpgateway.web.pages.rendering import rendered, see, with_query
from ftpgateway.web.refusals import login_refused
from raftstore.errors import StoreError, Unavailable


def address(path: str, query: str) -> str:
    """Return the address at which somebody signs in who then goes on to a path."""
    following = f"{path}?{query}" if query else path
    return with_query("/sign-in", next="" if following == "/" else following)


@page("/sign-in", "GET", open=True)
async def sign_in_page(asked: Asked) -> Response:
    """Show the form."""
    following = security.local_path(asked.query.get("next", ""))
    if asked.session_ is not None:
        return see(following)
    return rendered("signin.html", asked, following=following, name="", text="")


@page("/sign-in", "POST", open=True)
async def sign_in(asked: Asked) -> Response:
    """Begin a session: always a new one, whatever cookie came with the form."""
    form = await asked.form()
    following = security.local_path(form.one("next"))
    name = form.one("name")
    try:
        found = await new_session(asked, name, form.one("password"))
    except Refused as refused:
        return rendered(
            "signin.html", asked, status=refused.status, following=following, name=name, text=str(refused)
        )
    return signed_in(asked, see(following), found)


@page("/sign-out", "POST", open=True)
async def sign_out(asked: Asked) -> Response:
    """End the session, at all nodes that can be reached."""
    if asked.session_ is not None:
        asked.site.sessions.sign_out(asked.session_)
    return signed_out(asked, see("/sign-in"))


class Refused(Exception):
    """Nobody is signed in; `str()` says why, `status` is for HTTP."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


async def new_session(asked: Asked, name: str, password: str) -> str:
    """Begin a session and return its token; one that the browser had ends. Raises Refused."""
    earlier, asked.session_ = asked.session_, None
    try:
        made = await asked.site.sessions.sign_in(name, password, asked.client.address)
    except LoginRefused as error:
        found = login_refused(error)
        raise Refused(found.text, found.status) from None
    except Unavailable:
        raise Refused(TOO_MANY_LOGINS, 503) from None
    except StoreError:
        raise Refused(NO_QUORUM, 503) from None
    if made is None:
        raise Refused(WRONG_PASSWORD, 401)
    if earlier is not None:
        asked.site.sessions.sign_out(earlier)
    return made[1]


def signed_in(asked: Asked, response: Response, token: str) -> Response:
    """Give the reply the session's cookie."""
    seconds = asked.site.settings.session_time
    response.headers["Set-Cookie"] = security.cookie(asked.client.scheme, token, seconds)
    response.headers["Cache-Control"] = "no-store"
    return response


def signed_out(asked: Asked, response: Response) -> Response:
    """Take the cookie away."""
    response.headers["Set-Cookie"] = security.cookie(asked.client.scheme, "", 0)
    if asked.client.scheme == "https":  # browsers heed it there only
        response.headers["Clear-Site-Data"] = '"cache"'
    return response
