"""Plain values that pass between the store's rooms and its front-ends."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

DIGEST_SIZE = 32
"""Length of a chunk's name, a BLAKE3 hash, in bytes."""

CHUNK_SIZE = 1024 * 1024
"""Bytes of a file in one chunk; only the last chunk of a file is shorter."""

MAX_CHUNKS = 8192
"""Chunks of a file: with any number of stores each, the command that publishes it stays below consensus' bound."""

MAX_FILE_SIZE = MAX_CHUNKS * CHUNK_SIZE
"""Bytes of the largest file."""


class Kind(enum.IntEnum):
    """What a name stands for."""

    FILE = 1
    DIRECTORY = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in the catalog. `version` is the log index of the last change of content; times are in ns."""

    name: str
    kind: Kind
    inode: int
    size: int
    mtime_ns: int
    owner: str
    version: int

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.kind is Kind.DIRECTORY


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries of a directory that follow each other, all of one moment.

    `directory` is its inode, with which the next page is asked for; `path` is where it was then. `more`: there may be
    further ones, behind the name `last`: not all that were looked at need be among `entries`.
    """

    directory: int
    path: str
    entries: Sequence[Entry]
    more: bool
    last: str = ""


class Order(enum.Enum):
    """How a listing is sorted: by name in the order of its bytes, newest first, largest first."""

    NAME = "name"
    TIME = "time"
    SIZE = "size"


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """One chunk of a file: BLAKE3 digest (32 bytes), length in bytes, stores on which it is durable.

    `copies`: how many it should have; only told of chunks that have too few.
    """

    digest: bytes
    length: int
    stores: tuple[int, ...]
    copies: int = 0


class Wanted(NamedTuple):
    """How many copies a chunk should have: `default`, or what its owner wants, but never more than `most`."""

    default: int
    most: int = 1 << 30


@dataclass(frozen=True, slots=True)
class FileVersion:
    """One whole version of a file, fixed when it was looked up; later changes do not touch it."""

    entry: Entry
    chunks: tuple[ChunkRef, ...]


class Span:
    """`length` bytes at `offset` of the open file `fd`, verified, to be sent; `close` it afterwards, at any time."""

    __slots__ = ("_release", "fd", "length", "offset")

    def __init__(self, fd: int, offset: int, length: int, release: Callable[[], None]) -> None:
        self.fd = fd
        self.offset = offset
        self.length = length
        self._release: Callable[[], None] | None = release

    def __len__(self) -> int:
        return self.length

    def cut(self, start: int, stop: int) -> None:
        """Keep only what is from byte `start` to `stop`."""
        self.offset += start
        self.length = stop - start

    def close(self) -> None:
        """Give the file back."""
        release, self._release = self._release, None
        if release is not None:
            release()


@dataclass(frozen=True, slots=True)
class Partial:
    """What an interrupted upload left for its owner to resume; `size` is the sum of the chunks."""

    path: str
    owner: str
    size: int
    mtime_ns: int
    chunks: tuple[ChunkRef, ...]


@dataclass(frozen=True, slots=True)
class PartialUpload:
    """A partial upload as operators see it. `age` in ticks; `place` is its key, in the order of which they are told."""

    path: str
    owner: str
    size: int
    mtime_ns: int
    age: int
    place: tuple[int, str, str]


class Rule(NamedTuple):
    """What an account may do in and below the directory `path`, in place of its other rights ("": nothing)."""

    path: str
    rights: str


class Usage(NamedTuple):
    """What an owner has published; the owner of a file is who has put its present version."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class User:
    """An account. `rights` are letters (see `raftstore.metadata.tables.accounts.accounts.RIGHTS`).

    `replicas`: copies of each of its pictures, 0 for as many as the cluster makes. Of the limits 0 means none; rates
    are in bytes a second, and as the sessions counted at one node. `sessions_since`: the revision before which no
    session may have been opened that goes on. `trash_ns`: how long what it had put is kept when that is removed, in
    cluster time. A `person` has an inbox, with limits of its own; what it sends is gone after `expires_ns` of cluster
    time, if nothing else is asked for.
    """

    name: str
    password_hash: str
    home: str = "/"
    rights: str = "elradfmwMT"
    quota_bytes: int = 0
    disabled: bool = False
    revision: int = 0
    replicas: int = 0
    quota_files: int = 0
    rules: tuple[Rule, ...] = ()
    authorized_keys: tuple[str, ...] = ()
    upload_rate: int = 0
    download_rate: int = 0
    max_sessions: int = 0
    identity: str = ""
    sessions_since: int = 0
    trash_ns: int = 0
    person: bool = False
    expires_ns: int = 0
    inbox_bytes: int = 0
    inbox_files: int = 0
    sender_bytes: int = 0
    sender_files: int = 0
    owner: str = field(init=False, repr=False, compare=False)
    """Who owns what the account puts: its identity, which no other account ever has.

    An account that is made anew under an old name gets another. Those from before level 2 have their names.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "owner", self.identity or self.name)


IDENTITY_MARK = "/"
"""Between name and number in an identity; no name has it."""


def owner_name(identity: str) -> str:
    """Return the name that an owner has, or had, for people."""
    return identity.partition(IDENTITY_MARK)[0]


class DeliveryState(enum.IntEnum):
    """What has become of something that was sent, as far as one recipient is concerned.

    REFUSED: a member of the group did not take it, whose others did. BOUNCED: the account was removed before it was
    opened.
    """

    DELIVERED = 1
    OPENED = 2
    KEPT = 3
    RECALLED = 4
    EXPIRED = 5
    REFUSED = 6
    BOUNCED = 7


class EventKind(enum.IntEnum):
    """What an event tells of. The first ones are the states that a delivery comes to (`DeliveryState`).

    BOUNCED: somebody is no person any more, so all that was not opened there, if there was any, counts as bounced.

    RESTORED: a file was moved out of the trash. TRASH_ENDED: files in it have expired. RETAINED: retention has removed
    files of a directory. UPLOADED: a version was published; only while a webhook asks for these. NODE_DOWN, NODE_UP: a
    member cannot be reached from the leader, or can be again.
    """

    DELIVERED = 1
    OPENED = 2
    KEPT = 3
    RECALLED = 4
    EXPIRED = 5
    BOUNCED = 7
    RESTORED = 16
    TRASH_ENDED = 17
    RETAINED = 18
    UPLOADED = 32
    NODE_DOWN = 40
    NODE_UP = 41


@dataclass(frozen=True, slots=True)
class Event:
    """Something that the log has done. `number`: 1, 2, 3 and so on; `index`: log index; `time_ns`: cluster time.

    `actor` and `subject` are identities, "" where there is nobody or where they are several. Of a DELIVERED the sender
    and who has got it: `files` inboxes have it, and one event tells of all; who else got or refused it are the
    deliveries of `record`, which is the inode of the sender's entry. OPENED, KEPT: the recipient and the sender.
    RECALLED, EXPIRED: the sender and the recipient. `inode`: the entry in the (first) inbox. The same picture put again
    to a group is DELIVERED to those that had it not. BOUNCED: the `subject` is gone, whoever was the sender.

    RESTORED: `subject` is the owner, `inode` the file. TRASH_ENDED: so many `files` of `subject`. RETAINED: so many
    `files` of the directory `inode`. UPLOADED: `subject` is the owner, `inode` the file. NODE_DOWN, NODE_UP: `subject`
    is the member's name.
    """

    number: int
    index: int
    time_ns: int
    kind: EventKind
    files: int
    record: int
    inode: int
    actor: str
    subject: str


NEWEST_SENT = (1 << 62, 1 << 62)
"""A key before that of all that was sent: where a page of it begins."""


@dataclass(frozen=True, slots=True)
class SentItem:
    """Something that a person has sent, as far as one recipient is concerned. Times are cluster time, in ns.

    `path` begins with the person or group that it was put to. `expires_ns`: 0: never; `ended_ns`: when its sender's
    entry went, 0: it is there. `key` says where it comes among others.
    """

    path: str
    recipient: str
    state: DeliveryState
    size: int
    sent_ns: int
    expires_ns: int
    ended_ns: int
    key: tuple[int, int]


INBOX_MARK = f"{IDENTITY_MARK}@inbox"
"""Behind a person's identity: the owner of what is in its inbox, which is on nobody's quota. No identity ends in it."""


def identity_of(owner: str) -> str:
    """Return whose something is that has this owner: also for what is in a person's inbox."""
    return owner.removesuffix(INBOX_MARK)


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """A chunk store (the volumes on one node's disk) as the catalog knows it.

    `zone` names what fails together with it, a rack or a room; "" is a zone of its own.
    `swept` is the log index at which it last began to remove unreferenced chunks (0: never).
    """

    number: int
    node: str
    identity: bytes
    current: bool
    zone: str = ""
    swept: int = 0


@dataclass(slots=True)
class LoopStatus:
    """How long a node's loop took to come to something new, since the node's start; see raftstore/util/stallwatch.py.

    Of `probes` times that it was asked, `stalls` took `threshold` seconds or more. `longest` is in seconds, the
    machine's own waiting taken off; `longest_cpu` is processor time. `classes` counts the probes by processor time.
    """

    threshold: float
    probes: int = 0
    stalls: int = 0
    longest: float = 0.0
    longest_cpu: float = 0.0
    classes: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ClientFigure:
    """What all clients of a node hold of one resource (memory in bytes, else a count); see ftpgateway/access/ledger.py.

    `peak`: most that they held at once; `limit`: most that they may hold, 0: any amount; `refused`: how often more was
    refused, be it to one account or address. Since the node's start.
    """

    used: int
    peak: int
    limit: int
    refused: int


@dataclass(slots=True)
class NodeStatus:
    """One node as seen by the node that was asked; counters are None where it could not be reached.

    `drain`: "draining", or "drained" when all that it has has its copies elsewhere; "": it takes pictures.
    `services`: what is served there beside the channel between nodes, by name, and at what address: ftp, sftp.
    `loop`: None also where the stall watch is off. `clients`: what they hold, by resource.
    `program`: its version; it knows the levels `oldest` to `newest` of the log, and has applied it up to where `level`
    is in force. `certificates`: when they end, by what they are for, in seconds since the epoch; 0: one cannot be read.
    `maintenance`: it takes no sessions of clients, and does not lead.
    """

    name: str
    address: str
    role: str = "unknown"
    voter: bool = True
    reachable: bool = False
    term: int | None = None
    commit_index: int | None = None
    applied_index: int | None = None
    lag: int | None = None
    pictures: int | None = None
    bytes: int | None = None
    free_disk: int | None = None
    reclaimable: int | None = None
    quarantined: int | None = None
    zone: str = ""
    drain: str = ""
    services: dict[str, str] = field(default_factory=dict)
    loop: LoopStatus | None = None
    clients: dict[str, ClientFigure] = field(default_factory=dict)
    error: str = ""
    program: str = ""
    oldest: int | None = None
    newest: int | None = None
    level: int | None = None
    certificates: dict[str, int] = field(default_factory=dict)
    maintenance: bool = False


@dataclass(slots=True)
class ClusterStatus:
    """The cluster as seen by one node: a one-word verdict, the leader and a line a node.

    `short` names up to a hundred pictures with fewer live replicas than wanted; `short_count` counts all, and
    `lost_count` those that cannot be read now. `partials` and `partial_bytes`: what interrupted uploads left.
    """

    verdict: str
    asked: str
    leader: str | None
    term: int
    nodes: list[NodeStatus] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    short: list[str] = field(default_factory=list)
    short_count: int = 0
    lost_count: int = 0
    partials: int = 0
    partial_bytes: int = 0
    error: str = ""
