from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Token(_message.Message):
    __slots__ = ("id", "secret", "authority", "node", "expires_ns", "addresses", "cluster")
    ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    secret: bytes
    authority: bytes
    node: str
    expires_ns: int
    addresses: _containers.RepeatedScalarFieldContainer[str]
    cluster: str
    def __init__(self, id: _Optional[bytes] = ..., secret: _Optional[bytes] = ..., authority: _Optional[bytes] = ..., node: _Optional[str] = ..., expires_ns: _Optional[int] = ..., addresses: _Optional[_Iterable[str]] = ..., cluster: _Optional[str] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("node", "address", "oldest", "newest", "program")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    node: str
    address: str
    oldest: int
    newest: int
    program: str
    def __init__(self, node: _Optional[str] = ..., address: _Optional[str] = ..., oldest: _Optional[int] = ..., newest: _Optional[int] = ..., program: _Optional[str] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("error", "detail", "sealed", "members", "replicas", "encryption", "index")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTION_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    error: str
    detail: str
    sealed: bytes
    members: _containers.RepeatedCompositeFieldContainer[Seed]
    replicas: int
    encryption: str
    index: int
    def __init__(self, error: _Optional[str] = ..., detail: _Optional[str] = ..., sealed: _Optional[bytes] = ..., members: _Optional[_Iterable[_Union[Seed, _Mapping]]] = ..., replicas: _Optional[int] = ..., encryption: _Optional[str] = ..., index: _Optional[int] = ...) -> None: ...

class Seed(_message.Message):
    __slots__ = ("node", "address")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    node: str
    address: str
    def __init__(self, node: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class Bundle(_message.Message):
    __slots__ = ("authority", "certificate", "key")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    authority: bytes
    certificate: bytes
    key: bytes
    def __init__(self, authority: _Optional[bytes] = ..., certificate: _Optional[bytes] = ..., key: _Optional[bytes] = ...) -> None: ...
