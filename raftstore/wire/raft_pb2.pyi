from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Envelope(_message.Message):
    __slots__ = ("term", "append", "append_reply", "vote_request", "vote", "poll_request", "poll_reply", "propose", "proposed", "timeout_now", "stale_term", "read_request", "read_reply", "probe", "probe_ack")
    TERM_FIELD_NUMBER: _ClassVar[int]
    APPEND_FIELD_NUMBER: _ClassVar[int]
    APPEND_REPLY_FIELD_NUMBER: _ClassVar[int]
    VOTE_REQUEST_FIELD_NUMBER: _ClassVar[int]
    VOTE_FIELD_NUMBER: _ClassVar[int]
    POLL_REQUEST_FIELD_NUMBER: _ClassVar[int]
    POLL_REPLY_FIELD_NUMBER: _ClassVar[int]
    PROPOSE_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_NOW_FIELD_NUMBER: _ClassVar[int]
    STALE_TERM_FIELD_NUMBER: _ClassVar[int]
    READ_REQUEST_FIELD_NUMBER: _ClassVar[int]
    READ_REPLY_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    PROBE_ACK_FIELD_NUMBER: _ClassVar[int]
    term: int
    append: Append
    append_reply: AppendReply
    vote_request: VoteRequest
    vote: Vote
    poll_request: PollRequest
    poll_reply: PollReply
    propose: Propose
    proposed: Proposed
    timeout_now: TimeoutNow
    stale_term: StaleTerm
    read_request: ReadRequest
    read_reply: ReadReply
    probe: Probe
    probe_ack: ProbeAck
    def __init__(self, term: _Optional[int] = ..., append: _Optional[_Union[Append, _Mapping]] = ..., append_reply: _Optional[_Union[AppendReply, _Mapping]] = ..., vote_request: _Optional[_Union[VoteRequest, _Mapping]] = ..., vote: _Optional[_Union[Vote, _Mapping]] = ..., poll_request: _Optional[_Union[PollRequest, _Mapping]] = ..., poll_reply: _Optional[_Union[PollReply, _Mapping]] = ..., propose: _Optional[_Union[Propose, _Mapping]] = ..., proposed: _Optional[_Union[Proposed, _Mapping]] = ..., timeout_now: _Optional[_Union[TimeoutNow, _Mapping]] = ..., stale_term: _Optional[_Union[StaleTerm, _Mapping]] = ..., read_request: _Optional[_Union[ReadRequest, _Mapping]] = ..., read_reply: _Optional[_Union[ReadReply, _Mapping]] = ..., probe: _Optional[_Union[Probe, _Mapping]] = ..., probe_ack: _Optional[_Union[ProbeAck, _Mapping]] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("term", "command")
    TERM_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    term: int
    command: bytes
    def __init__(self, term: _Optional[int] = ..., command: _Optional[bytes] = ...) -> None: ...

class Append(_message.Message):
    __slots__ = ("sequence", "previous_index", "previous_term", "entries", "commit_index", "oldest")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_INDEX_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_TERM_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    COMMIT_INDEX_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    previous_index: int
    previous_term: int
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    commit_index: int
    oldest: bool
    def __init__(self, sequence: _Optional[int] = ..., previous_index: _Optional[int] = ..., previous_term: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., commit_index: _Optional[int] = ..., oldest: _Optional[bool] = ...) -> None: ...

class AppendReply(_message.Message):
    __slots__ = ("sequence", "outcome", "next_index")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ALIVE: _ClassVar[AppendReply.Outcome]
        MATCHED: _ClassVar[AppendReply.Outcome]
        REJECTED: _ClassVar[AppendReply.Outcome]
    ALIVE: AppendReply.Outcome
    MATCHED: AppendReply.Outcome
    REJECTED: AppendReply.Outcome
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    NEXT_INDEX_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    outcome: AppendReply.Outcome
    next_index: int
    def __init__(self, sequence: _Optional[int] = ..., outcome: _Optional[_Union[AppendReply.Outcome, str]] = ..., next_index: _Optional[int] = ...) -> None: ...

class VoteRequest(_message.Message):
    __slots__ = ("last_index", "last_term", "transfer")
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    LAST_TERM_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    last_index: int
    last_term: int
    transfer: bool
    def __init__(self, last_index: _Optional[int] = ..., last_term: _Optional[int] = ..., transfer: _Optional[bool] = ...) -> None: ...

class Vote(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PollRequest(_message.Message):
    __slots__ = ("round", "last_index", "last_term")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    LAST_TERM_FIELD_NUMBER: _ClassVar[int]
    round: int
    last_index: int
    last_term: int
    def __init__(self, round: _Optional[int] = ..., last_index: _Optional[int] = ..., last_term: _Optional[int] = ...) -> None: ...

class PollReply(_message.Message):
    __slots__ = ("round", "granted")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    round: int
    granted: bool
    def __init__(self, round: _Optional[int] = ..., granted: _Optional[bool] = ...) -> None: ...

class Propose(_message.Message):
    __slots__ = ("boot", "request", "command")
    BOOT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    boot: int
    request: int
    command: bytes
    def __init__(self, boot: _Optional[int] = ..., request: _Optional[int] = ..., command: _Optional[bytes] = ...) -> None: ...

class Proposed(_message.Message):
    __slots__ = ("boot", "request", "index", "entry_term", "error")
    BOOT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ENTRY_TERM_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    boot: int
    request: int
    index: int
    entry_term: int
    error: int
    def __init__(self, boot: _Optional[int] = ..., request: _Optional[int] = ..., index: _Optional[int] = ..., entry_term: _Optional[int] = ..., error: _Optional[int] = ...) -> None: ...

class TimeoutNow(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StaleTerm(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReadRequest(_message.Message):
    __slots__ = ("boot", "request")
    BOOT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    boot: int
    request: int
    def __init__(self, boot: _Optional[int] = ..., request: _Optional[int] = ...) -> None: ...

class ReadReply(_message.Message):
    __slots__ = ("boot", "request", "refused", "index")
    BOOT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    boot: int
    request: int
    refused: bool
    index: int
    def __init__(self, boot: _Optional[int] = ..., request: _Optional[int] = ..., refused: _Optional[bool] = ..., index: _Optional[int] = ...) -> None: ...

class Probe(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class ProbeAck(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class Configuration(_message.Message):
    __slots__ = ("members", "removed")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[Member]
    removed: _containers.RepeatedCompositeFieldContainer[Former]
    def __init__(self, members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., removed: _Optional[_Iterable[_Union[Former, _Mapping]]] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("name", "voter", "address", "certificate", "renewed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VOTER_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    RENEWED_FIELD_NUMBER: _ClassVar[int]
    name: str
    voter: bool
    address: str
    certificate: bytes
    renewed: bytes
    def __init__(self, name: _Optional[str] = ..., voter: _Optional[bool] = ..., address: _Optional[str] = ..., certificate: _Optional[bytes] = ..., renewed: _Optional[bytes] = ...) -> None: ...

class Former(_message.Message):
    __slots__ = ("name", "index", "certificate")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    index: int
    certificate: bytes
    def __init__(self, name: _Optional[str] = ..., index: _Optional[int] = ..., certificate: _Optional[bytes] = ...) -> None: ...

class SnapshotOpen(_message.Message):
    __slots__ = ("above",)
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    above: int
    def __init__(self, above: _Optional[int] = ...) -> None: ...

class SnapshotInfo(_message.Message):
    __slots__ = ("id", "index", "size", "digest", "before", "last")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    index: int
    size: int
    digest: bytes
    before: Entry
    last: Entry
    def __init__(self, id: _Optional[bytes] = ..., index: _Optional[int] = ..., size: _Optional[int] = ..., digest: _Optional[bytes] = ..., before: _Optional[_Union[Entry, _Mapping]] = ..., last: _Optional[_Union[Entry, _Mapping]] = ...) -> None: ...

class SnapshotRead(_message.Message):
    __slots__ = ("id", "offset", "length")
    ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    offset: int
    length: int
    def __init__(self, id: _Optional[bytes] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...
