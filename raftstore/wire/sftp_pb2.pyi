from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Setup(_message.Message):
    __slots__ = ("host_keys", "channels", "legacy_algorithms", "idle_timeout")
    HOST_KEYS_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    LEGACY_ALGORITHMS_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    host_keys: _containers.RepeatedScalarFieldContainer[bytes]
    channels: int
    legacy_algorithms: bool
    idle_timeout: float
    def __init__(self, host_keys: _Optional[_Iterable[bytes]] = ..., channels: _Optional[int] = ..., legacy_algorithms: _Optional[bool] = ..., idle_timeout: _Optional[float] = ...) -> None: ...

class Connection(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Probe(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Alive(_message.Message):
    __slots__ = ("yes",)
    YES_FIELD_NUMBER: _ClassVar[int]
    yes: bool
    def __init__(self, yes: _Optional[bool] = ...) -> None: ...

class ToWorker(_message.Message):
    __slots__ = ("setup", "connection", "probe")
    SETUP_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    setup: Setup
    connection: Connection
    probe: Probe
    def __init__(self, setup: _Optional[_Union[Setup, _Mapping]] = ..., connection: _Optional[_Union[Connection, _Mapping]] = ..., probe: _Optional[_Union[Probe, _Mapping]] = ...) -> None: ...

class Password(_message.Message):
    __slots__ = ("user", "password")
    USER_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    user: str
    password: bytes
    def __init__(self, user: _Optional[str] = ..., password: _Optional[bytes] = ...) -> None: ...

class Key(_message.Message):
    __slots__ = ("user", "blob")
    USER_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    user: str
    blob: bytes
    def __init__(self, user: _Optional[str] = ..., blob: _Optional[bytes] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("user", "blob", "command")
    USER_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    user: str
    blob: bytes
    command: bytes
    def __init__(self, user: _Optional[str] = ..., blob: _Optional[bytes] = ..., command: _Optional[bytes] = ...) -> None: ...

class Exit(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: int
    def __init__(self, session: _Optional[int] = ...) -> None: ...

class Over(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("request", "reason")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request: str
    reason: str
    def __init__(self, request: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class UnusableKey(_message.Message):
    __slots__ = ("user", "reason")
    USER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    user: str
    reason: str
    def __init__(self, user: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Life(_message.Message):
    __slots__ = ("moving",)
    MOVING_FIELD_NUMBER: _ClassVar[int]
    moving: bool
    def __init__(self, moving: _Optional[bool] = ...) -> None: ...

class FromWorker(_message.Message):
    __slots__ = ("password", "key", "open", "over", "refused", "unusable_key", "life", "exit")
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    UNUSABLE_KEY_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    password: Password
    key: Key
    open: Open
    over: Over
    refused: Refused
    unusable_key: UnusableKey
    life: Life
    exit: Exit
    def __init__(self, password: _Optional[_Union[Password, _Mapping]] = ..., key: _Optional[_Union[Key, _Mapping]] = ..., open: _Optional[_Union[Open, _Mapping]] = ..., over: _Optional[_Union[Over, _Mapping]] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ..., unusable_key: _Optional[_Union[UnusableKey, _Mapping]] = ..., life: _Optional[_Union[Life, _Mapping]] = ..., exit: _Optional[_Union[Exit, _Mapping]] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("yes", "text", "session", "status", "over")
    YES_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    yes: bool
    text: str
    session: int
    status: int
    over: bool
    def __init__(self, yes: _Optional[bool] = ..., text: _Optional[str] = ..., session: _Optional[int] = ..., status: _Optional[int] = ..., over: _Optional[bool] = ...) -> None: ...
