"""Who may log in: replicated accounts, argon2id off the loop, and a memory for what was verified.

A camera logs in again for every picture, and argon2id is slow on purpose. So a verified password is remembered
for a while as a hash, keyed with a secret that exists only in this process, over account, password and the
account's revision: any change of the account makes the memory useless by itself.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import argon2
import structlog
from blake3 import blake3

from ftpgateway.access.backend import Backend
from ftpgateway.access.settings import AccessSettings
from raftstore.errors import Unavailable
from raftstore.types import User

log = structlog.get_logger()


class Credentials:
    """Verifies passwords against the replicated accounts."""

    def __init__(
        self, store: Backend, settings: AccessSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._ttl = settings.credential_ttl
        self._entries = settings.credential_entries
        self._queue = settings.password_queue
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._verified: OrderedDict[bytes, float] = OrderedDict()
        self._running: dict[bytes, asyncio.Future[bool]] = {}
        self._hasher = argon2.PasswordHasher()
        self._decoy: asyncio.Future[str] | None = None
        self._threads = ThreadPoolExecutor(settings.password_threads, thread_name_prefix="password")
        self.failures = 0

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def prepare(self) -> None:
        """Begin to make the hash that is verified in place of an unknown user's."""
        loop = asyncio.get_running_loop()
        self._decoy = loop.run_in_executor(self._threads, self._hasher.hash, secrets.token_hex(16))

    async def login(self, name: str, password: str) -> User | None:
        """Return the account if the password is right and the account enabled, None otherwise.

        Takes as long for an unknown or disabled account as for a wrong password. Raises NoQuorum when the
        accounts cannot be read, Unavailable when too many logins wait.
        """
        user = await self._store.user(name)
        known = user is not None and not user.disabled and bool(user.password_hash)
        hashed = user.password_hash if user is not None and known else await self._decoy_hash()
        right = await self._matches(name, password, hashed, user.revision if user is not None else -1)
        if right and known:
            return user
        self.failures += 1
        return None

    async def remembered(self, name: str, password: str) -> User | None:
        """Return the account if this password of it was verified lately; None says nothing. Raises NoQuorum."""
        if not self._verified:
            return None
        user = await self._store.user(name)
        if user is None or user.disabled or not user.password_hash:
            return None
        known = self._recall(self._key(name, password, user.password_hash, user.revision))
        return user if known else None

    def _recall(self, key: bytes) -> bool:
        until = self._verified.get(key)
        if until is None:
            return False
        if self._clock() < until:
            self._verified.move_to_end(key)
            return True
        del self._verified[key]
        return False

    async def _decoy_hash(self) -> str:
        if self._decoy is None:
            self.prepare()
        assert self._decoy is not None
        return await asyncio.shield(self._decoy)

    async def _matches(self, name: str, password: str, hashed: str, revision: int) -> bool:
        key = self._key(name, password, hashed, revision)
        if self._recall(key):
            return True
        running = self._running.get(key)
        if running is None:
            if len(self._running) >= self._queue:
                raise Unavailable("too many logins at once")
            running = asyncio.ensure_future(self._verify(key, hashed, password))
            self._running[key] = running
            running.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(running)

    async def _verify(self, key: bytes, hashed: str, password: str) -> bool:
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(self._threads, self._check, hashed, password)
        if right:
            self._verified[key] = self._clock() + self._ttl
            while len(self._verified) > self._entries:
                self._verified.popitem(last=False)
        return right

    def _check(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password.encode("utf-8", "surrogateescape"))
        except argon2.exceptions.VerifyMismatchError:
            return False
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError) as error:
            log.error("an account's password hash cannot be used", error=repr(error))
            return False

    def _key(self, name: str, password: str, hashed: str, revision: int) -> bytes:
        digest = blake3(key=self._secret)
        for part in (name, password, hashed, str(revision)):
            encoded = part.encode("utf-8", "surrogateescape")
            digest.update(len(encoded).to_bytes(4, "big") + encoded)
        return bytes(digest.digest())
