from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OK: _ClassVar[Status]
    NOT_FOUND: _ClassVar[Status]
    EXISTS: _ClassVar[Status]
    NOT_EMPTY: _ClassVar[Status]
    NOT_A_DIRECTORY: _ClassVar[Status]
    IS_A_DIRECTORY: _ClassVar[Status]
    NO_PARENT: _ClassVar[Status]
    CYCLE: _ClassVar[Status]
    QUOTA: _ClassVar[Status]
    BAD_NAME: _ClassVar[Status]
    STALE: _ClassVar[Status]
    INVALID: _ClassVar[Status]
    CHANGED: _ClassVar[Status]
    DENIED: _ClassVar[Status]
    SUPERSEDED: _ClassVar[Status]
OK: Status
NOT_FOUND: Status
EXISTS: Status
NOT_EMPTY: Status
NOT_A_DIRECTORY: Status
IS_A_DIRECTORY: Status
NO_PARENT: Status
CYCLE: Status
QUOTA: Status
BAD_NAME: Status
STALE: Status
INVALID: Status
CHANGED: Status
DENIED: Status
SUPERSEDED: Status
LEVEL_FIELD_NUMBER: _ClassVar[int]
level: _descriptor.FieldDescriptor

class OperationId(_message.Message):
    __slots__ = ("node", "boot", "sequence", "acknowledged")
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    node: str
    boot: int
    sequence: int
    acknowledged: int
    def __init__(self, node: _Optional[str] = ..., boot: _Optional[int] = ..., sequence: _Optional[int] = ..., acknowledged: _Optional[int] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("id", "time_ns", "command")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    id: OperationId
    time_ns: int
    command: bytes
    def __init__(self, id: _Optional[_Union[OperationId, _Mapping]] = ..., time_ns: _Optional[int] = ..., command: _Optional[bytes] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("operations",)
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    def __init__(self, operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("status", "detail", "inode", "store", "index", "job", "after", "adopted", "finished", "reservation", "accepted", "refused", "repeated", "removed")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    INODE_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    ADOPTED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    status: Status
    detail: str
    inode: int
    store: int
    index: int
    job: int
    after: int
    adopted: int
    finished: bool
    reservation: int
    accepted: int
    refused: int
    repeated: bool
    removed: int
    def __init__(self, status: _Optional[_Union[Status, str]] = ..., detail: _Optional[str] = ..., inode: _Optional[int] = ..., store: _Optional[int] = ..., index: _Optional[int] = ..., job: _Optional[int] = ..., after: _Optional[int] = ..., adopted: _Optional[int] = ..., finished: _Optional[bool] = ..., reservation: _Optional[int] = ..., accepted: _Optional[int] = ..., refused: _Optional[int] = ..., repeated: _Optional[bool] = ..., removed: _Optional[int] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("digest", "length", "stores")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    length: int
    stores: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, digest: _Optional[bytes] = ..., length: _Optional[int] = ..., stores: _Optional[_Iterable[int]] = ...) -> None: ...

class Actor(_message.Message):
    __slots__ = ("account", "anonymous", "system", "opened", "key")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    account: str
    anonymous: str
    system: str
    opened: int
    key: bytes
    def __init__(self, account: _Optional[str] = ..., anonymous: _Optional[str] = ..., system: _Optional[str] = ..., opened: _Optional[int] = ..., key: _Optional[bytes] = ...) -> None: ...

class MakeDirectory(_message.Message):
    __slots__ = ("path", "owner", "home")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    path: str
    owner: str
    home: bool
    def __init__(self, path: _Optional[str] = ..., owner: _Optional[str] = ..., home: _Optional[bool] = ...) -> None: ...

class RemoveDirectory(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class PutFile(_message.Message):
    __slots__ = ("path", "owner", "size", "mtime_ns", "chunks", "exclusive", "base_inode", "base_version", "quorum", "since", "own_only", "of_account", "append", "handle", "content", "draft", "expires_ns", "unfinished", "kept")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    MTIME_NS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    BASE_INODE_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    OWN_ONLY_FIELD_NUMBER: _ClassVar[int]
    OF_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    APPEND_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    UNFINISHED_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    path: str
    owner: str
    size: int
    mtime_ns: int
    chunks: _containers.RepeatedCompositeFieldContainer[Chunk]
    exclusive: bool
    base_inode: int
    base_version: int
    quorum: int
    since: int
    own_only: bool
    of_account: bool
    append: bool
    handle: Handle
    content: int
    draft: bool
    expires_ns: int
    unfinished: bool
    kept: int
    def __init__(self, path: _Optional[str] = ..., owner: _Optional[str] = ..., size: _Optional[int] = ..., mtime_ns: _Optional[int] = ..., chunks: _Optional[_Iterable[_Union[Chunk, _Mapping]]] = ..., exclusive: _Optional[bool] = ..., base_inode: _Optional[int] = ..., base_version: _Optional[int] = ..., quorum: _Optional[int] = ..., since: _Optional[int] = ..., own_only: _Optional[bool] = ..., of_account: _Optional[bool] = ..., append: _Optional[bool] = ..., handle: _Optional[_Union[Handle, _Mapping]] = ..., content: _Optional[int] = ..., draft: _Optional[bool] = ..., expires_ns: _Optional[int] = ..., unfinished: _Optional[bool] = ..., kept: _Optional[int] = ...) -> None: ...

class Handle(_message.Message):
    __slots__ = ("inode", "version", "new", "directory", "name", "reservation")
    INODE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    inode: int
    version: int
    new: bool
    directory: int
    name: str
    reservation: int
    def __init__(self, inode: _Optional[int] = ..., version: _Optional[int] = ..., new: _Optional[bool] = ..., directory: _Optional[int] = ..., name: _Optional[str] = ..., reservation: _Optional[int] = ...) -> None: ...

class ReserveName(_message.Message):
    __slots__ = ("path", "node", "boot")
    PATH_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    path: str
    node: str
    boot: int
    def __init__(self, path: _Optional[str] = ..., node: _Optional[str] = ..., boot: _Optional[int] = ...) -> None: ...

class RenewNames(_message.Message):
    __slots__ = ("node", "boot")
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    node: str
    boot: int
    def __init__(self, node: _Optional[str] = ..., boot: _Optional[int] = ...) -> None: ...

class ReleaseName(_message.Message):
    __slots__ = ("node", "boot", "reservation", "renewed")
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    RENEWED_FIELD_NUMBER: _ClassVar[int]
    node: str
    boot: int
    reservation: int
    renewed: int
    def __init__(self, node: _Optional[str] = ..., boot: _Optional[int] = ..., reservation: _Optional[int] = ..., renewed: _Optional[int] = ...) -> None: ...

class RemoveFile(_message.Message):
    __slots__ = ("path", "only_of")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ONLY_OF_FIELD_NUMBER: _ClassVar[int]
    path: str
    only_of: str
    def __init__(self, path: _Optional[str] = ..., only_of: _Optional[str] = ...) -> None: ...

class Rename(_message.Message):
    __slots__ = ("source", "target", "source_of", "target_of", "exclusive", "draft", "expires_ns")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SOURCE_OF_FIELD_NUMBER: _ClassVar[int]
    TARGET_OF_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    source: str
    target: str
    source_of: str
    target_of: str
    exclusive: bool
    draft: bool
    expires_ns: int
    def __init__(self, source: _Optional[str] = ..., target: _Optional[str] = ..., source_of: _Optional[str] = ..., target_of: _Optional[str] = ..., exclusive: _Optional[bool] = ..., draft: _Optional[bool] = ..., expires_ns: _Optional[int] = ...) -> None: ...

class SetTimes(_message.Message):
    __slots__ = ("path", "mtime_ns", "only_of")
    PATH_FIELD_NUMBER: _ClassVar[int]
    MTIME_NS_FIELD_NUMBER: _ClassVar[int]
    ONLY_OF_FIELD_NUMBER: _ClassVar[int]
    path: str
    mtime_ns: int
    only_of: str
    def __init__(self, path: _Optional[str] = ..., mtime_ns: _Optional[int] = ..., only_of: _Optional[str] = ...) -> None: ...

class PutPartial(_message.Message):
    __slots__ = ("path", "owner", "size", "chunks", "since", "content")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    path: str
    owner: str
    size: int
    chunks: _containers.RepeatedCompositeFieldContainer[Chunk]
    since: int
    content: int
    def __init__(self, path: _Optional[str] = ..., owner: _Optional[str] = ..., size: _Optional[int] = ..., chunks: _Optional[_Iterable[_Union[Chunk, _Mapping]]] = ..., since: _Optional[int] = ..., content: _Optional[int] = ...) -> None: ...

class StageContent(_message.Message):
    __slots__ = ("node", "boot", "content", "offset", "chunks", "since", "owner")
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    node: str
    boot: int
    content: int
    offset: int
    chunks: _containers.RepeatedCompositeFieldContainer[Chunk]
    since: int
    owner: str
    def __init__(self, node: _Optional[str] = ..., boot: _Optional[int] = ..., content: _Optional[int] = ..., offset: _Optional[int] = ..., chunks: _Optional[_Iterable[_Union[Chunk, _Mapping]]] = ..., since: _Optional[int] = ..., owner: _Optional[str] = ...) -> None: ...

class UnstageContent(_message.Message):
    __slots__ = ("node", "boot", "content")
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    node: str
    boot: int
    content: int
    def __init__(self, node: _Optional[str] = ..., boot: _Optional[int] = ..., content: _Optional[int] = ...) -> None: ...

class ForgetContents(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class DropPartial(_message.Message):
    __slots__ = ("path", "owner")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    path: str
    owner: str
    def __init__(self, path: _Optional[str] = ..., owner: _Optional[str] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("path", "rights")
    PATH_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    path: str
    rights: str
    def __init__(self, path: _Optional[str] = ..., rights: _Optional[str] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("identity", "sessions_since", "name", "password_hash", "home", "rights", "quota_bytes", "disabled", "rules", "authorized_keys", "quota_files", "upload_rate", "download_rate", "max_sessions", "replicas", "trash_ns", "person", "expires_ns", "inbox_bytes", "inbox_files", "sender_bytes", "sender_files", "revision")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_SINCE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_HASH_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    QUOTA_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZED_KEYS_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FILES_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_RATE_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_RATE_FIELD_NUMBER: _ClassVar[int]
    MAX_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    TRASH_NS_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    INBOX_BYTES_FIELD_NUMBER: _ClassVar[int]
    INBOX_FILES_FIELD_NUMBER: _ClassVar[int]
    SENDER_BYTES_FIELD_NUMBER: _ClassVar[int]
    SENDER_FILES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    identity: str
    sessions_since: int
    name: str
    password_hash: str
    home: str
    rights: str
    quota_bytes: int
    disabled: bool
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    authorized_keys: _containers.RepeatedScalarFieldContainer[str]
    quota_files: int
    upload_rate: int
    download_rate: int
    max_sessions: int
    replicas: int
    trash_ns: int
    person: bool
    expires_ns: int
    inbox_bytes: int
    inbox_files: int
    sender_bytes: int
    sender_files: int
    revision: int
    def __init__(self, identity: _Optional[str] = ..., sessions_since: _Optional[int] = ..., name: _Optional[str] = ..., password_hash: _Optional[str] = ..., home: _Optional[str] = ..., rights: _Optional[str] = ..., quota_bytes: _Optional[int] = ..., disabled: _Optional[bool] = ..., rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., authorized_keys: _Optional[_Iterable[str]] = ..., quota_files: _Optional[int] = ..., upload_rate: _Optional[int] = ..., download_rate: _Optional[int] = ..., max_sessions: _Optional[int] = ..., replicas: _Optional[int] = ..., trash_ns: _Optional[int] = ..., person: _Optional[bool] = ..., expires_ns: _Optional[int] = ..., inbox_bytes: _Optional[int] = ..., inbox_files: _Optional[int] = ..., sender_bytes: _Optional[int] = ..., sender_files: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class PutUser(_message.Message):
    __slots__ = ("user", "create", "update")
    USER_FIELD_NUMBER: _ClassVar[int]
    CREATE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    user: User
    create: bool
    update: bool
    def __init__(self, user: _Optional[_Union[User, _Mapping]] = ..., create: _Optional[bool] = ..., update: _Optional[bool] = ...) -> None: ...

class RemoveUser(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class AdoptOwner(_message.Message):
    __slots__ = ("owner", "name", "after", "limit")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    owner: str
    name: str
    after: int
    limit: int
    def __init__(self, owner: _Optional[str] = ..., name: _Optional[str] = ..., after: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class RegisterStore(_message.Message):
    __slots__ = ("node", "identity", "zone")
    NODE_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    node: str
    identity: bytes
    zone: str
    def __init__(self, node: _Optional[str] = ..., identity: _Optional[bytes] = ..., zone: _Optional[str] = ...) -> None: ...

class ReplicaChange(_message.Message):
    __slots__ = ("digest", "store", "since")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    store: int
    since: int
    def __init__(self, digest: _Optional[bytes] = ..., store: _Optional[int] = ..., since: _Optional[int] = ...) -> None: ...

class ChangeReplicas(_message.Message):
    __slots__ = ("added", "removed")
    ADDED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    added: _containers.RepeatedCompositeFieldContainer[ReplicaChange]
    removed: _containers.RepeatedCompositeFieldContainer[ReplicaChange]
    def __init__(self, added: _Optional[_Iterable[_Union[ReplicaChange, _Mapping]]] = ..., removed: _Optional[_Iterable[_Union[ReplicaChange, _Mapping]]] = ...) -> None: ...

class BeginSweep(_message.Message):
    __slots__ = ("store",)
    STORE_FIELD_NUMBER: _ClassVar[int]
    store: int
    def __init__(self, store: _Optional[int] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("id", "kind", "node", "without", "apply", "upto", "shares", "replicas", "force", "amount", "reason", "not_before_ns", "state", "holder", "boot", "lease_until_ns", "progress", "attempts", "error", "created_ns", "started_ns", "finished_ns")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REPAIR: _ClassVar[Job.Kind]
        SCRUB: _ClassVar[Job.Kind]
        COLLECT: _ClassVar[Job.Kind]
        COMPACT: _ClassVar[Job.Kind]
        DRAIN: _ClassVar[Job.Kind]
        FSCK: _ClassVar[Job.Kind]
        REBALANCE: _ClassVar[Job.Kind]
        TRIM: _ClassVar[Job.Kind]
    REPAIR: Job.Kind
    SCRUB: Job.Kind
    COLLECT: Job.Kind
    COMPACT: Job.Kind
    DRAIN: Job.Kind
    FSCK: Job.Kind
    REBALANCE: Job.Kind
    TRIM: Job.Kind
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        WAITING: _ClassVar[Job.State]
        RUNNING: _ClassVar[Job.State]
        DONE: _ClassVar[Job.State]
        FAILED: _ClassVar[Job.State]
        CANCELLED: _ClassVar[Job.State]
    WAITING: Job.State
    RUNNING: Job.State
    DONE: Job.State
    FAILED: Job.State
    CANCELLED: Job.State
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FIELD_NUMBER: _ClassVar[int]
    APPLY_FIELD_NUMBER: _ClassVar[int]
    UPTO_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_NS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    LEASE_UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATED_NS_FIELD_NUMBER: _ClassVar[int]
    STARTED_NS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_NS_FIELD_NUMBER: _ClassVar[int]
    id: int
    kind: Job.Kind
    node: str
    without: _containers.RepeatedScalarFieldContainer[int]
    apply: bool
    upto: int
    shares: _containers.RepeatedCompositeFieldContainer[Share]
    replicas: int
    force: bool
    amount: int
    reason: str
    not_before_ns: int
    state: Job.State
    holder: str
    boot: int
    lease_until_ns: int
    progress: Progress
    attempts: int
    error: str
    created_ns: int
    started_ns: int
    finished_ns: int
    def __init__(self, id: _Optional[int] = ..., kind: _Optional[_Union[Job.Kind, str]] = ..., node: _Optional[str] = ..., without: _Optional[_Iterable[int]] = ..., apply: _Optional[bool] = ..., upto: _Optional[int] = ..., shares: _Optional[_Iterable[_Union[Share, _Mapping]]] = ..., replicas: _Optional[int] = ..., force: _Optional[bool] = ..., amount: _Optional[int] = ..., reason: _Optional[str] = ..., not_before_ns: _Optional[int] = ..., state: _Optional[_Union[Job.State, str]] = ..., holder: _Optional[str] = ..., boot: _Optional[int] = ..., lease_until_ns: _Optional[int] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., attempts: _Optional[int] = ..., error: _Optional[str] = ..., created_ns: _Optional[int] = ..., started_ns: _Optional[int] = ..., finished_ns: _Optional[int] = ...) -> None: ...

class Share(_message.Message):
    __slots__ = ("store", "bytes")
    STORE_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    store: int
    bytes: int
    def __init__(self, store: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("done", "total", "unit", "counts", "volume", "offset")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    done: int
    total: int
    unit: str
    counts: _containers.RepeatedCompositeFieldContainer[Count]
    volume: int
    offset: int
    def __init__(self, done: _Optional[int] = ..., total: _Optional[int] = ..., unit: _Optional[str] = ..., counts: _Optional[_Iterable[_Union[Count, _Mapping]]] = ..., volume: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class Count(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: int
    def __init__(self, name: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...

class DropReplicas(_message.Message):
    __slots__ = ("job", "node", "boot", "store", "drops")
    JOB_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    DROPS_FIELD_NUMBER: _ClassVar[int]
    job: int
    node: str
    boot: int
    store: int
    drops: _containers.RepeatedCompositeFieldContainer[Drop]
    def __init__(self, job: _Optional[int] = ..., node: _Optional[str] = ..., boot: _Optional[int] = ..., store: _Optional[int] = ..., drops: _Optional[_Iterable[_Union[Drop, _Mapping]]] = ...) -> None: ...

class Drop(_message.Message):
    __slots__ = ("digest", "keepers")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    KEEPERS_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    keepers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, digest: _Optional[bytes] = ..., keepers: _Optional[_Iterable[int]] = ...) -> None: ...

class PutJob(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class TakeJob(_message.Message):
    __slots__ = ("id", "node", "boot", "lease_ns")
    ID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    LEASE_NS_FIELD_NUMBER: _ClassVar[int]
    id: int
    node: str
    boot: int
    lease_ns: int
    def __init__(self, id: _Optional[int] = ..., node: _Optional[str] = ..., boot: _Optional[int] = ..., lease_ns: _Optional[int] = ...) -> None: ...

class ReportJob(_message.Message):
    __slots__ = ("id", "node", "boot", "lease_ns", "progress")
    ID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    LEASE_NS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    id: int
    node: str
    boot: int
    lease_ns: int
    progress: Progress
    def __init__(self, id: _Optional[int] = ..., node: _Optional[str] = ..., boot: _Optional[int] = ..., lease_ns: _Optional[int] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ...) -> None: ...

class FinishJob(_message.Message):
    __slots__ = ("id", "node", "boot", "error", "retry_ns", "progress")
    ID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RETRY_NS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    id: int
    node: str
    boot: int
    error: str
    retry_ns: int
    progress: Progress
    def __init__(self, id: _Optional[int] = ..., node: _Optional[str] = ..., boot: _Optional[int] = ..., error: _Optional[str] = ..., retry_ns: _Optional[int] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ...) -> None: ...

class CancelJob(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class Intent(_message.Message):
    __slots__ = ("id", "kind", "node", "address", "force", "replaces", "token_key", "sealed", "certificate", "expires_ns", "nonce", "done", "index")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        JOIN: _ClassVar[Intent.Kind]
        REMOVE: _ClassVar[Intent.Kind]
        MOVE: _ClassVar[Intent.Kind]
        RENEW: _ClassVar[Intent.Kind]
    JOIN: Intent.Kind
    REMOVE: Intent.Kind
    MOVE: Intent.Kind
    RENEW: Intent.Kind
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    REPLACES_FIELD_NUMBER: _ClassVar[int]
    TOKEN_KEY_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    kind: Intent.Kind
    node: str
    address: str
    force: bool
    replaces: str
    token_key: bytes
    sealed: bytes
    certificate: bytes
    expires_ns: int
    nonce: bytes
    done: bool
    index: int
    def __init__(self, id: _Optional[bytes] = ..., kind: _Optional[_Union[Intent.Kind, str]] = ..., node: _Optional[str] = ..., address: _Optional[str] = ..., force: _Optional[bool] = ..., replaces: _Optional[str] = ..., token_key: _Optional[bytes] = ..., sealed: _Optional[bytes] = ..., certificate: _Optional[bytes] = ..., expires_ns: _Optional[int] = ..., nonce: _Optional[bytes] = ..., done: _Optional[bool] = ..., index: _Optional[int] = ...) -> None: ...

class PutIntent(_message.Message):
    __slots__ = ("intent",)
    INTENT_FIELD_NUMBER: _ClassVar[int]
    intent: Intent
    def __init__(self, intent: _Optional[_Union[Intent, _Mapping]] = ...) -> None: ...

class RedeemToken(_message.Message):
    __slots__ = ("id", "nonce", "address")
    ID_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    nonce: bytes
    address: str
    def __init__(self, id: _Optional[bytes] = ..., nonce: _Optional[bytes] = ..., address: _Optional[str] = ...) -> None: ...

class FinishIntent(_message.Message):
    __slots__ = ("id", "cancel")
    ID_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    cancel: bool
    def __init__(self, id: _Optional[bytes] = ..., cancel: _Optional[bool] = ...) -> None: ...

class AgreeOnSecret(_message.Message):
    __slots__ = ("name", "value", "replaces")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    REPLACES_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: bytes
    replaces: bytes
    def __init__(self, name: _Optional[str] = ..., value: _Optional[bytes] = ..., replaces: _Optional[bytes] = ...) -> None: ...

class ExpirePartials(_message.Message):
    __slots__ = ("tick", "keep", "limit")
    TICK_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    tick: int
    keep: int
    limit: int
    def __init__(self, tick: _Optional[int] = ..., keep: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("name", "owner", "members", "revision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner: str
    members: _containers.RepeatedScalarFieldContainer[str]
    revision: int
    def __init__(self, name: _Optional[str] = ..., owner: _Optional[str] = ..., members: _Optional[_Iterable[str]] = ..., revision: _Optional[int] = ...) -> None: ...

class PutGroup(_message.Message):
    __slots__ = ("group", "create", "update")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    CREATE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    group: Group
    create: bool
    update: bool
    def __init__(self, group: _Optional[_Union[Group, _Mapping]] = ..., create: _Optional[bool] = ..., update: _Optional[bool] = ...) -> None: ...

class RemoveGroup(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class Block(_message.Message):
    __slots__ = ("person", "name", "off")
    PERSON_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OFF_FIELD_NUMBER: _ClassVar[int]
    person: str
    name: str
    off: bool
    def __init__(self, person: _Optional[str] = ..., name: _Optional[str] = ..., off: _Optional[bool] = ...) -> None: ...

class SetMaintenance(_message.Message):
    __slots__ = ("node", "off", "grace_ms", "since_ns")
    NODE_FIELD_NUMBER: _ClassVar[int]
    OFF_FIELD_NUMBER: _ClassVar[int]
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    node: str
    off: bool
    grace_ms: int
    since_ns: int
    def __init__(self, node: _Optional[str] = ..., off: _Optional[bool] = ..., grace_ms: _Optional[int] = ..., since_ns: _Optional[int] = ...) -> None: ...

class MarkOpened(_message.Message):
    __slots__ = ("inodes",)
    INODES_FIELD_NUMBER: _ClassVar[int]
    inodes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, inodes: _Optional[_Iterable[int]] = ...) -> None: ...

class SendFile(_message.Message):
    __slots__ = ("path", "to", "expires_ns")
    PATH_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    path: str
    to: str
    expires_ns: int
    def __init__(self, path: _Optional[str] = ..., to: _Optional[str] = ..., expires_ns: _Optional[int] = ...) -> None: ...

class PurgePerson(_message.Message):
    __slots__ = ("identity", "limit")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    identity: str
    limit: int
    def __init__(self, identity: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class CopyFile(_message.Message):
    __slots__ = ("source", "target", "mtime_ns", "exclusive", "draft", "expires_ns")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    MTIME_NS_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    source: str
    target: str
    mtime_ns: int
    exclusive: bool
    draft: bool
    expires_ns: int
    def __init__(self, source: _Optional[str] = ..., target: _Optional[str] = ..., mtime_ns: _Optional[int] = ..., exclusive: _Optional[bool] = ..., draft: _Optional[bool] = ..., expires_ns: _Optional[int] = ...) -> None: ...

class AdvanceClock(_message.Message):
    __slots__ = ("time_ns", "limit")
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    time_ns: int
    limit: int
    def __init__(self, time_ns: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class RestoreTrash(_message.Message):
    __slots__ = ("inode", "to", "beside", "replace")
    INODE_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    BESIDE_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    inode: int
    to: str
    beside: bool
    replace: bool
    def __init__(self, inode: _Optional[int] = ..., to: _Optional[str] = ..., beside: _Optional[bool] = ..., replace: _Optional[bool] = ...) -> None: ...

class EmptyTrash(_message.Message):
    __slots__ = ("owner", "upto", "limit")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    UPTO_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    owner: str
    upto: int
    limit: int
    def __init__(self, owner: _Optional[str] = ..., upto: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class PutRetention(_message.Message):
    __slots__ = ("path", "age_ns", "max_bytes", "max_files")
    PATH_FIELD_NUMBER: _ClassVar[int]
    AGE_NS_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_FILES_FIELD_NUMBER: _ClassVar[int]
    path: str
    age_ns: int
    max_bytes: int
    max_files: int
    def __init__(self, path: _Optional[str] = ..., age_ns: _Optional[int] = ..., max_bytes: _Optional[int] = ..., max_files: _Optional[int] = ...) -> None: ...

class RemoveRetention(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class Retain(_message.Message):
    __slots__ = ("directory", "revision", "inodes", "settled", "decided", "limit")
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    INODES_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    DECIDED_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    directory: int
    revision: int
    inodes: _containers.RepeatedScalarFieldContainer[int]
    settled: int
    decided: int
    limit: int
    def __init__(self, directory: _Optional[int] = ..., revision: _Optional[int] = ..., inodes: _Optional[_Iterable[int]] = ..., settled: _Optional[int] = ..., decided: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class SetLevel(_message.Message):
    __slots__ = ("level", "fresh", "members")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    level: int
    fresh: bool
    members: int
    def __init__(self, level: _Optional[int] = ..., fresh: _Optional[bool] = ..., members: _Optional[int] = ...) -> None: ...

class Audit(_message.Message):
    __slots__ = ("call", "caller", "role", "address", "node", "method", "arguments")
    CALL_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    call: bytes
    caller: str
    role: str
    address: str
    node: str
    method: str
    arguments: str
    def __init__(self, call: _Optional[bytes] = ..., caller: _Optional[str] = ..., role: _Optional[str] = ..., address: _Optional[str] = ..., node: _Optional[str] = ..., method: _Optional[str] = ..., arguments: _Optional[str] = ...) -> None: ...

class RecordAudit(_message.Message):
    __slots__ = ("audit", "code", "detail", "omitted")
    AUDIT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    OMITTED_FIELD_NUMBER: _ClassVar[int]
    audit: Audit
    code: str
    detail: str
    omitted: int
    def __init__(self, audit: _Optional[_Union[Audit, _Mapping]] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ..., omitted: _Optional[int] = ...) -> None: ...

class TrimAudit(_message.Message):
    __slots__ = ("up_to",)
    UP_TO_FIELD_NUMBER: _ClassVar[int]
    up_to: int
    def __init__(self, up_to: _Optional[int] = ...) -> None: ...

class NoteNode(_message.Message):
    __slots__ = ("node", "down")
    NODE_FIELD_NUMBER: _ClassVar[int]
    DOWN_FIELD_NUMBER: _ClassVar[int]
    node: str
    down: bool
    def __init__(self, node: _Optional[str] = ..., down: _Optional[bool] = ...) -> None: ...

class Webhook(_message.Message):
    __slots__ = ("name", "url", "kinds", "private", "secret", "key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    PRIVATE_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    url: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    private: bool
    secret: bytes
    key: bytes
    def __init__(self, name: _Optional[str] = ..., url: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., private: _Optional[bool] = ..., secret: _Optional[bytes] = ..., key: _Optional[bytes] = ...) -> None: ...

class AddWebhook(_message.Message):
    __slots__ = ("webhook",)
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    webhook: Webhook
    def __init__(self, webhook: _Optional[_Union[Webhook, _Mapping]] = ...) -> None: ...

class RemoveWebhook(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class BeginMessage(_message.Message):
    __slots__ = ("name", "revision", "position", "last")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    name: str
    revision: int
    position: int
    last: int
    def __init__(self, name: _Optional[str] = ..., revision: _Optional[int] = ..., position: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...

class EndMessage(_message.Message):
    __slots__ = ("name", "revision", "position", "last", "outcome", "detail", "next")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACCEPTED: _ClassVar[EndMessage.Outcome]
        GIVEN_UP: _ClassVar[EndMessage.Outcome]
        PASSED: _ClassVar[EndMessage.Outcome]
        LOST: _ClassVar[EndMessage.Outcome]
    ACCEPTED: EndMessage.Outcome
    GIVEN_UP: EndMessage.Outcome
    PASSED: EndMessage.Outcome
    LOST: EndMessage.Outcome
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    revision: int
    position: int
    last: int
    outcome: EndMessage.Outcome
    detail: str
    next: int
    def __init__(self, name: _Optional[str] = ..., revision: _Optional[int] = ..., position: _Optional[int] = ..., last: _Optional[int] = ..., outcome: _Optional[_Union[EndMessage.Outcome, str]] = ..., detail: _Optional[str] = ..., next: _Optional[int] = ...) -> None: ...

class RetryWebhook(_message.Message):
    __slots__ = ("name", "letter")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LETTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    letter: int
    def __init__(self, name: _Optional[str] = ..., letter: _Optional[int] = ...) -> None: ...

class EndLetter(_message.Message):
    __slots__ = ("name", "revision", "letter", "accepted", "detail")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    LETTER_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    revision: int
    letter: int
    accepted: bool
    detail: str
    def __init__(self, name: _Optional[str] = ..., revision: _Optional[int] = ..., letter: _Optional[int] = ..., accepted: _Optional[bool] = ..., detail: _Optional[str] = ...) -> None: ...

class HoldChunks(_message.Message):
    __slots__ = ("id", "lease_ns", "renew")
    ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_NS_FIELD_NUMBER: _ClassVar[int]
    RENEW_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    lease_ns: int
    renew: bool
    def __init__(self, id: _Optional[bytes] = ..., lease_ns: _Optional[int] = ..., renew: _Optional[bool] = ...) -> None: ...

class EndHold(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    def __init__(self, id: _Optional[bytes] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("make_directory", "remove_directory", "put_file", "remove_file", "rename", "set_times", "put_partial", "drop_partial", "put_user", "remove_user", "register_store", "change_replicas", "put_intent", "redeem_token", "finish_intent", "begin_sweep", "put_job", "take_job", "report_job", "finish_job", "cancel_job", "drop_replicas", "agree_on_secret", "set_level", "adopt_owner", "reserve_name", "renew_names", "release_name", "expire_partials", "stage_content", "unstage_content", "forget_contents", "put_group", "remove_group", "block", "mark_opened", "send_file", "purge_person", "advance_clock", "restore_trash", "empty_trash", "put_retention", "remove_retention", "retain", "copy_file", "record_audit", "trim_audit", "set_maintenance", "add_webhook", "remove_webhook", "begin_message", "end_message", "retry_webhook", "end_letter", "note_node", "hold_chunks", "end_hold", "actor", "audit")
    MAKE_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    REMOVE_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    PUT_FILE_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FILE_FIELD_NUMBER: _ClassVar[int]
    RENAME_FIELD_NUMBER: _ClassVar[int]
    SET_TIMES_FIELD_NUMBER: _ClassVar[int]
    PUT_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    DROP_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    PUT_USER_FIELD_NUMBER: _ClassVar[int]
    REMOVE_USER_FIELD_NUMBER: _ClassVar[int]
    REGISTER_STORE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    PUT_INTENT_FIELD_NUMBER: _ClassVar[int]
    REDEEM_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FINISH_INTENT_FIELD_NUMBER: _ClassVar[int]
    BEGIN_SWEEP_FIELD_NUMBER: _ClassVar[int]
    PUT_JOB_FIELD_NUMBER: _ClassVar[int]
    TAKE_JOB_FIELD_NUMBER: _ClassVar[int]
    REPORT_JOB_FIELD_NUMBER: _ClassVar[int]
    FINISH_JOB_FIELD_NUMBER: _ClassVar[int]
    CANCEL_JOB_FIELD_NUMBER: _ClassVar[int]
    DROP_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    AGREE_ON_SECRET_FIELD_NUMBER: _ClassVar[int]
    SET_LEVEL_FIELD_NUMBER: _ClassVar[int]
    ADOPT_OWNER_FIELD_NUMBER: _ClassVar[int]
    RESERVE_NAME_FIELD_NUMBER: _ClassVar[int]
    RENEW_NAMES_FIELD_NUMBER: _ClassVar[int]
    RELEASE_NAME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_PARTIALS_FIELD_NUMBER: _ClassVar[int]
    STAGE_CONTENT_FIELD_NUMBER: _ClassVar[int]
    UNSTAGE_CONTENT_FIELD_NUMBER: _ClassVar[int]
    FORGET_CONTENTS_FIELD_NUMBER: _ClassVar[int]
    PUT_GROUP_FIELD_NUMBER: _ClassVar[int]
    REMOVE_GROUP_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    MARK_OPENED_FIELD_NUMBER: _ClassVar[int]
    SEND_FILE_FIELD_NUMBER: _ClassVar[int]
    PURGE_PERSON_FIELD_NUMBER: _ClassVar[int]
    ADVANCE_CLOCK_FIELD_NUMBER: _ClassVar[int]
    RESTORE_TRASH_FIELD_NUMBER: _ClassVar[int]
    EMPTY_TRASH_FIELD_NUMBER: _ClassVar[int]
    PUT_RETENTION_FIELD_NUMBER: _ClassVar[int]
    REMOVE_RETENTION_FIELD_NUMBER: _ClassVar[int]
    RETAIN_FIELD_NUMBER: _ClassVar[int]
    COPY_FILE_FIELD_NUMBER: _ClassVar[int]
    RECORD_AUDIT_FIELD_NUMBER: _ClassVar[int]
    TRIM_AUDIT_FIELD_NUMBER: _ClassVar[int]
    SET_MAINTENANCE_FIELD_NUMBER: _ClassVar[int]
    ADD_WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    REMOVE_WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    BEGIN_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    END_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    END_LETTER_FIELD_NUMBER: _ClassVar[int]
    NOTE_NODE_FIELD_NUMBER: _ClassVar[int]
    HOLD_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    END_HOLD_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    AUDIT_FIELD_NUMBER: _ClassVar[int]
    make_directory: MakeDirectory
    remove_directory: RemoveDirectory
    put_file: PutFile
    remove_file: RemoveFile
    rename: Rename
    set_times: SetTimes
    put_partial: PutPartial
    drop_partial: DropPartial
    put_user: PutUser
    remove_user: RemoveUser
    register_store: RegisterStore
    change_replicas: ChangeReplicas
    put_intent: PutIntent
    redeem_token: RedeemToken
    finish_intent: FinishIntent
    begin_sweep: BeginSweep
    put_job: PutJob
    take_job: TakeJob
    report_job: ReportJob
    finish_job: FinishJob
    cancel_job: CancelJob
    drop_replicas: DropReplicas
    agree_on_secret: AgreeOnSecret
    set_level: SetLevel
    adopt_owner: AdoptOwner
    reserve_name: ReserveName
    renew_names: RenewNames
    release_name: ReleaseName
    expire_partials: ExpirePartials
    stage_content: StageContent
    unstage_content: UnstageContent
    forget_contents: ForgetContents
    put_group: PutGroup
    remove_group: RemoveGroup
    block: Block
    mark_opened: MarkOpened
    send_file: SendFile
    purge_person: PurgePerson
    advance_clock: AdvanceClock
    restore_trash: RestoreTrash
    empty_trash: EmptyTrash
    put_retention: PutRetention
    remove_retention: RemoveRetention
    retain: Retain
    copy_file: CopyFile
    record_audit: RecordAudit
    trim_audit: TrimAudit
    set_maintenance: SetMaintenance
    add_webhook: AddWebhook
    remove_webhook: RemoveWebhook
    begin_message: BeginMessage
    end_message: EndMessage
    retry_webhook: RetryWebhook
    end_letter: EndLetter
    note_node: NoteNode
    hold_chunks: HoldChunks
    end_hold: EndHold
    actor: Actor
    audit: Audit
    def __init__(self, make_directory: _Optional[_Union[MakeDirectory, _Mapping]] = ..., remove_directory: _Optional[_Union[RemoveDirectory, _Mapping]] = ..., put_file: _Optional[_Union[PutFile, _Mapping]] = ..., remove_file: _Optional[_Union[RemoveFile, _Mapping]] = ..., rename: _Optional[_Union[Rename, _Mapping]] = ..., set_times: _Optional[_Union[SetTimes, _Mapping]] = ..., put_partial: _Optional[_Union[PutPartial, _Mapping]] = ..., drop_partial: _Optional[_Union[DropPartial, _Mapping]] = ..., put_user: _Optional[_Union[PutUser, _Mapping]] = ..., remove_user: _Optional[_Union[RemoveUser, _Mapping]] = ..., register_store: _Optional[_Union[RegisterStore, _Mapping]] = ..., change_replicas: _Optional[_Union[ChangeReplicas, _Mapping]] = ..., put_intent: _Optional[_Union[PutIntent, _Mapping]] = ..., redeem_token: _Optional[_Union[RedeemToken, _Mapping]] = ..., finish_intent: _Optional[_Union[FinishIntent, _Mapping]] = ..., begin_sweep: _Optional[_Union[BeginSweep, _Mapping]] = ..., put_job: _Optional[_Union[PutJob, _Mapping]] = ..., take_job: _Optional[_Union[TakeJob, _Mapping]] = ..., report_job: _Optional[_Union[ReportJob, _Mapping]] = ..., finish_job: _Optional[_Union[FinishJob, _Mapping]] = ..., cancel_job: _Optional[_Union[CancelJob, _Mapping]] = ..., drop_replicas: _Optional[_Union[DropReplicas, _Mapping]] = ..., agree_on_secret: _Optional[_Union[AgreeOnSecret, _Mapping]] = ..., set_level: _Optional[_Union[SetLevel, _Mapping]] = ..., adopt_owner: _Optional[_Union[AdoptOwner, _Mapping]] = ..., reserve_name: _Optional[_Union[ReserveName, _Mapping]] = ..., renew_names: _Optional[_Union[RenewNames, _Mapping]] = ..., release_name: _Optional[_Union[ReleaseName, _Mapping]] = ..., expire_partials: _Optional[_Union[ExpirePartials, _Mapping]] = ..., stage_content: _Optional[_Union[StageContent, _Mapping]] = ..., unstage_content: _Optional[_Union[UnstageContent, _Mapping]] = ..., forget_contents: _Optional[_Union[ForgetContents, _Mapping]] = ..., put_group: _Optional[_Union[PutGroup, _Mapping]] = ..., remove_group: _Optional[_Union[RemoveGroup, _Mapping]] = ..., block: _Optional[_Union[Block, _Mapping]] = ..., mark_opened: _Optional[_Union[MarkOpened, _Mapping]] = ..., send_file: _Optional[_Union[SendFile, _Mapping]] = ..., purge_person: _Optional[_Union[PurgePerson, _Mapping]] = ..., advance_clock: _Optional[_Union[AdvanceClock, _Mapping]] = ..., restore_trash: _Optional[_Union[RestoreTrash, _Mapping]] = ..., empty_trash: _Optional[_Union[EmptyTrash, _Mapping]] = ..., put_retention: _Optional[_Union[PutRetention, _Mapping]] = ..., remove_retention: _Optional[_Union[RemoveRetention, _Mapping]] = ..., retain: _Optional[_Union[Retain, _Mapping]] = ..., copy_file: _Optional[_Union[CopyFile, _Mapping]] = ..., record_audit: _Optional[_Union[RecordAudit, _Mapping]] = ..., trim_audit: _Optional[_Union[TrimAudit, _Mapping]] = ..., set_maintenance: _Optional[_Union[SetMaintenance, _Mapping]] = ..., add_webhook: _Optional[_Union[AddWebhook, _Mapping]] = ..., remove_webhook: _Optional[_Union[RemoveWebhook, _Mapping]] = ..., begin_message: _Optional[_Union[BeginMessage, _Mapping]] = ..., end_message: _Optional[_Union[EndMessage, _Mapping]] = ..., retry_webhook: _Optional[_Union[RetryWebhook, _Mapping]] = ..., end_letter: _Optional[_Union[EndLetter, _Mapping]] = ..., note_node: _Optional[_Union[NoteNode, _Mapping]] = ..., hold_chunks: _Optional[_Union[HoldChunks, _Mapping]] = ..., end_hold: _Optional[_Union[EndHold, _Mapping]] = ..., actor: _Optional[_Union[Actor, _Mapping]] = ..., audit: _Optional[_Union[Audit, _Mapping]] = ...) -> None: ...
