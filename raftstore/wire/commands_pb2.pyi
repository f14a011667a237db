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
    __slots__ = ("status", "detail", "inode", "store", "index")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    INODE_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    status: Status
    detail: str
    inode: int
    store: int
    index: int
    def __init__(self, status: _Optional[_Union[Status, str]] = ..., detail: _Optional[str] = ..., inode: _Optional[int] = ..., store: _Optional[int] = ..., index: _Optional[int] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("digest", "length", "stores")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    length: int
    stores: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, digest: _Optional[bytes] = ..., length: _Optional[int] = ..., stores: _Optional[_Iterable[int]] = ...) -> None: ...

class MakeDirectory(_message.Message):
    __slots__ = ("path", "owner")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    path: str
    owner: str
    def __init__(self, path: _Optional[str] = ..., owner: _Optional[str] = ...) -> None: ...

class RemoveDirectory(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class PutFile(_message.Message):
    __slots__ = ("path", "owner", "size", "mtime_ns", "chunks", "exclusive", "base_inode", "base_version", "quorum")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    MTIME_NS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    BASE_INODE_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    path: str
    owner: str
    size: int
    mtime_ns: int
    chunks: _containers.RepeatedCompositeFieldContainer[Chunk]
    exclusive: bool
    base_inode: int
    base_version: int
    quorum: int
    def __init__(self, path: _Optional[str] = ..., owner: _Optional[str] = ..., size: _Optional[int] = ..., mtime_ns: _Optional[int] = ..., chunks: _Optional[_Iterable[_Union[Chunk, _Mapping]]] = ..., exclusive: _Optional[bool] = ..., base_inode: _Optional[int] = ..., base_version: _Optional[int] = ..., quorum: _Optional[int] = ...) -> None: ...

class RemoveFile(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class Rename(_message.Message):
    __slots__ = ("source", "target")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    source: str
    target: str
    def __init__(self, source: _Optional[str] = ..., target: _Optional[str] = ...) -> None: ...

class SetTimes(_message.Message):
    __slots__ = ("path", "mtime_ns")
    PATH_FIELD_NUMBER: _ClassVar[int]
    MTIME_NS_FIELD_NUMBER: _ClassVar[int]
    path: str
    mtime_ns: int
    def __init__(self, path: _Optional[str] = ..., mtime_ns: _Optional[int] = ...) -> None: ...

class PutPartial(_message.Message):
    __slots__ = ("path", "owner", "size", "chunks")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    path: str
    owner: str
    size: int
    chunks: _containers.RepeatedCompositeFieldContainer[Chunk]
    def __init__(self, path: _Optional[str] = ..., owner: _Optional[str] = ..., size: _Optional[int] = ..., chunks: _Optional[_Iterable[_Union[Chunk, _Mapping]]] = ...) -> None: ...

class DropPartial(_message.Message):
    __slots__ = ("path", "owner")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    path: str
    owner: str
    def __init__(self, path: _Optional[str] = ..., owner: _Optional[str] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("name", "password_hash", "home", "rights", "quota_bytes", "disabled", "revision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_HASH_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    QUOTA_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    password_hash: str
    home: str
    rights: str
    quota_bytes: int
    disabled: bool
    revision: int
    def __init__(self, name: _Optional[str] = ..., password_hash: _Optional[str] = ..., home: _Optional[str] = ..., rights: _Optional[str] = ..., quota_bytes: _Optional[int] = ..., disabled: _Optional[bool] = ..., revision: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("digest", "store")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    store: int
    def __init__(self, digest: _Optional[bytes] = ..., store: _Optional[int] = ...) -> None: ...

class ChangeReplicas(_message.Message):
    __slots__ = ("added", "removed")
    ADDED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    added: _containers.RepeatedCompositeFieldContainer[ReplicaChange]
    removed: _containers.RepeatedCompositeFieldContainer[ReplicaChange]
    def __init__(self, added: _Optional[_Iterable[_Union[ReplicaChange, _Mapping]]] = ..., removed: _Optional[_Iterable[_Union[ReplicaChange, _Mapping]]] = ...) -> None: ...

class Intent(_message.Message):
    __slots__ = ("id", "kind", "node", "address", "force", "replaces", "token_key", "sealed", "certificate", "expires_ns", "nonce", "done", "index")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        JOIN: _ClassVar[Intent.Kind]
        REMOVE: _ClassVar[Intent.Kind]
        MOVE: _ClassVar[Intent.Kind]
    JOIN: Intent.Kind
    REMOVE: Intent.Kind
    MOVE: Intent.Kind
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

class Command(_message.Message):
    __slots__ = ("make_directory", "remove_directory", "put_file", "remove_file", "rename", "set_times", "put_partial", "drop_partial", "put_user", "remove_user", "register_store", "change_replicas", "put_intent", "redeem_token", "finish_intent")
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
    def __init__(self, make_directory: _Optional[_Union[MakeDirectory, _Mapping]] = ..., remove_directory: _Optional[_Union[RemoveDirectory, _Mapping]] = ..., put_file: _Optional[_Union[PutFile, _Mapping]] = ..., remove_file: _Optional[_Union[RemoveFile, _Mapping]] = ..., rename: _Optional[_Union[Rename, _Mapping]] = ..., set_times: _Optional[_Union[SetTimes, _Mapping]] = ..., put_partial: _Optional[_Union[PutPartial, _Mapping]] = ..., drop_partial: _Optional[_Union[DropPartial, _Mapping]] = ..., put_user: _Optional[_Union[PutUser, _Mapping]] = ..., remove_user: _Optional[_Union[RemoveUser, _Mapping]] = ..., register_store: _Optional[_Union[RegisterStore, _Mapping]] = ..., change_replicas: _Optional[_Union[ChangeReplicas, _Mapping]] = ..., put_intent: _Optional[_Union[PutIntent, _Mapping]] = ..., redeem_token: _Optional[_Union[RedeemToken, _Mapping]] = ..., finish_intent: _Optional[_Union[FinishIntent, _Mapping]] = ...) -> None: ...
