"""Who is signed in at the web: sessions that hold at every node, and what this node keeps of them while they are used.

A session is its token (`tokens`): no node has to know it before. The first request of one at a node opens a session of
the account there, as a login over FTP does, so that limits, rights and ends are the same; it is let go of when nobody
has used it for a while. To sign out makes a token worthless at this node, and at those that hear of it in passing.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from ftpgateway.access.access import Access
from ftpgateway.access.sessions import Session
from ftpgateway.serving.frontends import SecretsAndNews
from ftpgateway.serving.logs.refusallog import RefusalLog
from ftpgateway.serving.opensessions import KILLED, OpenSessions, Operation
from ftpgateway.serving.refusals import one_line
from ftpgateway.web import tokens
from ftpgateway.web.refusals import NotServing
from ftpgateway.web.settings import WebSettings
from ftpgateway.web.tokens import Token
from raftstore.errors import NoQuorum, StoreError
from raftstore.types import User
from raftstore.util.tasks import cancel_and_wait

log = structlog.get_logger()

SECRET = "web-session-key"
"""Name under which the cluster keeps the key that signs tokens."""
TOPIC = "web signed out"

PROTOCOL = "web"
MOST_OF_ACCOUNT = 50
"""Sessions of an account that are kept open at this node; one more lets go of the one that is unused for longest."""
MOST = 5_000
"""Of all accounts."""
MOST_ENDED = 20_000
"""Tokens that are known to be worthless, until they expire."""

_KEY_PAUSE = 1.0
_LOOK = 15.0


@dataclass(slots=True, eq=False)
class Moving:
    """A transfer, and how far it is."""

    path: str
    upload: bool
    began: float = field(default_factory=time.monotonic)
    size: int = 0
    complete: bool = False


class WebSession:
    """One session at this node: what it sees are `session.files`; `pictures` bounds how many are sent to it together.

    For operators it is one of the node's open sessions (`ftpgateway.serving.opensessions`).
    """

    protocol = PROTOCOL

    def __init__(
        self, owner: WebSessions, number: int, peer: str, token: Token, session: Session, pictures: int
    ) -> None:
        self._owner = owner
        self.number = number
        self.peer = peer
        self.began = time.time()
        self.token = token
        self.session = session
        self.pictures = asyncio.Semaphore(pictures)
        self.busy = 0
        """Requests under way."""
        self.used = 0.0
        """When the last one began, by the clock of its node's sessions."""
        self.refusals = RefusalLog(lambda: log.bind(session=number, user=session.name, peer=peer))
        self.moving: dict[Moving, None] = {}
        """Transfers under way."""
        self.on_end: set[Callable[[], None]] = set()
        """What to call when the account changes: transfers under way end then."""

    @property
    def name(self) -> str:
        """The account's name."""
        return self.session.name

    @property
    def user(self) -> str:
        """The account's name, as operators see it."""
        return self.session.name

    def operations(self) -> Sequence[Operation]:
        """Return its transfers."""
        now = time.monotonic()
        return [
            Operation("upload" if each.upload else "download", each.path, each.size, now - each.began)
            for each in self.moving
        ]

    def kill(self, reason: str) -> None:
        """End it, with what it has under way: for good if an operator ends this one, else at this node alone."""
        if reason == KILLED:
            self._owner.sign_out(self)
        else:
            self._owner.close(self)

    def leave(self, reason: str) -> None:
        """Let go of it at this node, unless it is busy: it holds at the others."""
        if not self.busy:
            self._owner.close(self)


class WebSessions:
    """The sessions of one node. On the loop."""

    def __init__(
        self,
        cluster: SecretsAndNews,
        access: Access,
        settings: WebSettings,
        known: OpenSessions,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._access = access
        self._settings = settings
        self._known = known
        self._wall, self._clock = wall, clock
        self._key: bytes | None = None
        self._open: OrderedDict[bytes, WebSession] = OrderedDict()
        self._opening: dict[bytes, asyncio.Task[WebSession | None]] = {}
        self._ended: OrderedDict[bytes, float] = OrderedDict()
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._open)

    def start(self) -> None:
        """Begin, on the running loop: get the key, or make it."""
        self._cluster.listen(TOPIC, self._heard)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._get_key(), name="web key"),
            loop.create_task(self._let_go(), name="web sessions"),
        ]

    async def stop(self) -> None:
        """Close all sessions."""
        await cancel_and_wait(*self._tasks)
        for opening in list(self._opening.values()):
            opening.cancel()
            await asyncio.wait([opening])
        for session in list(self._open.values()):
            self.close(session)

    async def _get_key(self) -> None:
        while True:
            try:
                key = await self._cluster.secret(SECRET)
                if key is None:
                    key = await self._cluster.agree_on_secret(SECRET, secrets.token_bytes(tokens.KEY_BYTES))
                self._key = key
                return
            except StoreError as error:
                log.info("web waits for the cluster's key", error=str(error))
                await asyncio.sleep(_KEY_PAUSE)

    @property
    def ready(self) -> bool:
        """Whether tokens can be made and read."""
        return self._key is not None

    # Signing in and out.

    async def sign_in(self, name: str, password: str, peer: str) -> tuple[WebSession, str] | None:
        """Return a new session and its token; None: a wrong password, an unknown or disabled account.

        Raises LoginRefused, StoreError, as `Access.password` and `Access.open` do.
        """
        if self._key is None:
            raise NoQuorum("this node does not know the key of the tokens yet")
        user = await self._access.password(name, password, peer)
        if user is None or self._access.is_anonymous(user):
            log.warning("login refused", user=one_line(name), peer=peer, protocol=PROTOCOL, reason="password")
            return None
        expires = int(self._wall()) + self._settings.session_time
        token = tokens.token_for(self._key, user, secrets.token_bytes(tokens.ID_BYTES), expires)
        session = await self._opened(token, user, peer)
        log.info("login", session=session.number, user=user.name, peer=peer, protocol=PROTOCOL)
        return session, tokens.written(self._key, token)

    async def of(self, text: str, peer: str) -> WebSession | None:
        """Return the session of a token, None when it is over or was none. Raises LoginRefused, StoreError."""
        if self._key is None or not text:
            return None
        token = tokens.read(self._key, text, self._wall())
        if token is None or token.number in self._ended:
            return None
        session = self._open.get(token.number)
        if session is not None:
            session.session.refresh()
            if not session.session.ended:
                return self._touched(session)
        opening = self._opening.get(token.number)
        if opening is None:
            opening = asyncio.get_running_loop().create_task(self._open_again(token, peer), name="web session")
            self._opening[token.number] = opening
            opening.add_done_callback(lambda _: self._opening.pop(token.number, None))
        return await asyncio.shield(opening)

    async def _open_again(self, token: Token, peer: str) -> WebSession | None:
        assert self._key is not None
        user = await self._access.account(token.name, token.revision)
        if user is None or user.owner != token.owner or user.sessions_since > token.revision:
            return None
        if tokens.stamp_of(self._key, user) != token.stamp:
            return None
        session = await self._opened(token, user, peer)
        if token.number in self._ended:  # meanwhile
            self.close(session)
            return None
        return session

    async def _opened(self, token: Token, user: User, peer: str) -> WebSession:
        if refusal := self._known.refusal():  # this node takes no clients now, whatever connection they have
            raise NotServing(refusal)
        self._make_place(user.name)

        def end(reason: str) -> None:
            made = self._open.get(token.number)
            if made is not None:
                self.close(made)

        opened = await self._access.open(user, PROTOCOL, end, peer=peer)
        number, pictures = self._known.next_number(), self._settings.pictures_at_once
        session = WebSession(self, number, peer, token, opened, pictures)
        self._open[token.number] = session
        self._known.add(session)
        log.info("session opened", session=number, user=user.name, peer=peer, protocol=PROTOCOL)
        return self._touched(session)

    def _make_place(self, name: str) -> None:
        own = [each for each in self._open.values() if each.name == name]
        full = own if len(own) >= MOST_OF_ACCOUNT else self._open.values() if len(self._open) >= MOST else ()
        idle = next((each for each in full if not each.busy), None)
        if idle is not None:
            self.close(idle)

    def _touched(self, session: WebSession) -> WebSession:
        session.used = self._clock()
        self._open.move_to_end(session.token.number)
        return session

    def sign_out(self, session: WebSession) -> None:
        """End a session for good: here, and where the other nodes hear of it."""
        self._end(session.token.number, session.token.expires)
        body = session.token.number + session.token.expires.to_bytes(8, "big")
        self._cluster.tell(TOPIC, body)
        log.info("logout", session=session.number, user=session.name, protocol=PROTOCOL)

    def _heard(self, node: str, body: bytes) -> None:
        number, expires = body[: tokens.ID_BYTES], body[tokens.ID_BYTES :]
        if len(number) == tokens.ID_BYTES and len(expires) == 8:
            self._end(number, int.from_bytes(expires, "big"))

    def _end(self, number: bytes, expires: int) -> None:
        self._ended[number] = expires
        while len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)
        session = self._open.get(number)
        if session is not None:
            self.close(session)

    def close(self, session: WebSession) -> None:
        """Let go of a session at this node; its token is worth what it was. Idempotent."""
        if self._open.get(session.token.number) is session:
            del self._open[session.token.number]
        self._known.discard(session)
        session.session.files.shut()
        session.session.close()
        for call in list(session.on_end):
            call()

    async def _let_go(self) -> None:
        """Close what nobody has used for a while, and forget tokens that have expired by themselves."""
        while True:
            await asyncio.sleep(_LOOK)
            unused = self._clock() - self._settings.session_kept
            for session in list(self._open.values()):
                if not session.busy and session.used < unused:
                    self.close(session)
            now = self._wall()
            for number in [number for number, expires in self._ended.items() if expires <= now]:
                del self._ended[number]
