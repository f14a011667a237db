"""Keys, names and seals of backups."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from blake3 import blake3

from ftpgateway.backup.keys import FORMAT, OVERHEAD, Key, Kind, make_key_file, read_key_file
from raftstore.errors import AlreadyExists, Damaged, Invalid, NotFound, TooNew

KEY, OTHER = Key(bytes(32)), Key(bytes([1]) * 32)
DATA = b"picture " * 100
NAME = KEY.name(Kind.CHUNK, blake3(DATA).digest())


def test_a_key_file_is_private_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "key"
    key = make_key_file(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_key_file(file) == key and len(key.secret) == 32
    with pytest.raises(AlreadyExists):
        make_key_file(file)
    assert make_key_file(tmp_path / "another") != key


def test_a_key_file_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with pytest.raises(NotFound, match="pixraft backup key"):
        read_key_file(file)
    make_key_file(file)
    whole = file.read_text()
    for text, error in (
        ("", Invalid),
        ("-----BEGIN PRIVATE KEY-----\n", Invalid),
        (whole[:-5], Damaged),
        (whole[:30] + ("A" if whole[30] != "A" else "B") + whole[31:], Damaged),
        (whole.replace(f" {FORMAT}\n", f" {FORMAT + 1}\n"), TooNew),
    ):
        file.write_text(text)
        with pytest.raises(error):
            read_key_file(file)


def test_what_is_sealed_opens_with_its_key_name_and_kind_alone() -> None:
    sealed = KEY.seal(Kind.CHUNK, NAME, DATA)
    assert KEY.unseal(Kind.CHUNK, NAME, sealed) == DATA
    assert len(sealed) == len(DATA) + OVERHEAD
    assert sealed != KEY.seal(Kind.CHUNK, NAME, DATA)
    for key, kind, name in (
        (OTHER, Kind.CHUNK, NAME),
        (KEY, Kind.CATALOG, NAME),
        (KEY, Kind.CHUNK, KEY.name(Kind.CHUNK, bytes(32))),
    ):
        with pytest.raises(Damaged):
            key.unseal(kind, name, sealed)


def test_every_bit_counts() -> None:
    sealed = KEY.seal(Kind.CHUNK, NAME, b"ab")
    for position in range(len(sealed)):
        for bit in range(8):
            spoilt = bytearray(sealed)
            spoilt[position] ^= 1 << bit
            with pytest.raises((Damaged, TooNew)):
                KEY.unseal(Kind.CHUNK, NAME, bytes(spoilt))
    for length in range(len(sealed)):
        with pytest.raises(Damaged):
            KEY.unseal(Kind.CHUNK, NAME, sealed[:length])


def test_a_later_format_is_told_from_damage() -> None:
    sealed = bytearray(KEY.seal(Kind.CHUNK, NAME, DATA))
    sealed[4] = FORMAT + 1
    with pytest.raises(TooNew):
        KEY.unseal(Kind.CHUNK, NAME, bytes(sealed))


def test_nothing_of_a_picture_shows_without_the_key() -> None:
    digest = blake3(DATA).digest()
    sealed = KEY.seal(Kind.CHUNK, NAME, DATA)
    assert digest.hex() not in NAME and digest not in sealed and b"picture" not in sealed
    assert OTHER.name(Kind.CHUNK, digest) != NAME != KEY.name(Kind.CATALOG, digest)
    assert KEY.secret.hex() not in KEY.identity and KEY.identity != OTHER.identity
