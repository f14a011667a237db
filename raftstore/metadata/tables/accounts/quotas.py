"""What each owner has, and whether it may have more: files and bytes published, bytes in partial uploads.

From level 2 on a directory that an owner has made counts as a file: names cost the catalog, whatever is in them. So an
account without a quota of files has a bound, too, and it cannot begin more uploads than it may have files.

A file counts for the owner who put its present version, wherever it is moved and by whom: so renaming a directory
touches nobody's account. An owner is an identity (see `accounts`), of which there may be no account any more. What
counts is kept in memory and written with the transaction; it always equals what a count of the files would find. Growth
is refused beyond a quota, never what makes an owner's share smaller.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from raftstore.metadata.refusal import MAX_BYTES, MAX_INTEGER, Refusal
from raftstore.metadata.registry import Context, Schema, Table, Tables
from raftstore.metadata.tables.accounts.accounts import Accounts
from raftstore.types import Usage, User, owner_name
from raftstore.wire import commands_pb2 as commands

NAMES = 10_000_000
"""Files and directories of an account whose quota does not say how many, from level 2 on: as many as were measured."""

MAX_KNOWN = 4096
"""Owners kept in memory beyond the end of a transaction."""


@dataclass(slots=True)
class Share:
    """What an owner has: published files and directories, their bytes, and those of partial uploads."""

    files: int
    bytes: int
    partial_bytes: int


class Quotas(Table):
    """The table `usage`."""

    schemas = (
        Schema(
            "usage",
            "owner",
            """
CREATE TABLE usage (
  owner TEXT PRIMARY KEY,
  files INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  partial_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
""",
        ),
    )

    def __init__(self, database: sqlite3.Connection, user: Callable[[str], User | None], at: Context) -> None:
        """`at` tells the level in force."""
        super().__init__(database)
        self._executemany = database.cursor().executemany
        self._user = user
        self._at = at
        self._known: dict[str, Share] = {}
        self._changed: set[str] = set()

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with accounts, whose quotas they are."""
        return cls(tables.database, tables[Accounts].owner, tables.at)

    def migrate(self, level: int) -> None:
        """From level 2 on directories count for who has made them, as files do."""
        super().migrate(level)
        if level == 2:
            rows = self._execute(
                "SELECT owner, count(*) FROM entries WHERE kind = 2 AND name > '' GROUP BY owner"
            ).fetchall()
            for owner, directories in sorted(rows):
                self.count(owner, files=directories)
            self.flush()

    def usage(self, owner: str) -> Usage:
        """Return what `owner` has published."""
        try:
            share = self._of(owner)
        except UnicodeEncodeError:
            return Usage(0, 0)
        return Usage(share.files, share.bytes)

    def owners(self) -> list[tuple[str, Usage]]:
        """Return every owner that has anything, partial uploads too, and what of it is published."""
        found = {
            owner: Usage(files, size)
            for owner, files, size in self._execute("SELECT owner, files, bytes FROM usage").fetchall()
        }
        for owner in self._changed:  # not written yet
            share = self._known[owner]
            found[owner] = Usage(share.files, share.bytes)
            if not (share.files or share.bytes or share.partial_bytes):
                del found[owner]
        return sorted(found.items())

    def _of(self, owner: str) -> Share:
        share = self._known.get(owner)
        if share is None:
            row = self._execute(
                "SELECT files, bytes, partial_bytes FROM usage WHERE owner = ?", (owner,)
            ).fetchone()
            share = Share(*(row or (0, 0, 0)))
            if len(self._known) >= MAX_KNOWN:
                self._known = {name: self._known[name] for name in self._changed}
            self._known[owner] = share
        return share

    def share_of(self, owner: str) -> Share:
        """Return what an owner has, partial uploads too; not to be changed."""
        return self._known.get(owner) or self._of(owner)

    def load(self, owners: Sequence[str]) -> None:
        """Have what some owners have at hand, for what is asked next: one statement for all."""
        missing = [owner for owner in owners if owner not in self._known]
        if len(missing) < 2:
            return
        rows = self._execute(
            "SELECT usage.owner, files, bytes, partial_bytes FROM json_each(?) AS asked CROSS JOIN usage"
            " ON usage.owner = asked.value",
            (json.dumps(missing),),
        ).fetchall()
        if len(self._known) + len(missing) > MAX_KNOWN:
            self._known = {owner: self._known[owner] for owner in self._changed}
        self._known |= {owner: Share(0, 0, 0) for owner in missing}
        self._known |= {owner: Share(*counts) for owner, *counts in rows}

    def excess(self, owner: str, files: int, size: int) -> tuple[int, int]:
        """Return how many files, and bytes in them, too many `owner` would have with so many more; (0, 0): none."""
        if files <= 0 and size <= 0:
            return 0, 0
        share, user = self._known.get(owner) or self._of(owner), self._user(owner)
        if user is not None and not user.quota_bytes and not user.quota_files and self._at.level >= 2:
            # As mostly: only what bounds everybody counts.
            most_bytes, most_names = MAX_BYTES, NAMES
        else:
            most_bytes = min((user.quota_bytes if user is not None else 0) or MAX_BYTES, MAX_BYTES)
            most_names = self._most_names(user)
        names, more = share.files + files - most_names, share.bytes + size - most_bytes
        return names if names > 0 and files > 0 else 0, more if more > 0 and size > 0 else 0

    def check_published(self, owner: str, files: int, size: int) -> None:
        """Refuse with QUOTA when `owner` may not have so many more files, or bytes in them."""
        if files <= 0 and size <= 0:
            return
        share, user = self._of(owner), self._user(owner)
        most = (user.quota_bytes if user is not None else 0) or MAX_BYTES
        if size > 0 and share.bytes + size > min(most, MAX_BYTES):
            raise Refusal(
                commands.QUOTA, f"{owner_name(owner)} may have {most} bytes, not {share.bytes + size}"
            )
        most = self._most_names(user)
        if files > 0 and share.files + files > most:
            raise Refusal(
                commands.QUOTA, f"{owner_name(owner)} may have {most} files, not {share.files + files}"
            )

    def _most_names(self, user: User | None) -> int:
        if user is None:
            return MAX_INTEGER
        return user.quota_files or (NAMES if self._at.level >= 2 else MAX_INTEGER)

    def partial_names(self, owner: str, most: int) -> int:
        """Return how many partial uploads an owner may have, `most` in any case."""
        return min(most, self._most_names(self._user(owner))) if self._at.level >= 2 else most

    def check_partial(self, owner: str, size: int) -> None:
        """Refuse with QUOTA when the owner's partial uploads would take more than the quota by themselves.

        They do not count with what is published: their owner does not see them, and what replaces a file of its own
        fits into the quota although both together may not.
        """
        if size <= 0:
            return
        after = self._of(owner).partial_bytes + size
        user = self._user(owner)
        most = (user.quota_bytes if user is not None else 0) or MAX_BYTES
        if after > min(most, MAX_BYTES):
            raise Refusal(commands.QUOTA, f"{owner_name(owner)} may have {most} bytes begun, not {after}")

    def count(self, owner: str, *, files: int = 0, size: int = 0, partial_bytes: int = 0) -> None:
        """Add to what an owner has."""
        share = self._known.get(owner) or self._of(owner)
        share.files += files
        share.bytes += size
        share.partial_bytes += partial_bytes
        self._changed.add(owner)

    def count_each(self, owners: Sequence[str], *, files: int, size: int) -> None:
        """Add as much to what each of some owners has."""
        for owner in owners:
            share = self._known.get(owner) or self._of(owner)
            share.files += files
            share.bytes += size
            self._changed.add(owner)  # before the next is looked up: what was changed stays at hand

    def flush(self) -> None:
        """Write what has changed into the current transaction."""
        if not self._changed:
            return
        rows, gone = [], []
        for owner in self._changed:
            share = self._known[owner]
            if share.files or share.bytes or share.partial_bytes:
                rows.append((owner, share.files, share.bytes, share.partial_bytes))
            else:
                gone.append((owner,))
        self._changed.clear()
        self._executemany("INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?)", rows)
        if gone:
            self._executemany("DELETE FROM usage WHERE owner = ?", gone)
