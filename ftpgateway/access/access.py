"""The outside of the package: one `Access` a node, asked by every front-end."""

from __future__ import annotations

from ftpgateway.access.backend import Backend
from ftpgateway.access.credentials import Credentials
from ftpgateway.access.keys import matching
from ftpgateway.access.sessions import OnEnd, Session, Sessions
from ftpgateway.access.settings import AccessSettings
from raftstore.types import User


class Access:
    """Decides who may log in, and knows who has."""

    def __init__(self, store: Backend, settings: AccessSettings) -> None:
        self._store = store
        self._credentials = Credentials(store, settings)
        self._sessions = Sessions(store)

    def start(self) -> None:
        """Begin to work, on the running loop."""
        self._credentials.prepare()
        self._store.watch_accounts(self._sessions.account_changed)

    def stop(self) -> None:
        """End the threads; the front-ends have stopped."""
        self._credentials.close()

    async def password(self, name: str, password: str, peer: str) -> User | None:
        """Return the account if the password is right and the account enabled, None otherwise.

        `peer` is the client's address. Raises NoQuorum when the accounts cannot be read, Unavailable when too many
        logins wait.
        """
        return await self._credentials.login(name, password)

    async def key_allowed(self, name: str, key: bytes) -> User | None:
        """Return the account if it is enabled and `key` (SSH wire format) is one of its keys, None otherwise.

        The caller has to see a signature made with that key. Raises NoQuorum when the accounts cannot be read.
        """
        user = await self._store.user(name)
        if user is None or user.disabled or matching(user.authorized_keys, key) is None:
            return None
        return user

    async def open(self, user: User, protocol: str, on_end: OnEnd, *, key: bytes | None = None) -> Session:
        """Begin a session of an account just verified, by `key` if one was; its home is made where it is missing.

        `on_end` is called once, on the loop, with a sentence for the client when the account is removed, disabled, or
        otherwise no longer what the session was opened with: end it then, and publish nothing more of it. Raises
        LoginRefused when the account has as many sessions as it may have, StoreError.
        """
        line = matching(user.authorized_keys, key) if key is not None else None
        session = self._sessions.open(user, protocol, on_end, line)
        try:
            await session.files.make_home()
        except BaseException:
            session.close()
            raise
        return session

    @property
    def failures(self) -> int:
        """How many wrong passwords there were since the start."""
        return self._credentials.failures

    def sessions_of(self, name: str) -> int:
        """Return how many sessions an account has at this node."""
        return self._sessions.of(name)
