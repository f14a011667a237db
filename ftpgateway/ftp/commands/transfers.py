"""Commands that move data: STOR, APPE, STOU, RETR, and what is asked before them: ALLO, AVBL."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

from ftpgateway.access.backend import Part, Upload
from ftpgateway.access.ledger import UploadMemory
from ftpgateway.access.login.throttle import Throttle, paced
from ftpgateway.access.workspace import Workspace
from ftpgateway.ftp.commands.ranges import NO_RANGE, begun_as_reported, is_offset, take_range
from ftpgateway.ftp.data.receiving import Receiving
from ftpgateway.ftp.data.sending import Sending, let_go
from ftpgateway.ftp.interface import OfLogin, Session, command
from ftpgateway.ftp.replies import refusal
from ftpgateway.serving.refusals import Doing, one_line
from raftstore import paths
from raftstore.errors import AlreadyExists, Invalid, StoreError

STOU_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Opened:
    """A download that can begin: bytes to send, the first block, and where the others come from, if any.

    `whole`: the size of the file.
    """

    size: int
    whole: int
    first: Part
    rest: AsyncIterator[Part] | None = None
    release: Callable[[], Coroutine[Any, Any, None]] | None = None


async def _open(
    files: Workspace, path: str, offset: int, until: int | None, throttle: Throttle, *, direct: bool
) -> Opened:
    """Open a download and read its first block: a picture that cannot be read is refused before any data.

    `until`: the byte after the last one (None: all). `direct`: what is sent is not encrypted, so that it can go
    straight from a file (unless it must not go fast).
    """
    direct = direct and not throttle.rate
    download = await files.download(path)
    done, first = True, cast(Part, b"")
    try:
        size = download.size - offset
        if size < 0:
            raise Invalid(f"REST {offset} is past the end: the file has {download.size} bytes")
        if until is not None:
            size, direct = min(size, until - offset), False
        if direct and (whole := download.at_once(offset)) is not None:
            first = whole
            return Opened(size, download.size, first)
        blocks: AsyncIterator[Part]
        if direct:
            blocks = download.parts(offset)
        elif throttle.rate:
            blocks = paced(download.blocks(offset, size), throttle)
        else:
            blocks = download.blocks(offset, size)
        first = await anext(blocks, b"")
        done = len(first) == size
        if not done:
            return Opened(size, download.size, first, blocks, download.close)
        async for _ in blocks:
            pass
        return Opened(size, download.size, first)
    except BaseException:
        let_go(first)
        raise
    finally:
        if done:
            await download.close()


@dataclass(slots=True)
class _Announced(OfLogin):
    """What ALLO told of the next upload."""

    size: int | None = None


@command(
    "ALLO",
    "tell the size of the next upload: 452 when the cluster has no room for its copies or the quota is smaller",
    syntax="<bytes>",
)
def allo(session: Session, argument: str) -> None:
    """ALLO: what cannot fit is refused here; the upload itself is checked once more when it begins."""
    size = argument.split(" ")[0]
    announced = session.state(_Announced)
    announced.size = None
    if not is_offset(size):
        session.respond("501 ALLO needs a number of bytes.")
        return
    try:
        free_space = session.wait(session.files.free_space(session.files.cwd))
        free_space.check(int(size))
    except StoreError as error:
        session.respond(refusal(error, Doing.WRITING))
        return
    announced.size = int(size)
    session.respond(f"200 There is room; {free_space.free} bytes are free.")


@command(
    "AVBL",
    "how many bytes can be stored: the cluster's free room for all copies, or what is left of the quota",
    source="draft-peterson-streamlined-ftp-command-extensions",
    syntax="[<directory>]",
    right="w",
    feature="AVBL",
)
def avbl(session: Session, argument: str) -> None:
    """AVBL [directory]."""
    path = session.files.resolve(argument)
    if argument and not session.wait(session.files.entry(path)).is_directory:
        session.respond("550 Not a directory.")
        return
    session.respond(f"213 {session.wait(session.files.free_space(path)).free}")


# Uploads.


@command("STOR", "upload a new version of a file", syntax="<path>", right="w", data=True)
def stor(session: Session, argument: str) -> None:
    """STOR: a new version of the file; after REST n the first n bytes are kept and the rest is replaced."""
    offset, until = take_range(session)
    if until is not None:
        session.respond("450 RANG does not go with STOR; send STOR again without it, or REST and STOR.")
        return
    _receive(session, "STOR", session.files.resolve(argument), offset=offset or None)


@command("APPE", "continue an interrupted upload, or append to a file", syntax="<path>", right="a", data=True)
def appe(session: Session, argument: str) -> None:
    """APPE: go on with the user's interrupted upload, or append to the file."""
    if take_range(session) != NO_RANGE:
        session.respond("450 REST does not go with APPE; send APPE again without it, or REST and STOR.")
        return
    _receive(session, "APPE", session.files.resolve(argument), append=True)


@command("STOU", "upload under a name that is not there yet", syntax="[<path>]", right="w", data=True)
def stou(session: Session, argument: str) -> None:
    """STOU: store under a name that does not exist yet, made from the given one."""
    if take_range(session) != NO_RANGE:
        session.respond("450 REST does not go with STOU; send STOU again without it.")
        return
    wanted = session.files.resolve(argument or "picture")
    if wanted == "/":
        wanted = "/picture"
    directory, name = paths.parent(wanted)
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    for _ in range(STOU_ATTEMPTS):
        unique = f"{stem[:200]}.{secrets.token_hex(6)}{dot}{suffix[:30]}"
        path = paths.join(directory, unique)
        try:
            _receive(session, "STOU", session.files.resolve(path), exclusive=True, announce=f"FILE: {unique}")
            return
        except AlreadyExists:
            continue
    session.respond("450 No unique name found; try again.")


def _receive(
    session: Session,
    command: str,
    path: str,
    *,
    offset: int | None = None,
    append: bool = False,
    exclusive: bool = False,
    announce: str = "",
) -> None:
    if session.no_data_connection():
        return
    if path == "/":
        session.respond("550 It is a directory, not a file.")
        return
    announced = session.state(_Announced)
    expected, announced.size = announced.size, None
    try:
        memory = UploadMemory(session.logged_in.charge)
        try:
            upload = _open_upload(
                session, path, offset=offset, append=append, exclusive=exclusive, expected=expected
            )
        except BaseException:
            memory.release()
            raise
    except AlreadyExists:
        if exclusive:
            raise
        session.respond("550 It exists already; choose another name.")
        return
    except StoreError as error:
        session.respond(refusal(error, Doing.WRITING))
        return
    if not session.alive:
        # Not `abort`: what the upload goes on from must stay.
        memory.release()
        session.host.spawn(upload.suspend())
        return
    done = "226 Stored safely."
    session.announce(announce or f"Ready for {one_line(path)}.")
    session.attach(Receiving(session, command, path, upload, done, session.logged_in.up, memory))


def _open_upload(
    session: Session, path: str, *, offset: int | None, append: bool, exclusive: bool, expected: int | None
) -> Upload:
    if not append and not offset:
        upload = session.files.upload_at_once(path, exclusive=exclusive, expected=expected)
        if upload is not None:
            return upload
    return session.wait(
        session.files.upload(path, offset=offset, append=append, exclusive=exclusive, expected=expected)
    )


# Downloads.


@command("RETR", "download one whole version of a file", syntax="<path>", right="r", data=True)
def retr(session: Session, argument: str) -> None:
    """RETR: one whole version of the file, from the byte that REST set."""
    offset, until = take_range(session)
    if session.no_data_connection():
        return
    path = session.files.resolve(argument)
    try:
        direct = not session.link.secure
        begun = begun_as_reported(session, path)
        opened = session.wait(_open(session.files, path, offset, until, session.logged_in.down, direct=direct))
    except StoreError as error:
        session.respond(refusal(error, Doing.READING))
        return
    # Clients like curl stop at the size that SIZE told, and take it for the whole.
    misled = begun is not None and begun != opened.whole
    if misled or not session.alive:
        let_go(opened.first)
        if opened.release is not None:
            session.host.spawn(opened.release())
        if misled:
            session.respond(
                f"550 SIZE told of your interrupted upload, the file has {opened.whole} bytes. Finish that upload, "
                "or store the file anew."
            )
        return
    with session.corked():
        session.announce(f"Opening data connection for {one_line(path)} ({opened.size} bytes).")
        session.attach(Sending(session, "RETR", path, opened.first, opened.rest, opened.release))
