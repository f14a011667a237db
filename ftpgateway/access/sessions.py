"""Who is logged in at this node, over whatever protocol: counted, and ended when the account changes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from ftpgateway.access.account import Account
from ftpgateway.access.ledger import Charge, Holder, Ledger
from ftpgateway.access.login.throttle import Throttle
from ftpgateway.access.refusal import LoginRefused
from ftpgateway.access.settings import PeopleSettings
from ftpgateway.access.tree import Mount
from ftpgateway.access.workspace import Workspace
from raftstore.rights import Action, Actor, why_ended
from raftstore.types import User
from raftstore.util.metrics import gauge

if TYPE_CHECKING:
    from ftpgateway.access.backend import Backend

log = structlog.get_logger()

MOST_ACCOUNTS = 1000
"""Names of accounts in a metric."""

OnEnd = Callable[[str], None]


class Session:
    """One client that is logged in; `files` is what it sees of the store. `close` it once."""

    def __init__(
        self,
        registry: Sessions,
        store: Backend,
        user: User,
        protocol: str,
        on_end: OnEnd,
        key: str,
        holder: Holder,
        fixed: bool,
    ) -> None:
        self._registry = registry
        self.holder = holder
        """To whom the ledger charges what the session holds."""
        self.charge: Callable[..., Charge] = functools.partial(registry.ledger.charge, holder)
        """Holds an amount of a Resource of the node for this session, until the charge is released. Raises
        LimitReached."""
        self._store = store
        self._opened = self._current = user
        self.name = user.name
        """The account's name."""
        self._on_end = on_end
        self._key = key
        self._fixed = fixed
        self._ended = False
        self.protocol = protocol
        actor = Actor.anonymous_user(user) if fixed else Actor.session(user, key)
        self.files = Workspace(
            store,
            Account(user, store.level),
            actor,
            hold=self.charge,
            mounts=registry.mounts,
            people=registry.people,
        )
        self.up, self.down = registry.throttles(user)
        """How fast it may send and be sent to, with all other sessions of its user at this node."""

    @property
    def user(self) -> User:
        """The account as this node knows it now; of a session that has to end, as it was."""
        self.refresh()
        return self.files.account.user

    @property
    def ended(self) -> bool:
        """Whether the session has to end, because the account changed; `on_end` was told."""
        return self._ended

    def may(self, action: Action, path: str, *, own: bool = False) -> bool:
        """Return whether the account has the right to `action` at `path`; `own`: the file there is its own."""
        self.refresh()
        return not self._ended and self.files.may(action, path, own=own)

    def refresh(self) -> None:
        """Take the account as it is now; end the session when it may not go on."""
        if self._ended or self._fixed:
            return
        current = self._store.cached_user(self.name)
        if current is self._current:
            return
        reason = why_ended(self._opened, current, self._key)
        if reason is not None:
            self._ended = True
            # What it has under way, removing a large directory say, goes no further.
            self.files.shut()
            log.info(
                "session ended: its account changed", user=self.name, protocol=self.protocol, reason=reason
            )
            self._on_end(reason)
        elif current is not None:
            self._current = current
            self.files.renew(Account(current, self._store.level))
            self.up.rate, self.down.rate = current.upload_rate, current.download_rate

    def close(self) -> None:
        """The client is gone. Idempotent."""
        self._ended = True
        self._registry.closed(self)


class Sessions:
    """All sessions of a node, by account."""

    def __init__(
        self, store: Backend, ledger: Ledger, mounts: Sequence[Mount], people: PeopleSettings | None = None
    ) -> None:
        """`mounts`: what can be mounted in a session's view."""
        self.people = people
        self._store = store
        self.ledger = ledger
        self.mounts = mounts
        self._by_user: dict[str, set[Session]] = {}
        self._throttles: dict[str, tuple[Throttle, Throttle]] = {}

    def open(
        self,
        user: User,
        protocol: str,
        on_end: OnEnd,
        key: str,
        holder: Holder,
        *,
        fixed: bool = False,
    ) -> Session:
        """Begin a session; of a `fixed` user there is no account that could change.

        Raises LoginRefused when the account has as many as it may have, or was changed just now.
        """
        reason = why_ended(user, self._store.cached_user(user.name), key) if not fixed else None
        if reason is not None:  # while its password was verified
            raise LoginRefused(reason)
        if user.max_sessions and self.of(user.name) >= user.max_sessions:
            raise LoginRefused("You have as many sessions as you may have; end one of them first.")
        session = Session(self, self._store, user, protocol, on_end, key, holder, fixed)
        self._by_user.setdefault(user.name, set()).add(session)
        return session

    def closed(self, session: Session) -> None:
        """A session is over."""
        there = self._by_user.get(session.name)
        if there is not None:
            there.discard(session)
            if not there:
                del self._by_user[session.name]
                self._throttles.pop(session.name, None)

    def throttles(self, user: User) -> tuple[Throttle, Throttle]:
        """Return what bounds the uploads and the downloads of a user's sessions."""
        found = self._throttles.get(user.name)
        if found is None:
            found = self._throttles[user.name] = (Throttle(user.upload_rate), Throttle(user.download_rate))
        return found

    def of(self, name: str) -> int:
        """Return how many sessions an account has at this node."""
        return len(self._by_user.get(name, ()))

    @gauge("pixraft_sessions", "Sessions of clients that are logged in at this node.")
    def count(self) -> float:
        """How many."""
        return sum(map(len, self._by_user.values()))

    def by_account(self) -> AccountSessions:
        """Return the metric that names accounts, for nodes whose operator wants that."""
        return AccountSessions(self._by_user)

    def account_changed(self, name: str | None) -> None:
        """Look at the sessions of an account (None: of all) again."""
        names = list(self._by_user) if name is None else [name]
        for each in names:
            for session in list(self._by_user.get(each, ())):
                session.refresh()


class AccountSessions:
    """Sessions by account: names of users, which nobody collects unless an operator says so."""

    def __init__(self, by_user: Mapping[str, Collection[Session]]) -> None:
        self._by_user = by_user

    @gauge(
        "pixraft_account_sessions",
        "Sessions at this node by account; only with `metrics.accounts`.",
        label="account",
        most=MOST_ACCOUNTS,
    )
    def count(self) -> dict[str, int]:
        """How many."""
        return {name: len(sessions) for name, sessions in self._by_user.items()}
