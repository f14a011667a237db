"""The accounts of users, as replicated: read after a barrier, changed by commands."""

from __future__ import annotations

from collections.abc import AsyncIterator

from raftstore.cluster.proposals import Barrier, Propose
from raftstore.metadata import Catalog
from raftstore.metadata.tables.accounts.accounts import user_to_message
from raftstore.metadata.tables.accounts.adoption import MAX_LOOKED_AT
from raftstore.types import Usage, User
from raftstore.util.limits.slices import next_slice
from raftstore.wire import commands_pb2 as commands

USERS = 100
"""Accounts that are read at a time: some milliseconds."""


class Accounts:
    """What front-ends and admin calls see and change of the accounts. Every call may raise StoreError."""

    def __init__(
        self,
        catalog: Catalog,
        barrier: Barrier,
        propose: Propose,
    ) -> None:
        self._catalog = catalog
        self._barrier = barrier
        self._propose = propose

    async def user(self, name: str) -> User | None:
        """Return an account, or None."""
        await self._barrier()
        return self._catalog.user(name)

    async def users(self) -> AsyncIterator[list[User]]:
        """Yield all accounts by name, some at a time: those that nobody changes meanwhile come exactly once."""
        await self._barrier()
        after = ""
        while True:
            await next_slice()
            users = self._catalog.users(after, USERS)
            if not users:
                break
            yield users
            after = users[-1].name

    async def put_user(self, user: User, *, create: bool = False, update: bool = False) -> None:
        """Make or change an account. Raises AlreadyExists (`create`), NotFound (`update`), Invalid.

        Changed (`update`): it is no longer at the revision that `user` has; with revision 0 that does not matter.
        """
        put = commands.PutUser(user=user_to_message(user), create=create, update=update)
        await self._propose(commands.Command(put_user=put))

    async def remove_user(self, name: str) -> None:
        """Remove an account; its files stay. Raises NotFound."""
        await self._propose(commands.Command(remove_user=commands.RemoveUser(name=name)))

    def usage(self, owner: str) -> Usage:
        """Return what an owner (an account's identity) has published, as this node has applied it."""
        return self._catalog.usage(owner)

    async def orphans(self) -> list[tuple[str, Usage]]:
        """Return the owners that have something and no account any more, by identity, and what they have published."""
        await self._barrier()
        return self._catalog.orphans()

    async def adopt(self, owner: str, name: str, after: int) -> tuple[int, int, bool]:
        """Hand some of what `owner`, who has no account any more, has left over to the account `name`.

        It goes on behind inode `after`; returns up to which it has come, how much was handed over, and whether that
        was all. Raises NotFound, Invalid.
        """
        adopt = commands.AdoptOwner(owner=owner, name=name, after=after, limit=MAX_LOOKED_AT)
        done = await self._propose(commands.Command(adopt_owner=adopt))
        return done.after, done.adopted, done.finished
