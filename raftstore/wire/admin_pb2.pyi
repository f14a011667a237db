from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StatusRequest(_message.Message):
    __slots__ = ("short_limit",)
    SHORT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    short_limit: int
    def __init__(self, short_limit: _Optional[int] = ...) -> None: ...

class NodeRequest(_message.Message):
    __slots__ = ("known", "store", "boot", "previous_boot", "log_end")
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_BOOT_FIELD_NUMBER: _ClassVar[int]
    LOG_END_FIELD_NUMBER: _ClassVar[int]
    known: int
    store: bytes
    boot: int
    previous_boot: int
    log_end: int
    def __init__(self, known: _Optional[int] = ..., store: _Optional[bytes] = ..., boot: _Optional[int] = ..., previous_boot: _Optional[int] = ..., log_end: _Optional[int] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("name", "address", "role", "voter", "reachable", "term", "commit_index", "applied_index", "lag", "pictures", "bytes", "free_disk", "error", "reclaimable", "quarantined", "zone", "drain", "services", "loop", "clients", "program", "oldest", "newest", "level", "maintenance", "certificates")
    class ServicesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ClientsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ClientFigure
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ClientFigure, _Mapping]] = ...) -> None: ...
    class CertificatesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    VOTER_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    COMMIT_INDEX_FIELD_NUMBER: _ClassVar[int]
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    FREE_DISK_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RECLAIMABLE_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    LOOP_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MAINTENANCE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    name: str
    address: str
    role: str
    voter: bool
    reachable: bool
    term: int
    commit_index: int
    applied_index: int
    lag: int
    pictures: int
    bytes: int
    free_disk: int
    error: str
    reclaimable: int
    quarantined: int
    zone: str
    drain: str
    services: _containers.ScalarMap[str, str]
    loop: LoopStatus
    clients: _containers.MessageMap[str, ClientFigure]
    program: str
    oldest: int
    newest: int
    level: int
    maintenance: bool
    certificates: _containers.ScalarMap[str, int]
    def __init__(self, name: _Optional[str] = ..., address: _Optional[str] = ..., role: _Optional[str] = ..., voter: _Optional[bool] = ..., reachable: _Optional[bool] = ..., term: _Optional[int] = ..., commit_index: _Optional[int] = ..., applied_index: _Optional[int] = ..., lag: _Optional[int] = ..., pictures: _Optional[int] = ..., bytes: _Optional[int] = ..., free_disk: _Optional[int] = ..., error: _Optional[str] = ..., reclaimable: _Optional[int] = ..., quarantined: _Optional[int] = ..., zone: _Optional[str] = ..., drain: _Optional[str] = ..., services: _Optional[_Mapping[str, str]] = ..., loop: _Optional[_Union[LoopStatus, _Mapping]] = ..., clients: _Optional[_Mapping[str, ClientFigure]] = ..., program: _Optional[str] = ..., oldest: _Optional[int] = ..., newest: _Optional[int] = ..., level: _Optional[int] = ..., maintenance: _Optional[bool] = ..., certificates: _Optional[_Mapping[str, int]] = ...) -> None: ...

class LoopStatus(_message.Message):
    __slots__ = ("threshold", "probes", "stalls", "longest", "longest_cpu", "classes")
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    PROBES_FIELD_NUMBER: _ClassVar[int]
    STALLS_FIELD_NUMBER: _ClassVar[int]
    LONGEST_FIELD_NUMBER: _ClassVar[int]
    LONGEST_CPU_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    threshold: float
    probes: int
    stalls: int
    longest: float
    longest_cpu: float
    classes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, threshold: _Optional[float] = ..., probes: _Optional[int] = ..., stalls: _Optional[int] = ..., longest: _Optional[float] = ..., longest_cpu: _Optional[float] = ..., classes: _Optional[_Iterable[int]] = ...) -> None: ...

class ClientFigure(_message.Message):
    __slots__ = ("used", "peak", "limit", "refused")
    USED_FIELD_NUMBER: _ClassVar[int]
    PEAK_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    used: int
    peak: int
    limit: int
    refused: int
    def __init__(self, used: _Optional[int] = ..., peak: _Optional[int] = ..., limit: _Optional[int] = ..., refused: _Optional[int] = ...) -> None: ...

class NodeReport(_message.Message):
    __slots__ = ("node", "leader", "empty", "configuration_index", "configuration", "store", "free_space", "superseded", "outdated", "time_ns", "boot", "safe_index", "latest_boot", "waiting", "space")
    NODE_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    EMPTY_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_INDEX_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    FREE_SPACE_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_FIELD_NUMBER: _ClassVar[int]
    OUTDATED_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    SAFE_INDEX_FIELD_NUMBER: _ClassVar[int]
    LATEST_BOOT_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    node: NodeStatus
    leader: str
    empty: bool
    configuration_index: int
    configuration: bytes
    store: bytes
    free_space: int
    superseded: bool
    outdated: bool
    time_ns: int
    boot: int
    safe_index: int
    latest_boot: int
    waiting: _containers.RepeatedScalarFieldContainer[str]
    space: int
    def __init__(self, node: _Optional[_Union[NodeStatus, _Mapping]] = ..., leader: _Optional[str] = ..., empty: _Optional[bool] = ..., configuration_index: _Optional[int] = ..., configuration: _Optional[bytes] = ..., store: _Optional[bytes] = ..., free_space: _Optional[int] = ..., superseded: _Optional[bool] = ..., outdated: _Optional[bool] = ..., time_ns: _Optional[int] = ..., boot: _Optional[int] = ..., safe_index: _Optional[int] = ..., latest_boot: _Optional[int] = ..., waiting: _Optional[_Iterable[str]] = ..., space: _Optional[int] = ...) -> None: ...

class MembershipRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Membership(_message.Message):
    __slots__ = ("members", "index", "open", "waiting")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[Member]
    index: int
    open: _containers.RepeatedCompositeFieldContainer[Change]
    waiting: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., index: _Optional[int] = ..., open: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., waiting: _Optional[_Iterable[str]] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("name", "address", "voter", "leaving")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VOTER_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    name: str
    address: str
    voter: bool
    leaving: bool
    def __init__(self, name: _Optional[str] = ..., address: _Optional[str] = ..., voter: _Optional[bool] = ..., leaving: _Optional[bool] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("id", "kind", "node", "replaces", "address", "used", "expires_ns")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    REPLACES_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    kind: str
    node: str
    replaces: str
    address: str
    used: bool
    expires_ns: int
    def __init__(self, id: _Optional[bytes] = ..., kind: _Optional[str] = ..., node: _Optional[str] = ..., replaces: _Optional[str] = ..., address: _Optional[str] = ..., used: _Optional[bool] = ..., expires_ns: _Optional[int] = ...) -> None: ...

class Intend(_message.Message):
    __slots__ = ("intent",)
    INTENT_FIELD_NUMBER: _ClassVar[int]
    intent: bytes
    def __init__(self, intent: _Optional[bytes] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: str
    def __init__(self, node: _Optional[str] = ...) -> None: ...

class IntendReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Transfer(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: str
    def __init__(self, target: _Optional[str] = ...) -> None: ...

class TransferReply(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: str
    def __init__(self, target: _Optional[str] = ...) -> None: ...

class JobsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Jobs(_message.Message):
    __slots__ = ("jobs", "short")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    SHORT_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedScalarFieldContainer[bytes]
    short: int
    def __init__(self, jobs: _Optional[_Iterable[bytes]] = ..., short: _Optional[int] = ...) -> None: ...

class JobPut(_message.Message):
    __slots__ = ("kind", "nodes", "apply", "force")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    APPLY_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    nodes: _containers.RepeatedScalarFieldContainer[str]
    apply: bool
    force: bool
    def __init__(self, kind: _Optional[str] = ..., nodes: _Optional[_Iterable[str]] = ..., apply: _Optional[bool] = ..., force: _Optional[bool] = ...) -> None: ...

class JobPutReply(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[int]] = ...) -> None: ...

class JobCancel(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class JobReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ClusterStatus(_message.Message):
    __slots__ = ("verdict", "asked", "leader", "term", "nodes", "files", "bytes", "short", "short_count", "lost_count", "error", "partials", "partial_bytes")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    SHORT_FIELD_NUMBER: _ClassVar[int]
    SHORT_COUNT_FIELD_NUMBER: _ClassVar[int]
    LOST_COUNT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PARTIALS_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    verdict: str
    asked: str
    leader: str
    term: int
    nodes: _containers.RepeatedCompositeFieldContainer[NodeStatus]
    files: int
    bytes: int
    short: _containers.RepeatedScalarFieldContainer[str]
    short_count: int
    lost_count: int
    error: str
    partials: int
    partial_bytes: int
    def __init__(self, verdict: _Optional[str] = ..., asked: _Optional[str] = ..., leader: _Optional[str] = ..., term: _Optional[int] = ..., nodes: _Optional[_Iterable[_Union[NodeStatus, _Mapping]]] = ..., files: _Optional[int] = ..., bytes: _Optional[int] = ..., short: _Optional[_Iterable[str]] = ..., short_count: _Optional[int] = ..., lost_count: _Optional[int] = ..., error: _Optional[str] = ..., partials: _Optional[int] = ..., partial_bytes: _Optional[int] = ...) -> None: ...

class PartialsRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: PartialPlace
    def __init__(self, after: _Optional[_Union[PartialPlace, _Mapping]] = ...) -> None: ...

class Partials(_message.Message):
    __slots__ = ("partials", "kept")
    PARTIALS_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    partials: _containers.RepeatedCompositeFieldContainer[PartialUpload]
    kept: int
    def __init__(self, partials: _Optional[_Iterable[_Union[PartialUpload, _Mapping]]] = ..., kept: _Optional[int] = ...) -> None: ...

class PartialUpload(_message.Message):
    __slots__ = ("path", "owner", "size", "mtime_ns", "left", "place")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    MTIME_NS_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    path: str
    owner: str
    size: int
    mtime_ns: int
    left: int
    place: PartialPlace
    def __init__(self, path: _Optional[str] = ..., owner: _Optional[str] = ..., size: _Optional[int] = ..., mtime_ns: _Optional[int] = ..., left: _Optional[int] = ..., place: _Optional[_Union[PartialPlace, _Mapping]] = ...) -> None: ...

class PartialPlace(_message.Message):
    __slots__ = ("parent", "name", "owner")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    parent: int
    name: str
    owner: str
    def __init__(self, parent: _Optional[int] = ..., name: _Optional[str] = ..., owner: _Optional[str] = ...) -> None: ...

class PartialRemove(_message.Message):
    __slots__ = ("path", "owner")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    path: str
    owner: str
    def __init__(self, path: _Optional[str] = ..., owner: _Optional[str] = ...) -> None: ...

class PartialReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UsersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class User(_message.Message):
    __slots__ = ("name", "password_hash", "home", "rights", "quota_bytes", "disabled", "used_bytes", "replicas", "quota_files", "used_files", "rules", "authorized_keys", "upload_rate", "download_rate", "max_sessions", "person", "expires_ns", "inbox_bytes", "inbox_files", "sender_bytes", "sender_files", "trash_ns")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_HASH_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    QUOTA_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FILES_FIELD_NUMBER: _ClassVar[int]
    USED_FILES_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZED_KEYS_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_RATE_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_RATE_FIELD_NUMBER: _ClassVar[int]
    MAX_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    INBOX_BYTES_FIELD_NUMBER: _ClassVar[int]
    INBOX_FILES_FIELD_NUMBER: _ClassVar[int]
    SENDER_BYTES_FIELD_NUMBER: _ClassVar[int]
    SENDER_FILES_FIELD_NUMBER: _ClassVar[int]
    TRASH_NS_FIELD_NUMBER: _ClassVar[int]
    name: str
    password_hash: str
    home: str
    rights: str
    quota_bytes: int
    disabled: bool
    used_bytes: int
    replicas: int
    quota_files: int
    used_files: int
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    authorized_keys: _containers.RepeatedScalarFieldContainer[str]
    upload_rate: int
    download_rate: int
    max_sessions: int
    person: bool
    expires_ns: int
    inbox_bytes: int
    inbox_files: int
    sender_bytes: int
    sender_files: int
    trash_ns: int
    def __init__(self, name: _Optional[str] = ..., password_hash: _Optional[str] = ..., home: _Optional[str] = ..., rights: _Optional[str] = ..., quota_bytes: _Optional[int] = ..., disabled: _Optional[bool] = ..., used_bytes: _Optional[int] = ..., replicas: _Optional[int] = ..., quota_files: _Optional[int] = ..., used_files: _Optional[int] = ..., rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., authorized_keys: _Optional[_Iterable[str]] = ..., upload_rate: _Optional[int] = ..., download_rate: _Optional[int] = ..., max_sessions: _Optional[int] = ..., person: _Optional[bool] = ..., expires_ns: _Optional[int] = ..., inbox_bytes: _Optional[int] = ..., inbox_files: _Optional[int] = ..., sender_bytes: _Optional[int] = ..., sender_files: _Optional[int] = ..., trash_ns: _Optional[int] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("path", "rights")
    PATH_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    path: str
    rights: str
    def __init__(self, path: _Optional[str] = ..., rights: _Optional[str] = ...) -> None: ...

class Users(_message.Message):
    __slots__ = ("users",)
    USERS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[User]
    def __init__(self, users: _Optional[_Iterable[_Union[User, _Mapping]]] = ...) -> None: ...

class AccountRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("user", "inbox", "trash_files", "trash_bytes", "groups")
    USER_FIELD_NUMBER: _ClassVar[int]
    INBOX_FIELD_NUMBER: _ClassVar[int]
    TRASH_FILES_FIELD_NUMBER: _ClassVar[int]
    TRASH_BYTES_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    user: User
    inbox: Inbox
    trash_files: int
    trash_bytes: int
    groups: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user: _Optional[_Union[User, _Mapping]] = ..., inbox: _Optional[_Union[Inbox, _Mapping]] = ..., trash_files: _Optional[int] = ..., trash_bytes: _Optional[int] = ..., groups: _Optional[_Iterable[str]] = ...) -> None: ...

class UserPut(_message.Message):
    __slots__ = ("name", "password_hash", "home", "rights", "quota_bytes", "disabled", "create", "update", "replicas", "quota_files", "upload_rate", "download_rate", "max_sessions", "set_rules", "drop_rules", "add_keys", "drop_keys", "person", "expires_ns", "inbox_bytes", "inbox_files", "sender_bytes", "sender_files", "trash_ns")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_HASH_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    QUOTA_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    CREATE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FILES_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_RATE_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_RATE_FIELD_NUMBER: _ClassVar[int]
    MAX_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    SET_RULES_FIELD_NUMBER: _ClassVar[int]
    DROP_RULES_FIELD_NUMBER: _ClassVar[int]
    ADD_KEYS_FIELD_NUMBER: _ClassVar[int]
    DROP_KEYS_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    INBOX_BYTES_FIELD_NUMBER: _ClassVar[int]
    INBOX_FILES_FIELD_NUMBER: _ClassVar[int]
    SENDER_BYTES_FIELD_NUMBER: _ClassVar[int]
    SENDER_FILES_FIELD_NUMBER: _ClassVar[int]
    TRASH_NS_FIELD_NUMBER: _ClassVar[int]
    name: str
    password_hash: str
    home: str
    rights: str
    quota_bytes: int
    disabled: bool
    create: bool
    update: bool
    replicas: int
    quota_files: int
    upload_rate: int
    download_rate: int
    max_sessions: int
    set_rules: _containers.RepeatedCompositeFieldContainer[Rule]
    drop_rules: _containers.RepeatedScalarFieldContainer[str]
    add_keys: _containers.RepeatedScalarFieldContainer[str]
    drop_keys: _containers.RepeatedScalarFieldContainer[str]
    person: bool
    expires_ns: int
    inbox_bytes: int
    inbox_files: int
    sender_bytes: int
    sender_files: int
    trash_ns: int
    def __init__(self, name: _Optional[str] = ..., password_hash: _Optional[str] = ..., home: _Optional[str] = ..., rights: _Optional[str] = ..., quota_bytes: _Optional[int] = ..., disabled: _Optional[bool] = ..., create: _Optional[bool] = ..., update: _Optional[bool] = ..., replicas: _Optional[int] = ..., quota_files: _Optional[int] = ..., upload_rate: _Optional[int] = ..., download_rate: _Optional[int] = ..., max_sessions: _Optional[int] = ..., set_rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., drop_rules: _Optional[_Iterable[str]] = ..., add_keys: _Optional[_Iterable[str]] = ..., drop_keys: _Optional[_Iterable[str]] = ..., person: _Optional[bool] = ..., expires_ns: _Optional[int] = ..., inbox_bytes: _Optional[int] = ..., inbox_files: _Optional[int] = ..., sender_bytes: _Optional[int] = ..., sender_files: _Optional[int] = ..., trash_ns: _Optional[int] = ...) -> None: ...

class UserRemove(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class UserReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OrphansRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Orphans(_message.Message):
    __slots__ = ("orphans",)
    ORPHANS_FIELD_NUMBER: _ClassVar[int]
    orphans: _containers.RepeatedCompositeFieldContainer[Orphan]
    def __init__(self, orphans: _Optional[_Iterable[_Union[Orphan, _Mapping]]] = ...) -> None: ...

class Orphan(_message.Message):
    __slots__ = ("owner", "files", "bytes")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    owner: str
    files: int
    bytes: int
    def __init__(self, owner: _Optional[str] = ..., files: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class UserAdopt(_message.Message):
    __slots__ = ("owner", "name", "after")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    owner: str
    name: str
    after: int
    def __init__(self, owner: _Optional[str] = ..., name: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class UserAdopted(_message.Message):
    __slots__ = ("after", "adopted", "finished")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    ADOPTED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    after: int
    adopted: int
    finished: bool
    def __init__(self, after: _Optional[int] = ..., adopted: _Optional[int] = ..., finished: _Optional[bool] = ...) -> None: ...

class GroupsRequest(_message.Message):
    __slots__ = ("after", "name")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    after: str
    name: str
    def __init__(self, after: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class Groups(_message.Message):
    __slots__ = ("groups",)
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[Group]
    def __init__(self, groups: _Optional[_Iterable[_Union[Group, _Mapping]]] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("name", "owner", "members")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner: str
    members: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., owner: _Optional[str] = ..., members: _Optional[_Iterable[str]] = ...) -> None: ...

class GroupPut(_message.Message):
    __slots__ = ("name", "create", "add", "remove", "owner")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CREATE_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    name: str
    create: bool
    add: _containers.RepeatedScalarFieldContainer[str]
    remove: _containers.RepeatedScalarFieldContainer[str]
    owner: str
    def __init__(self, name: _Optional[str] = ..., create: _Optional[bool] = ..., add: _Optional[_Iterable[str]] = ..., remove: _Optional[_Iterable[str]] = ..., owner: _Optional[str] = ...) -> None: ...

class GroupRemove(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GroupReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BlockPut(_message.Message):
    __slots__ = ("person", "name", "off")
    PERSON_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OFF_FIELD_NUMBER: _ClassVar[int]
    person: str
    name: str
    off: bool
    def __init__(self, person: _Optional[str] = ..., name: _Optional[str] = ..., off: _Optional[bool] = ...) -> None: ...

class BlockReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class InboxRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class Inbox(_message.Message):
    __slots__ = ("bytes", "files", "max_bytes", "max_files", "sender_bytes", "sender_files", "blocks")
    BYTES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_FILES_FIELD_NUMBER: _ClassVar[int]
    SENDER_BYTES_FIELD_NUMBER: _ClassVar[int]
    SENDER_FILES_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    files: int
    max_bytes: int
    max_files: int
    sender_bytes: int
    sender_files: int
    blocks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, bytes: _Optional[int] = ..., files: _Optional[int] = ..., max_bytes: _Optional[int] = ..., max_files: _Optional[int] = ..., sender_bytes: _Optional[int] = ..., sender_files: _Optional[int] = ..., blocks: _Optional[_Iterable[str]] = ...) -> None: ...

class SentRequest(_message.Message):
    __slots__ = ("name", "ended", "before")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    name: str
    ended: bool
    before: SentKey
    def __init__(self, name: _Optional[str] = ..., ended: _Optional[bool] = ..., before: _Optional[_Union[SentKey, _Mapping]] = ...) -> None: ...

class SentKey(_message.Message):
    __slots__ = ("record", "delivery")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    record: int
    delivery: int
    def __init__(self, record: _Optional[int] = ..., delivery: _Optional[int] = ...) -> None: ...

class SentPage(_message.Message):
    __slots__ = ("sent",)
    SENT_FIELD_NUMBER: _ClassVar[int]
    sent: _containers.RepeatedCompositeFieldContainer[Sent]
    def __init__(self, sent: _Optional[_Iterable[_Union[Sent, _Mapping]]] = ...) -> None: ...

class Sent(_message.Message):
    __slots__ = ("path", "recipient", "state", "size", "sent_ns", "expires_ns", "ended_ns", "key")
    PATH_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SENT_NS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_NS_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    path: str
    recipient: str
    state: str
    size: int
    sent_ns: int
    expires_ns: int
    ended_ns: int
    key: SentKey
    def __init__(self, path: _Optional[str] = ..., recipient: _Optional[str] = ..., state: _Optional[str] = ..., size: _Optional[int] = ..., sent_ns: _Optional[int] = ..., expires_ns: _Optional[int] = ..., ended_ns: _Optional[int] = ..., key: _Optional[_Union[SentKey, _Mapping]] = ...) -> None: ...

class EventsRequest(_message.Message):
    __slots__ = ("after", "wait_ms")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    after: int
    wait_ms: int
    def __init__(self, after: _Optional[int] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class EventsPage(_message.Message):
    __slots__ = ("events", "last")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    last: int
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., last: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("number", "index", "time_ns", "kind", "files", "actor", "subject", "path")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    number: int
    index: int
    time_ns: int
    kind: str
    files: int
    actor: str
    subject: str
    path: str
    def __init__(self, number: _Optional[int] = ..., index: _Optional[int] = ..., time_ns: _Optional[int] = ..., kind: _Optional[str] = ..., files: _Optional[int] = ..., actor: _Optional[str] = ..., subject: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...

class AuditRequest(_message.Message):
    __slots__ = ("after", "wait_ms", "newest")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    after: int
    wait_ms: int
    newest: int
    def __init__(self, after: _Optional[int] = ..., wait_ms: _Optional[int] = ..., newest: _Optional[int] = ...) -> None: ...

class AuditPage(_message.Message):
    __slots__ = ("entries", "last")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditEntry]
    last: int
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditEntry, _Mapping]]] = ..., last: _Optional[int] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("number", "index", "time_ns", "call", "caller", "role", "address", "node", "method", "arguments", "code", "detail", "omitted")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    OMITTED_FIELD_NUMBER: _ClassVar[int]
    number: int
    index: int
    time_ns: int
    call: bytes
    caller: str
    role: str
    address: str
    node: str
    method: str
    arguments: str
    code: str
    detail: str
    omitted: int
    def __init__(self, number: _Optional[int] = ..., index: _Optional[int] = ..., time_ns: _Optional[int] = ..., call: _Optional[bytes] = ..., caller: _Optional[str] = ..., role: _Optional[str] = ..., address: _Optional[str] = ..., node: _Optional[str] = ..., method: _Optional[str] = ..., arguments: _Optional[str] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ..., omitted: _Optional[int] = ...) -> None: ...

class WebhooksRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class Webhooks(_message.Message):
    __slots__ = ("webhooks",)
    WEBHOOKS_FIELD_NUMBER: _ClassVar[int]
    webhooks: _containers.RepeatedCompositeFieldContainer[WebhookState]
    def __init__(self, webhooks: _Optional[_Iterable[_Union[WebhookState, _Mapping]]] = ...) -> None: ...

class WebhookState(_message.Message):
    __slots__ = ("name", "url", "kinds", "private", "position", "newest", "accepted", "dead", "letters", "attempts")
    NAME_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    PRIVATE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DEAD_FIELD_NUMBER: _ClassVar[int]
    LETTERS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    url: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    private: bool
    position: int
    newest: int
    accepted: int
    dead: int
    letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    attempts: WebhookAttempts
    def __init__(self, name: _Optional[str] = ..., url: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., private: _Optional[bool] = ..., position: _Optional[int] = ..., newest: _Optional[int] = ..., accepted: _Optional[int] = ..., dead: _Optional[int] = ..., letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ..., attempts: _Optional[_Union[WebhookAttempts, _Mapping]] = ...) -> None: ...

class WebhookAttempts(_message.Message):
    __slots__ = ("failures", "error", "wait_ms")
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    failures: int
    error: str
    wait_ms: int
    def __init__(self, failures: _Optional[int] = ..., error: _Optional[str] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class WebhookQuestion(_message.Message):
    __slots__ = ("name", "revision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    revision: int
    def __init__(self, name: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class WebhookKnown(_message.Message):
    __slots__ = ("attempts",)
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    attempts: WebhookAttempts
    def __init__(self, attempts: _Optional[_Union[WebhookAttempts, _Mapping]] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("number", "first", "last", "time_ns", "detail", "asked", "lost")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    number: int
    first: int
    last: int
    time_ns: int
    detail: str
    asked: bool
    lost: bool
    def __init__(self, number: _Optional[int] = ..., first: _Optional[int] = ..., last: _Optional[int] = ..., time_ns: _Optional[int] = ..., detail: _Optional[str] = ..., asked: _Optional[bool] = ..., lost: _Optional[bool] = ...) -> None: ...

class WebhookAdd(_message.Message):
    __slots__ = ("name", "url", "kinds", "private")
    NAME_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    PRIVATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    url: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    private: bool
    def __init__(self, name: _Optional[str] = ..., url: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., private: _Optional[bool] = ...) -> None: ...

class WebhookAdded(_message.Message):
    __slots__ = ("secret",)
    SECRET_FIELD_NUMBER: _ClassVar[int]
    secret: str
    def __init__(self, secret: _Optional[str] = ...) -> None: ...

class WebhookRemove(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class WebhookRetry(_message.Message):
    __slots__ = ("name", "letter")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LETTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    letter: int
    def __init__(self, name: _Optional[str] = ..., letter: _Optional[int] = ...) -> None: ...

class WebhookReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WebhookTest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class WebhookTested(_message.Message):
    __slots__ = ("status", "error", "took_ms")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TOOK_MS_FIELD_NUMBER: _ClassVar[int]
    status: int
    error: str
    took_ms: int
    def __init__(self, status: _Optional[int] = ..., error: _Optional[str] = ..., took_ms: _Optional[int] = ...) -> None: ...

class PersonPurge(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class PersonPurged(_message.Message):
    __slots__ = ("removed", "finished")
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    removed: int
    finished: bool
    def __init__(self, removed: _Optional[int] = ..., finished: _Optional[bool] = ...) -> None: ...

class TrashRequest(_message.Message):
    __slots__ = ("name", "after")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    after: int
    def __init__(self, name: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class TrashPage(_message.Message):
    __slots__ = ("trashed", "kept_ns")
    TRASHED_FIELD_NUMBER: _ClassVar[int]
    KEPT_NS_FIELD_NUMBER: _ClassVar[int]
    trashed: _containers.RepeatedCompositeFieldContainer[Trashed]
    kept_ns: int
    def __init__(self, trashed: _Optional[_Iterable[_Union[Trashed, _Mapping]]] = ..., kept_ns: _Optional[int] = ...) -> None: ...

class Trashed(_message.Message):
    __slots__ = ("inode", "name", "path", "size", "removed_ns", "expires_ns")
    INODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    REMOVED_NS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    inode: int
    name: str
    path: str
    size: int
    removed_ns: int
    expires_ns: int
    def __init__(self, inode: _Optional[int] = ..., name: _Optional[str] = ..., path: _Optional[str] = ..., size: _Optional[int] = ..., removed_ns: _Optional[int] = ..., expires_ns: _Optional[int] = ...) -> None: ...

class TrashRestore(_message.Message):
    __slots__ = ("name", "entry", "to", "beside", "replace")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    BESIDE_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    entry: str
    to: str
    beside: bool
    replace: bool
    def __init__(self, name: _Optional[str] = ..., entry: _Optional[str] = ..., to: _Optional[str] = ..., beside: _Optional[bool] = ..., replace: _Optional[bool] = ...) -> None: ...

class TrashRestored(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class TrashEmpty(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class TrashEmptied(_message.Message):
    __slots__ = ("removed",)
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    removed: int
    def __init__(self, removed: _Optional[int] = ...) -> None: ...

class RetentionBounds(_message.Message):
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

class RetentionReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RetentionPreview(_message.Message):
    __slots__ = ("files", "bytes", "of_files", "of_bytes", "paths")
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    OF_FILES_FIELD_NUMBER: _ClassVar[int]
    OF_BYTES_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    files: int
    bytes: int
    of_files: int
    of_bytes: int
    paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, files: _Optional[int] = ..., bytes: _Optional[int] = ..., of_files: _Optional[int] = ..., of_bytes: _Optional[int] = ..., paths: _Optional[_Iterable[str]] = ...) -> None: ...

class RetentionRemove(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class RetentionRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RetentionRules(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[RetentionRule]
    def __init__(self, rules: _Optional[_Iterable[_Union[RetentionRule, _Mapping]]] = ...) -> None: ...

class RetentionRule(_message.Message):
    __slots__ = ("bounds", "files", "bytes", "settled")
    BOUNDS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    bounds: RetentionBounds
    files: int
    bytes: int
    settled: bool
    def __init__(self, bounds: _Optional[_Union[RetentionBounds, _Mapping]] = ..., files: _Optional[int] = ..., bytes: _Optional[int] = ..., settled: _Optional[bool] = ...) -> None: ...

class HostKeysRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HostKeys(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[HostKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[HostKey, _Mapping]]] = ...) -> None: ...

class HostKey(_message.Message):
    __slots__ = ("kind", "bits", "line")
    KIND_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    bits: int
    line: str
    def __init__(self, kind: _Optional[str] = ..., bits: _Optional[int] = ..., line: _Optional[str] = ...) -> None: ...

class RotateHostKeys(_message.Message):
    __slots__ = ("kinds",)
    KINDS_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kinds: _Optional[_Iterable[str]] = ...) -> None: ...

class UpgradeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Upgrade(_message.Message):
    __slots__ = ("level", "target", "nodes", "obstacles", "before")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    OBSTACLES_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    level: int
    target: int
    nodes: _containers.RepeatedCompositeFieldContainer[NodeStatus]
    obstacles: _containers.RepeatedScalarFieldContainer[str]
    before: int
    def __init__(self, level: _Optional[int] = ..., target: _Optional[int] = ..., nodes: _Optional[_Iterable[_Union[NodeStatus, _Mapping]]] = ..., obstacles: _Optional[_Iterable[str]] = ..., before: _Optional[int] = ...) -> None: ...

class SessionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Sessions(_message.Message):
    __slots__ = ("sessions", "count", "time_ns", "uploads", "upload_bytes", "downloads", "download_bytes", "cpu_seconds")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    UPLOADS_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    DOWNLOADS_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[OpenSession]
    count: int
    time_ns: int
    uploads: int
    upload_bytes: int
    downloads: int
    download_bytes: int
    cpu_seconds: float
    def __init__(self, sessions: _Optional[_Iterable[_Union[OpenSession, _Mapping]]] = ..., count: _Optional[int] = ..., time_ns: _Optional[int] = ..., uploads: _Optional[int] = ..., upload_bytes: _Optional[int] = ..., downloads: _Optional[int] = ..., download_bytes: _Optional[int] = ..., cpu_seconds: _Optional[float] = ...) -> None: ...

class OpenSession(_message.Message):
    __slots__ = ("number", "protocol", "user", "address", "began_ns", "operations")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    BEGAN_NS_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    number: int
    protocol: str
    user: str
    address: str
    began_ns: int
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    def __init__(self, number: _Optional[int] = ..., protocol: _Optional[str] = ..., user: _Optional[str] = ..., address: _Optional[str] = ..., began_ns: _Optional[int] = ..., operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("what", "path", "moved", "seconds")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    what: str
    path: str
    moved: int
    seconds: float
    def __init__(self, what: _Optional[str] = ..., path: _Optional[str] = ..., moved: _Optional[int] = ..., seconds: _Optional[float] = ...) -> None: ...

class SessionKill(_message.Message):
    __slots__ = ("number", "user")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    number: int
    user: str
    def __init__(self, number: _Optional[int] = ..., user: _Optional[str] = ...) -> None: ...

class SessionsKilled(_message.Message):
    __slots__ = ("killed",)
    KILLED_FIELD_NUMBER: _ClassVar[int]
    killed: _containers.RepeatedCompositeFieldContainer[OpenSession]
    def __init__(self, killed: _Optional[_Iterable[_Union[OpenSession, _Mapping]]] = ...) -> None: ...

class CheckupRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Checkup(_message.Message):
    __slots__ = ("report", "data", "disk_bytes", "disk_free", "disk_reserve", "files_free", "files_total", "sync_seconds", "sync_error", "descriptors", "descriptors_used", "backlog", "reached")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_FREE_FIELD_NUMBER: _ClassVar[int]
    DISK_RESERVE_FIELD_NUMBER: _ClassVar[int]
    FILES_FREE_FIELD_NUMBER: _ClassVar[int]
    FILES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    SYNC_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SYNC_ERROR_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTORS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTORS_USED_FIELD_NUMBER: _ClassVar[int]
    BACKLOG_FIELD_NUMBER: _ClassVar[int]
    REACHED_FIELD_NUMBER: _ClassVar[int]
    report: NodeReport
    data: str
    disk_bytes: int
    disk_free: int
    disk_reserve: int
    files_free: int
    files_total: int
    sync_seconds: float
    sync_error: str
    descriptors: int
    descriptors_used: int
    backlog: int
    reached: _containers.RepeatedCompositeFieldContainer[Reached]
    def __init__(self, report: _Optional[_Union[NodeReport, _Mapping]] = ..., data: _Optional[str] = ..., disk_bytes: _Optional[int] = ..., disk_free: _Optional[int] = ..., disk_reserve: _Optional[int] = ..., files_free: _Optional[int] = ..., files_total: _Optional[int] = ..., sync_seconds: _Optional[float] = ..., sync_error: _Optional[str] = ..., descriptors: _Optional[int] = ..., descriptors_used: _Optional[int] = ..., backlog: _Optional[int] = ..., reached: _Optional[_Iterable[_Union[Reached, _Mapping]]] = ...) -> None: ...

class Reached(_message.Message):
    __slots__ = ("node", "service", "address", "error")
    NODE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    node: str
    service: str
    address: str
    error: str
    def __init__(self, node: _Optional[str] = ..., service: _Optional[str] = ..., address: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class MaintenanceRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MaintenanceList(_message.Message):
    __slots__ = ("nodes", "members")
    NODES_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[MaintenanceOf]
    members: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, nodes: _Optional[_Iterable[_Union[MaintenanceOf, _Mapping]]] = ..., members: _Optional[_Iterable[str]] = ...) -> None: ...

class MaintenanceOf(_message.Message):
    __slots__ = ("node", "since_ns", "grace_ms")
    NODE_FIELD_NUMBER: _ClassVar[int]
    SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    node: str
    since_ns: int
    grace_ms: int
    def __init__(self, node: _Optional[str] = ..., since_ns: _Optional[int] = ..., grace_ms: _Optional[int] = ...) -> None: ...

class MaintenanceSet(_message.Message):
    __slots__ = ("node", "off", "grace_ms")
    NODE_FIELD_NUMBER: _ClassVar[int]
    OFF_FIELD_NUMBER: _ClassVar[int]
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    node: str
    off: bool
    grace_ms: int
    def __init__(self, node: _Optional[str] = ..., off: _Optional[bool] = ..., grace_ms: _Optional[int] = ...) -> None: ...

class MaintenanceReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LogLevelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LogLevel(_message.Message):
    __slots__ = ("level", "configured", "seconds")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    CONFIGURED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    level: str
    configured: str
    seconds: float
    def __init__(self, level: _Optional[str] = ..., configured: _Optional[str] = ..., seconds: _Optional[float] = ...) -> None: ...

class LogLevelSet(_message.Message):
    __slots__ = ("level", "seconds")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    level: str
    seconds: float
    def __init__(self, level: _Optional[str] = ..., seconds: _Optional[float] = ...) -> None: ...

class CertificateRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Certificate(_message.Message):
    __slots__ = ("pem",)
    PEM_FIELD_NUMBER: _ClassVar[int]
    pem: bytes
    def __init__(self, pem: _Optional[bytes] = ...) -> None: ...

class CertificateReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BackupHold(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    def __init__(self, id: _Optional[bytes] = ...) -> None: ...

class BackupHeld(_message.Message):
    __slots__ = ("index", "lease_ns", "node")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LEASE_NS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    index: int
    lease_ns: int
    node: str
    def __init__(self, index: _Optional[int] = ..., lease_ns: _Optional[int] = ..., node: _Optional[str] = ...) -> None: ...

class BackupCatalog(_message.Message):
    __slots__ = ("id", "index", "size", "digest")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    index: int
    size: int
    digest: bytes
    def __init__(self, id: _Optional[bytes] = ..., index: _Optional[int] = ..., size: _Optional[int] = ..., digest: _Optional[bytes] = ...) -> None: ...

class BackupPiece(_message.Message):
    __slots__ = ("id", "offset", "length")
    ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    offset: int
    length: int
    def __init__(self, id: _Optional[bytes] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class BackupChunk(_message.Message):
    __slots__ = ("digest", "length", "stores")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    length: int
    stores: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, digest: _Optional[bytes] = ..., length: _Optional[int] = ..., stores: _Optional[_Iterable[int]] = ...) -> None: ...

class BackupChunks(_message.Message):
    __slots__ = ("chunks",)
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    chunks: _containers.RepeatedCompositeFieldContainer[BackupChunk]
    def __init__(self, chunks: _Optional[_Iterable[_Union[BackupChunk, _Mapping]]] = ...) -> None: ...

class BackupBytes(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, data: _Optional[_Iterable[bytes]] = ...) -> None: ...
