"""Headers of the PROXY protocol, in whatever pieces they come; and whatever else comes is refused within the bounds."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from ftpgateway.serving.proxyprotocol import MOST_V2, SIGNATURE, BadHeader, HeaderReader, Origin

ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)), st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6))
)
PORTS = st.integers(0, 65535)


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return str((address.ipv4_mapped if address.version == 6 else None) or address)


def _read(stream: bytes, cuts: list[int]) -> tuple[Origin | None, bytes]:
    """Feed a stream as a socket gives it: pieces end where `cuts` say. Return the origin and what was left alone."""
    reader, at, turn = HeaderReader(), 0, 0
    while reader.wanted and at < len(stream):
        count = min(reader.wanted, 1 + (cuts[turn % len(cuts)] if cuts else 64))
        reader.feed(stream[at : at + count])
        at += len(stream[at : at + count])
        turn += 1
    return reader.origin, stream[at:]


@examples(200)
@given(ADDRESSES, PORTS, PORTS, st.binary(max_size=300), st.binary(max_size=30), st.lists(st.integers(0, 40)))
def test_version_2_says_who_and_leaves_what_follows(
    addresses: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...],
    source_port: int,
    port: int,
    options: bytes,
    after: bytes,
    cuts: list[int],
) -> None:
    source, destination = addresses
    body = source.packed + destination.packed + struct.pack("!HH", source_port, port) + options
    header = SIGNATURE + struct.pack("!BBH", 0x21, 0x11 if source.version == 4 else 0x21, len(body)) + body
    assert _read(header + after, cuts) == (Origin(_plain(source)), after)


@examples(200)
@given(ADDRESSES, PORTS, PORTS, st.binary(max_size=30), st.lists(st.integers(0, 40)))
def test_version_1_says_who_and_leaves_what_follows(
    addresses: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...],
    source_port: int,
    port: int,
    after: bytes,
    cuts: list[int],
) -> None:
    source, destination = addresses
    line = f"PROXY TCP{source.version} {source} {destination} {source_port} {port}\r\n".encode()
    assert _read(line + after, cuts) == (Origin(_plain(source)), after)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
        SIGNATURE + b"\x20\x00\x00\x00",  # LOCAL
        SIGNATURE + b"\x20\x11\x00\x03abc",  # LOCAL with something
        SIGNATURE + b"\x21\x00\x00\x00",  # UNSPEC
        SIGNATURE + b"\x21\x12\x00\x0c" + bytes(12),  # UDP
        SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216),  # UNIX
    ],
)
def test_a_balancer_that_speaks_for_itself(header: bytes) -> None:
    assert _read(header + b"SSH-2.0", [0]) == (Origin(), b"SSH-2.0")


@pytest.mark.parametrize(
    "stream",
    [
        b"USER alice\r\nPASS",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 -1\r\n",
        b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n" + bytes(200),
        b"PROXY " + b"x" * 200,
        b"PROXY SCTP 1.2.3.4 5.6.7.8 1 2\r\n",
        SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        SIGNATURE + b"\x21\x11\xff\xff" + bytes(65535),
    ],
)
def test_what_is_no_header_is_refused(stream: bytes) -> None:
    with pytest.raises(BadHeader):
        _read(stream, [63])


@examples(300)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=200).map(lambda rest: SIGNATURE + rest),
        st.binary(max_size=200).map(lambda rest: b"PROXY " + rest),
    ),
    st.lists(st.integers(0, 40)),
)
def test_garbage_ends_within_the_bounds(stream: bytes, cuts: list[int]) -> None:
    reader = HeaderReader()
    try:
        at = 0
        while reader.wanted and at < len(stream):
            assert reader.wanted <= MOST_V2 - at
            piece = stream[at : at + min(reader.wanted, 1 + (cuts[at % len(cuts)] if cuts else 64))]
            reader.feed(piece)
            at += len(piece)
    except BadHeader:
        return
    assert (reader.origin is not None) == (reader.wanted == 0)
