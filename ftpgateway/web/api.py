"""The API for programs, and for the pages' script: what the pages do, in JSON, below /api/v1.

Refusals are problem documents (RFC 9457) whose `detail` has the words that FTP and SFTP have, and whose `title` is the
name of the error for programs. Times are seconds since the epoch.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from ftpgateway.web.asking import Asked, call
from ftpgateway.web.files import reply_with_file, store_body
from ftpgateway.web.listing import listed, sort_of
from ftpgateway.web.pages.folders import recipients
from ftpgateway.web.pages.rendering import url
from ftpgateway.web.pages.selection import expiry, remove
from ftpgateway.web.pages.sent import ITEMS, key_of, key_text
from ftpgateway.web.pages.signin import Refused, new_session, signed_in, signed_out
from ftpgateway.web.refusals import BadRequest
from raftstore import paths
from raftstore.errors import IsADirectory, NotFound
from raftstore.types import Entry, SentItem

_NEVER_KEPT = {"Cache-Control": "no-store"}


def _json(shape: object, status: int = 200, **headers: str) -> Response:
    return JSONResponse(shape, status, headers={**_NEVER_KEPT, **headers})


def _entry(directory: str, entry: Entry, path: str = "") -> dict[str, object]:
    shape: dict[str, object] = {
        "name": entry.name,
        "path": path or paths.join(directory, entry.name),
        "kind": "directory" if entry.is_directory else "file",
        "modified": entry.mtime_ns / 10**9,
    }
    return shape if entry.is_directory else {**shape, "size": entry.size}


def _text(document: dict[str, Any], name: str, otherwise: str | None = None) -> str:
    value = document.get(name, otherwise)
    if not isinstance(value, str):
        raise BadRequest(f"`{name}` is a text.")
    return value


# Sessions.


@call("/session", "GET")
async def session(asked: Asked) -> Response:
    """Tell who is signed in, and until when."""
    user = asked.files.account.user
    return _json({"name": user.name, "person": user.person, "expires": asked.session.token.expires})


@call("/session", "POST", open=True)
async def begin_session(asked: Asked) -> Response:
    """Sign in: `name` and `password`; the session is the reply's cookie."""
    document = await asked.document()
    name = _text(document, "name")
    try:
        token = await new_session(asked, name, _text(document, "password"))
    except Refused as refused:
        raise BadRequest(str(refused), refused.status) from None
    return signed_in(asked, _json({"name": name}, 201), token)


@call("/session", "DELETE", open=True)
async def end_session(asked: Asked) -> Response:
    """Sign out."""
    if asked.session_ is not None:
        asked.site.sessions.sign_out(asked.session_)
    return signed_out(asked, Response(status_code=204, headers=_NEVER_KEPT))


# Looking.


@call("/list/{path:path}", "GET")
async def list_directory(asked: Asked) -> Response:
    """List a page of a directory: `entries`, and `after` for the next page, "" at the end. `sort`, `after`."""
    path = asked.path
    found = await listed(asked.files, path, sort_of(asked.query.get("sort", "")), asked.query.get("after", ""))
    shape: dict[str, object] = {"entries": [_entry(path, each) for each in found.entries], "after": found.after}
    if asked.files.mount_of(path) == "inbox":
        files = [each for each in found.entries if not each.is_directory]
        unopened = asked.files.unopened([each.inode for each in files])
        shape["unopened"] = [each.name for each in files if each.inode in unopened]
    return _json(shape)


@call("/stat/{path:path}", "GET")
async def stat(asked: Asked) -> Response:
    """Tell what is at a path."""
    path = asked.path
    return _json(_entry("", await asked.files.entry(path), path))


@call("/files/{path:path}", "GET", "HEAD")
async def get(asked: Asked) -> Response:
    """Send a file, or a range of it."""
    return await reply_with_file(asked, asked.path, attachment="download" in asked.query)


# Changing.


@call("/files/{path:path}", "PUT")
async def put(asked: Asked) -> Response:
    """Store the body; the reply comes when it is durable and every node shows it.

    `If-None-Match: *` replaces nothing; `beside` takes a name with a number where the name is taken; `modified` is its
    time.
    """
    path, length = asked.path, asked.header("content-length")
    condition = asked.header("if-none-match")
    if condition not in ("", "*") or asked.header("content-range"):
        raise BadRequest("Only `If-None-Match: *` goes with PUT, and no range.")
    if asked.header("content-encoding") not in ("", "identity"):
        raise BadRequest("The body is stored as it is: send it without Content-Encoding.", 415)
    beside = "beside" in asked.query
    new = beside or bool(condition) or await _is_new(asked, path)
    stored = await store_body(
        asked,
        path,
        asked.request.stream(),
        expected=int(length) if length.isascii() and length.isdigit() else None,
        exclusive=bool(condition),
        beside=beside,
        mtime_ns=_modified(asked.query.get("modified", "")),
    )
    shape = _entry("", stored.entry, stored.path)
    return _json(shape, 201 if new else 200, Location=url("/api/v1/files", stored.path))


async def _is_new(asked: Asked, path: str) -> bool:
    try:
        await asked.files.entry(path)
    except NotFound:
        return True
    return False


def _modified(text: str) -> int | None:
    if not text:
        return None
    whole, _, part = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 11 and (not part or part.isdigit())):
        raise BadRequest("`modified` is seconds since the epoch.")
    return int(whole) * 10**9 + int((part + "0" * 9)[:9])


@call("/files/{path:path}", "DELETE")
async def delete(asked: Asked) -> Response:
    """Delete a file."""
    path = asked.path
    if (await asked.files.entry(path)).is_directory:
        raise IsADirectory(path)
    await remove(asked.files, path)
    return Response(status_code=204, headers=_NEVER_KEPT)


@call("/folders/{path:path}", "PUT")
async def make_folder(asked: Asked) -> Response:
    """Make a directory."""
    path = asked.path
    await asked.files.make_directory(path)
    return _json({"path": path}, 201)


@call("/folders/{path:path}", "DELETE")
async def delete_folder(asked: Asked) -> Response:
    """Delete an empty directory."""
    await asked.files.remove_directory(asked.path)
    return Response(status_code=204, headers=_NEVER_KEPT)


@call("/rename", "POST")
async def rename(asked: Asked) -> Response:
    """Rename or move `from` to `to`; with `replace` over a file that is there."""
    document = await asked.document()
    source = asked.files.resolve("/" + _text(document, "from"))
    target = asked.files.resolve("/" + _text(document, "to"))
    await asked.files.rename(source, target, exclusive=document.get("replace") is not True)
    return _json({"path": target})


# Persons.


@call("/send", "POST")
async def send(asked: Asked) -> Response:
    """Send the stored picture `path` to the person or group `to`; `expires`: 30m, 24h, 7d."""
    document = await asked.document()
    path = asked.files.resolve("/" + _text(document, "path"))
    recipient = _text(document, "to")
    expires = expiry(_text(document, "expires", ""))
    done = await asked.files.send_file(path, recipient, expires_ns=expires)
    return _json({"accepted": done.accepted, "refused": done.refused, "repeated": done.repeated})


@call("/recipients", "GET")
async def list_recipients(asked: Asked) -> Response:
    """List to whom the person can send, as far as it sees them."""
    return _json({"recipients": await recipients(asked.files)})


@call("/sent", "GET")
async def list_sent(asked: Asked) -> Response:
    """List what the person has sent, newest first; `before` goes on, `ended` lists what has ended."""
    items = await asked.files.sent(
        ITEMS, before=key_of(asked.query.get("before", "")), ended="ended" in asked.query
    )
    return _json({"sent": list(map(_sent, items)), "before": key_text(items) if len(items) == ITEMS else ""})


def _sent(item: SentItem) -> dict[str, object]:
    return {
        "path": item.path,
        "recipient": item.recipient,
        "state": item.state.name.lower(),
        "size": item.size,
        "sent": item.sent_ns / 10**9,
        "expires": item.expires_ns / 10**9 if item.expires_ns else None,
        "ended": item.ended_ns / 10**9 if item.ended_ns else None,
    }


@call("/inbox", "GET")
async def list_inbox(asked: Asked) -> Response:
    """List the senders; `/list/inbox/SENDER` lists what came from one."""
    found = await listed(asked.files, "/inbox", sort_of("new"), asked.query.get("after", ""))
    return _json({"entries": [_entry("/inbox", each) for each in found.entries], "after": found.after})


@call("/trash", "GET")
async def list_trash(asked: Asked) -> Response:
    """List the trash, newest pictures first."""
    found = await listed(asked.files, "/trash", sort_of("new"), asked.query.get("after", ""))
    return _json({"entries": [_entry("/trash", each) for each in found.entries], "after": found.after})


@call("/trash/restore", "POST")
async def restore(asked: Asked) -> Response:
    """Put the file `name` of the trash back to where it was; `beside`: with a number, where the name is taken."""
    document = await asked.document()
    path = await asked.files.restore(_text(document, "name"), beside=document.get("beside") is True)
    return _json({"path": path})
