"""The account: what it may store, whom the person blocks, and how the password is changed."""

from __future__ import annotations

from starlette.responses import Response

from ftpgateway.web.asking import Asked, page
from ftpgateway.web.pages.rendering import rendered, see, with_query
from ftpgateway.web.refusals import BadRequest
from raftstore.errors import Denied


@page("/account", "GET")
async def account(asked: Asked) -> Response:
    """Show it."""
    files = asked.files
    try:
        space = await files.free_space("/")
    except Denied:  # it may store nothing there
        space = None
    blocks = await files.blocks() if files.account.user.person else []
    return rendered(
        "account.html",
        asked,
        active="account",
        space=space,
        blocks=blocks,
        expires=asked.session.token.expires * 10**9,
    )


@page("/account/block", "POST")
async def block(asked: Asked) -> Response:
    """Take nothing more from somebody, who is not told."""
    return await _block(asked, off=False)


@page("/account/unblock", "POST")
async def unblock(asked: Asked) -> Response:
    """Take pictures from somebody again."""
    return await _block(asked, off=True)


async def _block(asked: Asked, *, off: bool) -> Response:
    name = (await asked.form()).one("name").strip()
    if not name:
        raise BadRequest("Whom? Give a name.")
    await asked.files.block(name, off=off)
    return see(with_query("/account", done="unblocked" if off else "blocked"))
