"""Style sheet, script and icon: the same for everybody, kept by browsers under an address that changes with them."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from starlette.responses import Response

from ftpgateway.web.asking import Asked, page
from ftpgateway.web.refusals import BadRequest

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    "app.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """A file that everybody may have."""

    body: bytes
    media_type: str
    mark: str
    """Changes with it."""


@cache
def asset(name: str) -> Asset:
    """Return a file of the program. Raises KeyError for any other."""
    media_type = _TYPES[name]
    body = (_FOLDER / name).read_bytes()
    return Asset(body, media_type, blake2b(body, digest_size=6).hexdigest())


def address(name: str) -> str:
    """Return where a browser finds a file as it is now."""
    return f"/static/{asset(name).mark}/{name}"


@page("/static/{mark}/{name}", "GET", bare=True)
async def static_file(asked: Asked) -> Response:
    """Answer for a file; one of another release is not kept."""
    name, mark = asked.request.path_params["name"], asked.request.path_params["mark"]
    try:
        found = asset(name)
    except KeyError:
        raise BadRequest("There is nothing at this address.", 404) from None
    kept = "public, max-age=31536000, immutable" if mark == found.mark else "no-cache"
    return Response(found.body, headers={"Content-Type": found.media_type, "Cache-Control": kept})
