"""Tokens: what is in one, what they open, and what is no token."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from raftstore.cluster.membership import tokens
from raftstore.cluster.membership.tokens import Token
from raftstore.errors import Invalid
from raftstore.peers import create_authority


@pytest.fixture(scope="module")
def made():
    authority = create_authority("pictures")
    return authority, *tokens.make(authority, "n4", 60, ["h1:1", "h2:2"], "pictures", "n2")


def test_there_and_back(made):
    _, token, _ = made
    assert Token.decode(token.encode()) == token
    wrapped = token.encode()
    assert Token.decode(f" {wrapped[:40]}\n  {wrapped[40:]}\n") == token, "a mail program may have wrapped it"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[:-1],
        lambda text: text[:60] + ("A" if text[60] != "A" else "B") + text[61:],
        lambda text: text.replace("pixraft1.", "pixraft2."),
        lambda text: text + "AAAA",
        lambda text: "pixraft1.",
        lambda text: "pixraft1." + "A" * 100_000,
        lambda text: "pixraft1.äöü",
    ],
)
def test_what_is_not_whole_is_refused(made, spoil):
    with pytest.raises(Invalid, match="not a whole token"):
        Token.decode(spoil(made[1].encode()))


def test_the_cluster_cannot_open_what_it_keeps(made):
    _, token, intent = made
    assert (intent.node, intent.replaces, intent.id) == ("n4", "n2", token.id)
    assert intent.token_key == token.key
    assert token.secret not in intent.SerializeToString()
    with pytest.raises(Invalid):
        replace(token, secret=intent.token_key).open(intent.sealed)


def test_the_joiner_gets_its_identity(made):
    authority, token, intent = made
    identity = token.open(intent.sealed)
    assert identity.name == "n4"
    assert identity.ca == authority.pem


def test_an_identity_of_another_cluster_is_refused(made):
    _, token, intent = made
    _, other = tokens.make(create_authority("other"), "n4", 60, [], "other")
    for sealed in (b"", other.sealed, intent.sealed[:-1], intent.sealed[:-1] + b"\0"):
        with pytest.raises(Invalid, match="does not fit"):
            token.open(sealed)
    with pytest.raises(Invalid, match="does not fit"):
        replace(token, authority=bytes(32)).open(intent.sealed)


def test_expiry(made):
    _, token, intent = made
    assert intent.expires_ns == token.expires_ns
    token.check_expiry()
    with pytest.raises(Invalid, match="expired"):
        replace(token, expires_ns=time.time_ns() - 1).check_expiry()
