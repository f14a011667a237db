"""One fuzzed connection to the port between nodes: as a stranger, or with the certificate of a node or an admin."""

from __future__ import annotations

import asyncio
import random
import ssl
import struct
from collections import deque

import fuzzinputs
from fuzzftp import Failure

from raftstore.metadata.levels import NEWEST
from raftstore.peers.connections.channel import VERSION
from raftstore.peers.connections.framing import BadFrame, FrameReader, encode
from raftstore.peers.model import Limits
from raftstore.peers.security.grants import Session
from raftstore.peers.security.pki import Identity
from raftstore.peers.security.seal import Seal
from raftstore.peers.security.tls import client_context
from raftstore.wire import chunks_pb2, peer_pb2, raft_pb2

PATIENCE = 30.0
"""Seconds: more than the node gives who does not introduce himself, and than a peer may be silent."""

STATES = ("stranger", "unsaid", "client", "bulk", "sealed", "consensus")
_WEIGHTS = (3, 2, 4, 2, 4, 3)
_LIMITS = Limits()

_CALLS = (
    "admin.node",
    "admin.status",
    "admin.users",
    "admin.user_put",
    "admin.user_remove",
    "admin.jobs",
    "admin.job_put",
    "admin.job_cancel",
    "admin.membership",
    "admin.intent",
    "admin.cancel",
    "admin.transfer",
    "members.transfer",
    "chunks.put",
    "chunks.get",
    "chunks.has",
    "chunks.confirm",
    "chunks.copy",
    "raft.snapshot.open",
    "raft.snapshot.read",
    "peers.bulk-session",
    "nothing.of.this",
    "",
)
_READING = frozenset({"chunks.get", "chunks.has", "chunks.confirm", "raft.snapshot.open", "raft.snapshot.read"})
_HELLO_TLS = bytes.fromhex("16030100c8010000c40303") + bytes(32) + b"\x00\x00\x04\x13\x01\x13\x02\x01\x00"
_OPENINGS = (_HELLO_TLS, b"JXP1", b"PXB1", b"\x16", b"SSH-2.0-x\r\n", b"GET / HTTP/1.1\r\n\r\n", b"")


class PeerConnection:
    """A connection whose every choice comes from `seed`; `run` sends the inputs or raises Failure."""

    def __init__(
        self, seed: str, address: tuple[str, int], inputs: int, node: Identity, admin: Identity
    ) -> None:
        self._chance = random.Random(seed)
        self._address = address
        self._inputs = inputs
        self._node = node
        self._admin = admin
        self.transcript: list[bytes] = []
        self.sent = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._seal: Seal | None = None
        self._answers = FrameReader(header_limit=_LIMITS.header_bytes, payload_limit=_LIMITS.payload_bytes)
        self._heard: deque[peer_pb2.Header] = deque()

    async def run(self) -> None:
        """Do it all."""
        state = self._chance.choices(STATES, _WEIGHTS)[0]
        self.transcript.append(f"[{state}]".encode())
        context: ssl.SSLContext | None = None
        if state != "stranger":
            context = client_context(self._admin if state == "client" else self._node)
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                self._reader, self._writer = await asyncio.open_connection(
                    *self._address, ssl=context, server_hostname="" if context else None
                )
                writer = self._writer
                await getattr(self, f"_as_{state}")()
                if state != "stranger":
                    await self._ping()
        except TimeoutError:
            raise Failure(f"{state}: neither answered nor dropped in {PATIENCE:g} s") from None
        except (OSError, asyncio.IncompleteReadError):
            if writer is None:
                raise
            # Dropped, which is what garbage gets.
        finally:
            if writer is not None:
                writer.transport.abort()
                self._writer.transport.abort()

    async def _as_stranger(self) -> None:
        chance = self._chance
        opening = chance.choice(
            (_HELLO_TLS, b"JXP1", b"PXB1", b"\x16", b"SSH-2.0-x\r\n", b"GET / HTTP/1.1\r\n\r\n", b"")
        )
        data = fuzzinputs.mutated(chance, opening + chance.randbytes(chance.choice((0, 3, 40, 2000))))
        self.transcript.append(data)
        for piece in fuzzinputs.portions(chance, data):
            self._writer.write(piece)
            await asyncio.sleep(0)
        await self._writer.drain()
        if chance.random() < 0.9:
            self._writer.write_eof()
        self.sent = 1
        await self._read_to_end()

    async def _as_unsaid(self) -> None:
        """Authenticated, but the first frame is not a hello."""
        data = self._mangled_frame()
        self._writer.write(data)
        await self._writer.drain()
        self.sent = 1

    async def _as_client(self) -> None:
        await self._talk(peer_pb2.CLIENT, self._call_frame)

    async def _as_bulk(self) -> None:
        await self._talk(peer_pb2.BULK, self._call_frame)

    async def _as_sealed(self) -> None:
        """Without TLS, with a key that was asked for over TLS; chunks encrypted or as they are."""
        chance = self._chance
        plain = chance.random() < 0.5
        await self._hello(peer_pb2.CLIENT)
        body = peer_pb2.BulkSessionRequest(plain_chunks=plain).SerializeToString()
        self._send(
            _frame(peer_pb2.Header(kind=peer_pb2.REQUEST, call=1, method="peers.bulk-session", body=body))
        )
        granted = peer_pb2.BulkSession.FromString((await self._frame_of(peer_pb2.REPLY)).body)
        self._writer.transport.abort()
        session = Session(granted.id, granted.key, plain)
        seals = session.dialler_seals()
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        opening = session.preamble()
        if chance.random() < 0.02:
            opening = fuzzinputs.mutated(chance, opening)
        self._writer.write(opening)
        self._seal = seals.sending
        self._answers = FrameReader(
            header_limit=_LIMITS.header_bytes, payload_limit=_LIMITS.payload_bytes, seal=seals.receiving
        )
        await self._talk(peer_pb2.BULK, self._sealed_frame)

    async def _as_consensus(self) -> None:
        await self._talk(peer_pb2.CONSENSUS, self._message_frame)

    async def _talk(self, lane: peer_pb2.LaneKind, make: object) -> None:
        assert callable(make)
        chance = self._chance
        await self._hello(lane)
        for number in range(self._inputs):
            data = make(number + 1)
            self.transcript.append(data)
            if self._writer.transport.is_closing():
                raise ConnectionResetError
            for piece in fuzzinputs.portions(chance, data):
                self._writer.write(piece)
            if chance.random() < 0.5:
                await self._writer.drain()
            self.sent = number + 1

    async def _hello(self, lane: peer_pb2.LaneKind) -> None:
        hello = peer_pb2.Hello(
            version=VERSION, lane=lane, instance=self._chance.randbytes(16), sequence=1, oldest=1, newest=NEWEST
        )
        self._send(self._framed(peer_pb2.Header(kind=peer_pb2.HELLO, hello=hello)))
        await self._frame_of(peer_pb2.WELCOME)

    # Frames.

    def _sealed_frame(self, call: int) -> bytes:
        """A request; at times one with a right tag around what is none, or around a payload that nothing covers."""
        chance = self._chance
        if chance.random() < 0.98:
            return self._call_frame(call)
        assert self._seal is not None
        header = self._garbage_body()
        if chance.random() < 0.5:
            header = peer_pb2.Header(
                kind=peer_pb2.REQUEST, call=call, method="chunks.put", by_digest=chance.random() < 0.5
            ).SerializeToString()
        payload = chance.randbytes(chance.choice((0, 1, 20_000, 70_000)))
        bare = self._seal.bares and chance.random() < 0.5
        lengths = struct.pack("!II", len(header) | (0x80000000 if chance.random() < 0.5 else 0), len(payload))
        sealed = self._seal.seal(lengths, header, payload, lambda size: memoryview(bytearray(size)), bare=bare)
        return b"".join(sealed)

    def _call_frame(self, call: int) -> bytes:
        """A request: to a method there is or not, with a body that is a message of another, or random, or both."""
        chance = self._chance
        method = chance.choice(_CALLS)
        payload = chance.randbytes(chance.choice((0, 0, 1, 100, 70_000)))
        header = peer_pb2.Header(
            kind=peer_pb2.REQUEST,
            call=call,
            method=method,
            body=self._body(harmless=method in _READING),
            deadline_ms=chance.choice((0, 1, 5000, 2**32 - 1)),
            by_digest=chance.random() < (0.5 if method == "chunks.put" else 0.005),
        )
        if chance.random() < 0.01:
            header.kind = chance.choice((0, 1, 2, 4, 5, 6, 7, 9, 77))
        return self._perhaps_mangled(self._framed(header, payload))

    def _message_frame(self, _number: int) -> bytes:
        chance = self._chance
        method = chance.choice(("raft",) * 8 + ("other", ""))
        body = self._stale_envelope() if chance.random() < 0.6 else self._garbage_body()
        return self._perhaps_mangled(_frame(peer_pb2.Header(kind=peer_pb2.MESSAGE, method=method, body=body)))

    def _stale_envelope(self) -> bytes:
        """A message of a term that is long over, well formed or not: what a member says in this one would count."""
        chance = self._chance
        number = chance.choice((0, 1, 2**63, 2**64 - 1, chance.randrange(2**20)))
        envelope = chance.choice(
            (
                raft_pb2.Envelope(
                    append=raft_pb2.Append(sequence=number, previous_index=number, commit_index=number)
                ),
                raft_pb2.Envelope(
                    append_reply=raft_pb2.AppendReply(sequence=number, outcome=1, next_index=number)
                ),
                raft_pb2.Envelope(vote_request=raft_pb2.VoteRequest(last_index=number, last_term=number)),
                raft_pb2.Envelope(vote=raft_pb2.Vote()),
                raft_pb2.Envelope(poll_request=raft_pb2.PollRequest(round=number, last_index=number)),
                raft_pb2.Envelope(poll_reply=raft_pb2.PollReply(round=number, granted=True)),
                raft_pb2.Envelope(proposed=raft_pb2.Proposed()),
                raft_pb2.Envelope(timeout_now=raft_pb2.TimeoutNow()),
                raft_pb2.Envelope(read_request=raft_pb2.ReadRequest()),
                raft_pb2.Envelope(read_reply=raft_pb2.ReadReply()),
                raft_pb2.Envelope(probe=raft_pb2.Probe()),
                raft_pb2.Envelope(probe_ack=raft_pb2.ProbeAck()),
                raft_pb2.Envelope(),
            )
        )
        envelope.term = chance.randrange(2)
        return envelope.SerializeToString()

    def _body(self, *, harmless: bool) -> bytes:
        """A body. What a member may ask for in earnest is not asked for: it would be done."""
        chance = self._chance
        if not harmless or chance.random() < 0.5:
            return self._garbage_body()
        message = chance.choice(
            (
                chunks_pb2.Get(digest=chance.randbytes(chance.choice((0, 31, 32, 33)))),
                chunks_pb2.Has(digests=[chance.randbytes(32) for _ in range(chance.randrange(5))]),
                chunks_pb2.Confirm(store=chance.randrange(5), digests=[chance.randbytes(32)]),
                raft_pb2.SnapshotOpen(above=chance.randrange(2**64)),
                raft_pb2.SnapshotRead(offset=chance.randrange(2**64), length=chance.randrange(2**32)),
            )
        ).SerializeToString()
        return fuzzinputs.mutated(chance, message) if chance.random() < 0.5 else message

    def _garbage_body(self) -> bytes:
        """Random bytes, or a field that is cut off: not one decodes."""
        chance = self._chance
        kind = chance.random()
        if kind < 0.4:
            return b"\x0a" + b"\xff" * 4 + b"\x0f" + chance.randbytes(chance.randrange(50))
        if kind < 0.7:
            return chance.randbytes(chance.randrange(1, 300)) + b"\xff" * 11
        return b"\x0b" * chance.randrange(1, 300)  # groups that never end

    def _perhaps_mangled(self, frame: bytes) -> bytes:
        chance = self._chance
        if chance.random() < 0.99:
            return frame
        return self._mangled(frame)

    def _mangled_frame(self) -> bytes:
        header = peer_pb2.Header(kind=self._chance.choice((1, 3, 7)), call=1, method="admin.status", body=b"x")
        data = self._mangled(_frame(header, b"payload"))
        self.transcript.append(data)
        return data

    def _mangled(self, frame: bytes) -> bytes:
        """Lengths that lie, or bytes changed anywhere."""
        chance = self._chance
        if chance.random() < 0.5:
            lengths = struct.pack(
                "!II", chance.choice((0, 1, 2**31, 2**32 - 1, 5)), chance.choice((0, 9, 2**32 - 1))
            )
            return lengths + frame[8:]
        return fuzzinputs.mutated(chance, frame)

    # Answers.

    def _send(self, data: bytes) -> None:
        self._writer.write(data)

    async def _ping(self) -> None:
        """The node answers a ping, unless it dropped the connection, which ends the reading. What was begun and never
        ended takes the ping for its rest: then silence is answered by a drop.
        """
        self._send(self._framed(peer_pb2.Header(kind=peer_pb2.PING)))
        await self._frame_of(peer_pb2.PONG)

    async def _frame_of(self, kind: int) -> peer_pb2.Header:
        """Return the next frame of that kind; what comes before it is looked at and forgotten."""
        while True:
            while self._heard:
                header = self._heard.popleft()
                if "Traceback" in header.detail or 'File "' in header.detail:
                    raise Failure(f"the peer was told {header.detail!r}")
                if header.kind == kind:
                    return header
            space = self._answers.buffer()
            block = await self._reader.read(len(space))
            if not block:
                raise ConnectionResetError
            space[: len(block)] = block
            try:
                self._heard += [header for header, _ in self._answers.received(len(block))]
            except BadFrame as error:
                raise Failure(f"the node sent what is no frame: {error.detail}") from None

    async def _read_to_end(self) -> None:
        while await self._reader.read(65536):
            pass

    def _framed(self, header: peer_pb2.Header, payload: bytes = b"") -> bytes:
        return _frame(header, payload, self._seal)


def _frame(header: peer_pb2.Header, payload: bytes = b"", seal: Seal | None = None) -> bytes:
    limits = {"header_limit": _LIMITS.header_bytes, "payload_limit": _LIMITS.payload_bytes}
    return b"".join(encode(header, payload, **limits, seal=seal))
