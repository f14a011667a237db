"""Tokens of sessions."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ftpgateway.web import tokens
from raftstore.types import User

KEY, OTHER = b"k" * 32, b"o" * 32
USER = User("anna", "hash", home="/people/anna", revision=7, identity="anna/1f")


def test_what_is_written_is_read_until_it_expires() -> None:
    token = tokens.token_for(KEY, USER, b"n" * 16, 1000)
    text = tokens.written(KEY, token)
    assert text.isascii() and not set(text) & set('=;," \\')
    assert tokens.read(KEY, text, 999) == token
    assert token.name == "anna"
    assert tokens.read(KEY, text, 1000) is None
    assert tokens.read(OTHER, text, 999) is None


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_no_bit_of_it_may_change(position: int, bit: int) -> None:
    text = tokens.written(KEY, tokens.token_for(KEY, USER, b"n" * 16, 1000)).encode()
    at = position % len(text)
    changed = text[:at] + bytes([text[at] ^ 1 << bit]) + text[at + 1 :]
    found = tokens.read(KEY, changed.decode("latin-1"), 999)
    # The last character of base64 has bits that mean nothing.
    assert found is None or at == len(text) - 1


@given(st.text(max_size=200))
def test_no_text_is_a_problem(text: str) -> None:
    assert tokens.read(KEY, text, 0) is None


def test_it_stands_for_password_and_home() -> None:
    stamp = tokens.stamp_of(KEY, USER)
    assert stamp == tokens.stamp_of(KEY, replace(USER, revision=8, quota_bytes=5))
    changed = [
        replace(USER, password_hash="other"),
        replace(USER, home="/x"),
        replace(USER, home="", password_hash="hash/people/anna"),
    ]
    assert stamp not in [tokens.stamp_of(KEY, user) for user in changed]
    assert stamp != tokens.stamp_of(OTHER, USER)
