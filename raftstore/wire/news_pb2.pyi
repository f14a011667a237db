from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class News(_message.Message):
    __slots__ = ("topic", "body")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    topic: str
    body: bytes
    def __init__(self, topic: _Optional[str] = ..., body: _Optional[bytes] = ...) -> None: ...

class LoginFailures(_message.Message):
    __slots__ = ("failures",)
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    failures: _containers.RepeatedCompositeFieldContainer[Failures]
    def __init__(self, failures: _Optional[_Iterable[_Union[Failures, _Mapping]]] = ...) -> None: ...

class Failures(_message.Message):
    __slots__ = ("network", "count")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    network: str
    count: int
    def __init__(self, network: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...
