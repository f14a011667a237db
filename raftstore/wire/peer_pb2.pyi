from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTHING: _ClassVar[Kind]
    HELLO: _ClassVar[Kind]
    WELCOME: _ClassVar[Kind]
    REQUEST: _ClassVar[Kind]
    REPLY: _ClassVar[Kind]
    ERROR: _ClassVar[Kind]
    CANCEL: _ClassVar[Kind]
    MESSAGE: _ClassVar[Kind]
    PING: _ClassVar[Kind]
    PONG: _ClassVar[Kind]

class LaneKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLIENT: _ClassVar[LaneKind]
    CONSENSUS: _ClassVar[LaneKind]
    BULK: _ClassVar[LaneKind]
NOTHING: Kind
HELLO: Kind
WELCOME: Kind
REQUEST: Kind
REPLY: Kind
ERROR: Kind
CANCEL: Kind
MESSAGE: Kind
PING: Kind
PONG: Kind
CLIENT: LaneKind
CONSENSUS: LaneKind
BULK: LaneKind

class Header(_message.Message):
    __slots__ = ("kind", "call", "method", "body", "error", "detail", "deadline_ms", "hello", "by_digest")
    KIND_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    kind: Kind
    call: int
    method: str
    body: bytes
    error: str
    detail: str
    deadline_ms: int
    hello: Hello
    by_digest: bool
    def __init__(self, kind: _Optional[_Union[Kind, str]] = ..., call: _Optional[int] = ..., method: _Optional[str] = ..., body: _Optional[bytes] = ..., error: _Optional[str] = ..., detail: _Optional[str] = ..., deadline_ms: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., by_digest: _Optional[bool] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("version", "lane", "instance", "sequence", "oldest", "newest", "level", "program")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    version: int
    lane: LaneKind
    instance: bytes
    sequence: int
    oldest: int
    newest: int
    level: int
    program: str
    def __init__(self, version: _Optional[int] = ..., lane: _Optional[_Union[LaneKind, str]] = ..., instance: _Optional[bytes] = ..., sequence: _Optional[int] = ..., oldest: _Optional[int] = ..., newest: _Optional[int] = ..., level: _Optional[int] = ..., program: _Optional[str] = ...) -> None: ...

class BulkSessionRequest(_message.Message):
    __slots__ = ("plain_chunks",)
    PLAIN_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    plain_chunks: bool
    def __init__(self, plain_chunks: _Optional[bool] = ...) -> None: ...

class BulkSession(_message.Message):
    __slots__ = ("id", "key")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    key: bytes
    def __init__(self, id: _Optional[bytes] = ..., key: _Optional[bytes] = ...) -> None: ...
