"""What is staged of large files: chunks that came ahead of the command that publishes them (`longcontents` says why).

The table `staged`, from level 2 on. What is staged lives as a reservation does (`reservations`): as long as the boot of
its node, or the node's membership. Nobody sees it, and it counts for nobody until it is published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Self

from raftstore.metadata.refusal import Refusal, check_label
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.accounts.accounts import Accounts
from raftstore.metadata.tables.cluster.intents import Intents
from raftstore.metadata.tables.cluster.state import State
from raftstore.metadata.tables.contents import longcontents
from raftstore.metadata.tables.contents.contents import Contents, Piece
from raftstore.metadata.tables.contents.replicas import DEFAULT, joined
from raftstore.types import MAX_CHUNKS
from raftstore.wire import commands_pb2 as commands

MAX_OF_NODE = 1_000
"""Contents that a node may have staged at a time."""


@dataclass(frozen=True, slots=True)
class Staged:
    """What `node` has staged in `boot` under the number `content`: so many chunks, of `size` bytes together."""

    content: int
    node: str
    boot: int
    chunks: int
    size: int


@dataclass(frozen=True, slots=True)
class Copied:
    """The content of the published file `source`, not empty; `inode`: the one that has it too, once it is held."""

    source: int
    inode: int = 0


Content = Staged | Copied | list[Piece]
"""What a version is to consist of."""


class Staging(Table):
    """The table, whole in memory, and the commands that take the chunks of long contents a slice at a time."""

    schemas = (
        Schema(
            "staged",
            "content",
            """CREATE TABLE staged (
  content INTEGER PRIMARY KEY,
  node TEXT NOT NULL,
  boot INTEGER NOT NULL,
  chunks INTEGER NOT NULL,
  size INTEGER NOT NULL
) STRICT""",
            level=2,
        ),
    )

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._state = tables[State]
        self._contents = tables[Contents]
        self._accounts = tables[Accounts]
        self._intents = tables[Intents]
        self._known: dict[int, Staged] = {}
        self.boots: dict[str, int] = {}
        """Of the nodes that have some."""
        self._counts: Counter[str] = Counter()
        if self._execute("SELECT 1 FROM sqlite_schema WHERE name = 'staged'").fetchone():
            for row in self._execute("SELECT * FROM staged ORDER BY content").fetchall():
                self._note(Staged(*row))

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with the chunks, whose they will be, and who the members are."""
        return cls(tables)

    def _note(self, staged: Staged) -> None:
        self._counts[staged.node] += staged.content not in self._known
        self._known[staged.content] = staged
        self.boots[staged.node] = staged.boot

    def all(self) -> list[Staged]:
        """Return all, by number."""
        return sorted(self._known.values(), key=lambda staged: staged.content)

    @handles("stage_content", level=2)
    def stage(self, command: commands.StageContent, at: Context) -> commands.Result:
        """Take some chunks. Refuses with CHANGED, INVALID, QUOTA, STALE, and as `plan`."""
        before = self._begun(command)
        size = sum(chunk.length for chunk in command.chunks)
        chunks = before.chunks + len(command.chunks)
        if not 0 < len(command.chunks) <= longcontents.SLICE or chunks > MAX_CHUNKS:
            raise Refusal(commands.INVALID, f"at most {longcontents.SLICE} chunks are staged at a time")
        plan = self._contents.plan(command.chunks, size, command.since)
        content = before.content or self._state.new_inode()
        staged = replace(before, content=content, chunks=chunks, size=before.size + size)
        self._contents.stage(content, plan, self._accounts.replicas(command.owner) or DEFAULT, before.chunks)
        self._execute(
            "INSERT OR REPLACE INTO staged VALUES (?, ?, ?, ?, ?)",
            (content, staged.node, staged.boot, staged.chunks, staged.size),
        )
        self._note(staged)
        return commands.Result(inode=content)

    def _begun(self, command: commands.StageContent) -> Staged:
        """Return what a command goes on with. Refuses."""
        node, boot = command.node, command.boot
        check_label(node, "a node's name")
        check_label(command.owner, "an owner")
        self._intents.check_boot(node, boot, "content is staged")
        if boot < self.boots.get(node, 0):
            raise Refusal(commands.STALE, f"node {node} was started again")
        if not command.content:
            if self._counts[node] >= MAX_OF_NODE:
                raise Refusal(commands.QUOTA, f"node {node} has {MAX_OF_NODE} large files under way")
            begun = Staged(0, node, boot, 0, 0)
        else:
            begun = self.find(command.content)
        if (begun.node, begun.boot, begun.chunks) != (node, boot, command.offset):
            raise Refusal(commands.CHANGED, f"{begun.chunks} chunks of it were staged, not {command.offset}")
        return begun

    def find(self, content: int) -> Staged:
        """Return what is staged under a number. Refuses with CHANGED."""
        found = self._known.get(content)
        if found is None:
            raise Refusal(commands.CHANGED, "what was staged of the file is gone")
        return found

    @handles("unstage_content", level=2)
    def unstage(self, command: commands.UnstageContent, at: Context) -> None:
        """Nobody will publish it. Nothing happens when it is not there, or another boot's."""
        found = self._known.get(command.content)
        if found is not None and (found.node, found.boot) == (command.node, command.boot):
            self._leave([found])

    @handles("forget_contents", level=2)
    def forget(self, command: commands.ForgetContents, at: Context) -> None:
        """Give up some chunks of contents that nobody has any more. Refuses with INVALID."""
        if not 0 < command.limit <= longcontents.SLICE:
            raise Refusal(commands.INVALID, f"at most {longcontents.SLICE} chunks go at a time")
        self._contents.give_up(command.limit)

    # What is published, or kept as a partial upload: staged before, or all in that command.

    def content(self, command: commands.PutFile | commands.PutPartial, quorum: int) -> Content:
        """Return what a command is about. Refuses as `plan` and `check_quorum`, and with CHANGED when it is gone."""
        if not command.content:
            plan = self._contents.plan(command.chunks, command.size, command.since)
            self._contents.check_quorum(plan, quorum)
            return plan
        staged = self.find(command.content)
        if staged.size != command.size or command.chunks:
            raise Refusal(commands.INVALID, f"{staged.size} bytes were staged, not {command.size}")
        self._contents.check_staged(staged.content, quorum)
        return staged

    def hold(self, content: Content, owner: str) -> Content:
        """Take what is copied for a file of `owner`: its source may give way to the copy."""
        if not isinstance(content, Copied):
            return content
        inode = self._state.new_inode()
        self._contents.share(content.source, [inode], self._accounts.replicas(owner) or DEFAULT)
        return replace(content, inode=inode)

    def new_inode(self, content: Content) -> int:
        """Return a number that no file has for one that will have `content`."""
        if isinstance(content, Copied):
            return content.inode
        return content.content if isinstance(content, Staged) else self._state.new_inode()

    def give(
        self,
        inode: int,
        content: Content,
        owner: str,
        *,
        published: bool,
        others: Sequence[int] = (),
        demand: int = 0,
        fresh: bool = False,
    ) -> None:
        """Make it the content of `inode`, which has none; of the files `others`, too, whose owners `demand` copies.

        `fresh`: the number `inode` is from `new_inode`, for this.
        """
        own = self._accounts.replicas(owner) or DEFAULT
        wanted = joined(own, demand) if demand else own
        if isinstance(content, list):
            self._contents.acquire(inode, content, wanted, published=published, others=others, fresh=fresh)
            return
        if isinstance(content, Copied):
            if content.inode != inode:
                self._contents.hand_over(content.inode, inode)
            self._contents.share(inode, others, wanted)
            return
        self._take(content)
        if published:
            self._contents.publish_staged(inode, content.content)
        self._contents.share(inode, others, wanted)

    def discard(self, content: int) -> None:
        """There is no file any more that would have what was staged."""
        if content in self._known:
            self._leave([self._known[content]])

    def _take(self, staged: Staged) -> None:
        del self._known[staged.content]
        self._counts[staged.node] -= 1
        if not self._counts[staged.node]:
            del self.boots[staged.node], self._counts[staged.node]
        self._execute("DELETE FROM staged WHERE content = ?", (staged.content,))

    def _leave(self, unwanted: Collection[Staged]) -> None:
        for staged in unwanted:
            self._take(staged)
            self._contents.leave(staged.content)

    def booted(self, node: str, boot: int) -> None:
        """An operation of a node's `boot` was applied: its earlier ones are over."""
        if self.boots.get(node, boot) < boot:
            self._leave([staged for staged in self.all() if staged.node == node and staged.boot < boot])

    def keep_of(self, members: Collection[str]) -> None:
        """Leave what is of all other nodes: these are no members any more."""
        self._leave([staged for staged in self.all() if staged.node not in members])
