"""The outside of the package: one `Access` a node, asked by every front-end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from ftpgateway.access.backend import Backend
from ftpgateway.access.ledger import Holder, Ledger
from ftpgateway.access.login.credentials import Credentials
from ftpgateway.access.login.guard import Guard
from ftpgateway.access.login.keys import matching
from ftpgateway.access.login.loginqueue import LoginQueue
from ftpgateway.access.refusal import LoginRefused
from ftpgateway.access.sessions import AccountSessions, OnEnd, Session, Sessions
from ftpgateway.access.settings import AccessSettings
from ftpgateway.access.tree import Mount, all_mounts
from raftstore.errors import NotFound
from raftstore.rights import ROLES
from raftstore.types import User
from raftstore.util.metrics import Metrics, counter
from raftstore.util.networks import network_of
from raftstore.wire import news_pb2

log = structlog.get_logger()

ANONYMOUS = frozenset({"anonymous", "ftp"})
TOPIC = "logins"

TELL_EVERY = 0.2
"""Seconds for which failed logins are gathered before the other nodes are told."""


class Access:
    """Decides who may log in, and knows who has."""

    def __init__(
        self,
        store: Backend,
        settings: AccessSettings,
        *,
        mounts: Sequence[Mount] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`mounts`: what can be mounted in the view of a session, None: all that there is."""
        self._store = store
        self._settings = settings
        self._credentials = Credentials(store, settings, clock=clock)
        self._guard = Guard(settings.slowness, clock)
        self._login_queue = LoginQueue(
            max(1, settings.password_threads // 2), settings.password_queue_per_network
        )
        self.ledger = Ledger(settings.ledger)
        """What all clients of the node hold."""
        self._sessions = Sessions(
            store, self.ledger, all_mounts() if mounts is None else mounts, settings.people
        )
        self._telling: asyncio.TimerHandle | None = None
        self._refused = self._accepted = self._keys_refused = 0
        self._anonymous: User | None = None
        if settings.anonymous_root is not None:
            self._anonymous = User("anonymous", "", home=settings.anonymous_root, rights=ROLES["read-only"])

    def start(self) -> None:
        """Begin to work, on the running loop."""
        self._credentials.prepare()
        self._store.watch_accounts(self._sessions.account_changed)
        self._store.listen(TOPIC, self._hear)

    def stop(self) -> None:
        """End the threads; the front-ends have stopped."""
        if self._telling is not None:
            self._telling.cancel()
        self._credentials.close()

    # Logging in.

    async def password(self, name: str, password: str, peer: str) -> User | None:
        """Return the account if the password is right and the account enabled, None otherwise.

        `peer` is the client's address. None comes `failed_delay` after the call, be it for a wrong password, an unknown
        or disabled account, or since there were too many wrong ones from that address, at whatever node: so nobody
        learns which it was, and with it who has an account or has logged in from there. Raises LoginRefused when too
        many from that address ask at once; NoQuorum when the accounts cannot be read; Unavailable when too many logins
        wait.
        """
        if self._anonymous is not None and name in ANONYMOUS:
            return self._anonymous
        network = network_of(peer)
        begun = time.monotonic()
        user = await self._verified(network, name, password)
        if user is None:
            await asyncio.sleep(begun + self._settings.failed_delay - time.monotonic())
        else:
            self._guard.succeeded(network, name)
        return user

    async def _verified(self, network: str, name: str, password: str) -> User | None:
        if self._held_back(network, name):
            return None
        user = await self._credentials.remembered(name, password)
        if user is None:
            async with self._login_queue.slot(network):
                if self._held_back(network, name):
                    return None
                user = await self._credentials.login(name, password)
                if user is None:
                    self._note_failure(network, name)
        return user

    def _held_back(self, network: str, name: str) -> bool:
        """Whether its password is not looked at: there were too many wrong ones."""
        if self._guard.wait(network, name) <= 0:
            return False
        self._refused += 1
        return True

    def _note_failure(self, network: str, name: str) -> None:
        seconds = self._guard.failed(network, name)
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(TELL_EVERY, self._tell)
        if seconds > 0:
            log.warning(
                "logins slowed down",
                network=network,
                user=name,
                seconds=round(seconds, 1),
                failures=self._credentials.failures,
                refused=self._refused,
            )

    def _tell(self) -> None:
        self._telling = None
        failures = [
            news_pb2.Failures(network=network, count=count) for network, count in self._guard.news().items()
        ]
        self._store.tell(TOPIC, news_pb2.LoginFailures(failures=failures).SerializeToString())

    def _hear(self, node: str, body: bytes) -> None:
        for failures in news_pb2.LoginFailures.FromString(body).failures:
            self._guard.heard(failures.network, failures.count)

    async def key_allowed(self, name: str, key: bytes) -> User | None:
        """Return the account if it is enabled and `key` (SSH wire format) is one of its keys, None otherwise.

        The caller has to see a signature made with that key. Raises NoQuorum when the accounts cannot be read.
        """
        user = await self._store.user(name)
        if user is None or user.disabled or matching(user.authorized_keys, key) is None:
            return None
        return user

    def note_keys_refused(self) -> None:
        """Count a connection that ended without a login, and had offered keys: all of them are one failure."""
        self._keys_refused += 1

    def is_anonymous(self, user: User) -> bool:
        """Whether it is the user that everybody may be, who has no account."""
        return user is self._anonymous

    async def account(self, name: str, revision: int) -> User | None:
        """Return an account that was there with this revision at some node, None when it is removed or disabled.

        What this node has applied does if it is as new; otherwise the cluster is asked. Raises NoQuorum.
        """
        user = self._store.cached_user(name)
        if user is None or user.revision < revision:
            user = await self._store.user(name)
        return None if user is None or user.disabled else user

    async def open(
        self, user: User, protocol: str, on_end: OnEnd, *, key: bytes | None = None, peer: str = ""
    ) -> Session:
        """Begin a session of an account just verified, by `key` if one was; its home is made where it is missing.

        `peer` is the client's address, to which what it holds is charged.

        `on_end` is called once, on the loop, with a sentence for the client when the account is removed, disabled, or
        otherwise no longer what the session was opened with: end it then, and publish nothing more of it. Raises
        LoginRefused when the account has as many sessions as it may have, StoreError.
        """
        line = matching(user.authorized_keys, key) if key is not None else None
        # Everybody is anonymous: what one of them holds counts for the address alone.
        anonymous = user is self._anonymous
        holder = Holder("" if anonymous else user.name, network_of(peer) if peer else "")
        session = self._sessions.open(user, protocol, on_end, line or "", holder, fixed=anonymous)
        try:
            if user is self._anonymous:
                await self._find_anonymous_root(session)
            else:
                await session.files.make_home()
        except BaseException:
            session.close()
            raise
        self._accepted += 1
        return session

    async def _find_anonymous_root(self, session: Session) -> None:
        """Raise LoginRefused where there is none: a login without a password makes nothing."""
        try:
            await session.files.entry("/")
        except NotFound:
            home = session.user.home
            raise LoginRefused(
                f"There is no directory {home} for anonymous users; its operator has to make it"
            ) from None

    # Numbers.

    def meter(self, metrics: Metrics) -> None:
        """Have what is counted of logins, sessions and their clients collected."""
        for component in (self, self._sessions, self.ledger):
            metrics.add(component)

    def account_sessions(self) -> AccountSessions:
        """Return the metric that names accounts."""
        return self._sessions.by_account()

    @property
    def failures(self) -> int:
        """How many wrong passwords there were since the start."""
        return self._credentials.failures

    @property
    def refused(self) -> int:
        """How many logins were refused without a look at the password since the start."""
        return self._refused

    @counter(
        "pixraft_logins_total",
        "Logins: those that began a session, with a wrong password, whose password was not looked at after too many "
        "wrong ones, and connections that ended after nothing but public keys with which nobody comes in.",
        label="result",
        values=("accepted", "wrong_password", "held_back", "wrong_key"),
    )
    def logins(self) -> dict[str, int]:
        """By result."""
        return {
            "accepted": self._accepted,
            "wrong_password": self.failures,
            "held_back": self.refused,
            "wrong_key": self._keys_refused,
        }

    def sessions_of(self, name: str) -> int:
        """Return how many sessions an account has at this node."""
        return self._sessions.of(name)
