"""Logging in over SSH: keys of all kinds, prompts, odd names; what cannot log in does not end the connection."""

from __future__ import annotations

import hashlib
import os
import time

import paramiko
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sshpair import BANNER, FAILURE, PASSWORD, PK_OK, SUCCESS, Pair, pair
from waiting import eventually

from ftpgateway.access.login import keys
from ftpgateway.sftp.ssh import publickeys, sshkex
from ftpgateway.sftp.ssh.sshauth import METHODS, MOST_REQUESTS
from ftpgateway.sftp.ssh.sshfields import string

ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA_KEY = rsa.generate_private_key(65537, 2048)
RAW = ED25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
APPLICATION = b"ssh:"
TOUCHED, UNTOUCHED = b"\1", b"\0"


def mpint(value: int) -> bytes:
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def request(pair_: Pair, blob: bytes, algorithm: str) -> bytes:
    """What a client signs to log in."""
    session = pair_.client.session_id
    parts = (b"alice", b"ssh-connection", b"publickey")
    return (
        string(session)
        + b"\x32"
        + b"".join(map(string, parts))
        + b"\1"
        + string(algorithm.encode())
        + string(blob)
    )


def rsa_blob() -> bytes:
    numbers = RSA_KEY.public_key().public_numbers()
    return string(b"ssh-rsa") + mpint(numbers.e) + mpint(numbers.n)


def rsa_signature(algorithm: str, data: bytes) -> bytes:
    digest = {"ssh-rsa": hashes.SHA1(), "rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}[
        algorithm
    ]
    return string(algorithm.encode()) + string(RSA_KEY.sign(data, padding.PKCS1v15(), digest))


def offers(pair_: Pair, algorithm: str | bytes, blob: bytes) -> int:
    return pair_.client.asks("publickey", False, algorithm, blob)


def proves(pair_: Pair, algorithm: str, blob: bytes, signature: bytes) -> int:
    return pair_.client.asks("publickey", True, algorithm, blob, signature)


def test_keys_that_cannot_log_in_are_a_failure_and_the_next_method_goes_on() -> None:
    plain = string(b"ssh-ed25519") + string(RAW)
    offered: list[tuple[str | bytes, bytes]] = [
        ("sk-ssh-ed25519@openssh.com", string(b"sk-ssh-ed25519@openssh.com") + string(RAW) + string(b"ssh:")),
        ("ssh-rsa", rsa_blob()),
        ("ssh-dss", string(b"ssh-dss") + b"x" * 40),
        ("ssh-ed25519-cert-v01@openssh.com", string(b"ssh-ed25519-cert-v01@openssh.com") + bytes(300)),
        ("x509v3-ssh-rsa", os.urandom(1000)),
        (b"\xff\xfe\x1b[31m", os.urandom(10)),
        ("ssh-ed25519", b""),
        ("ssh-ed25519", b"\xff\xff\xff\xff"),
        ("ssh-ed25519", string(b"ssh-rsa") + plain),
        ("ecdsa-sha2-nistp256", plain),
        ("rsa-sha2-512", string(b"ssh-rsa") + string(b"\xff" * 30_000)),
        ("ssh-ed25519", plain),
    ]
    with pair() as made:
        for algorithm, blob in offered:
            assert offers(made, algorithm, blob) == FAILURE
            assert made.stands
        made.client.logs_in()
        reported = made.node.about("unusable_key")
        assert {one.user for one in reported} == {"alice"} and len(reported) == 4
        assert "SHA-1" in reported[0].reason and "sftp.legacy_algorithms" in reported[0].reason
        assert "ssh-dss" in reported[1].reason and "certificate" in reported[2].reason
        # Only keys that could log in are asked about.
        assert [publickeys.kind_of_blob(one.blob) for one in made.node.about("key")] == [
            "sk-ssh-ed25519@openssh.com",
            "ssh-ed25519",
        ]


def test_every_kind_of_key_that_can_be_added_logs_in() -> None:
    curves = {"256": (ec.SECP256R1(), hashes.SHA256()), "384": (ec.SECP384R1(), hashes.SHA384())}
    curves["521"] = (ec.SECP521R1(), hashes.SHA512())
    tried: set[str] = set()

    def try_it(algorithm: str, blob: bytes, sign: object) -> None:
        tried.add(publickeys.kind_of_blob(blob))
        with pair() as made:
            data = request(made, blob, algorithm)
            good = sign(data)  # type: ignore[operator]
            assert proves(made, algorithm, blob, good) == FAILURE  # not one of alice's
            made.node.keys.add(blob)
            assert offers(made, algorithm, blob) == PK_OK
            assert proves(made, algorithm, blob, sign(data + b"!")) == FAILURE  # type: ignore[operator]
            assert proves(made, algorithm, blob, b"") == FAILURE
            assert proves(made, algorithm, blob, good) == SUCCESS

    def ecdsa(key: ec.EllipticCurvePrivateKey, digest: hashes.HashAlgorithm, data: bytes) -> bytes:
        r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
        return string(mpint(r) + mpint(s))

    def by_token(data: bytes, flags: bytes = TOUCHED) -> tuple[bytes, bytes]:
        more = flags + b"\0\0\0\7"
        return hashlib.sha256(APPLICATION).digest() + more + hashlib.sha256(data).digest(), more

    try_it(
        "ssh-ed25519",
        string(b"ssh-ed25519") + string(RAW),
        lambda data: string(b"ssh-ed25519") + string(ED25519.sign(data)),
    )
    for algorithm in ("rsa-sha2-256", "rsa-sha2-512"):
        try_it(algorithm, rsa_blob(), lambda data, algorithm=algorithm: rsa_signature(algorithm, data))
    for bits, (curve, digest) in curves.items():
        key = ec.generate_private_key(curve)
        name = f"ecdsa-sha2-nistp{bits}"
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        blob = string(name.encode()) + string(f"nistp{bits}".encode()) + string(point)
        try_it(
            name,
            blob,
            lambda data, key=key, digest=digest, name=name: string(name.encode()) + ecdsa(key, digest, data),
        )
    sk = "sk-ssh-ed25519@openssh.com"

    def token(data: bytes) -> bytes:
        covered, more = by_token(data)
        return string(sk.encode()) + string(ED25519.sign(covered)) + more

    sk_blob = string(sk.encode()) + string(RAW) + string(APPLICATION)
    try_it(sk, sk_blob, token)
    sk_ec, key = "sk-ecdsa-sha2-nistp256@openssh.com", ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def ec_token(data: bytes) -> bytes:
        covered, more = by_token(data)
        return string(sk_ec.encode()) + ecdsa(key, hashes.SHA256(), covered) + more

    try_it(sk_ec, string(sk_ec.encode()) + string(b"nistp256") + string(point) + string(APPLICATION), ec_token)
    assert tried == keys.TYPES
    covered, more = by_token(b"data", UNTOUCHED)
    assert not publickeys.signed(
        sk_blob, sk, string(sk.encode()) + string(ED25519.sign(covered)) + more, b"data"
    )


def test_what_may_sign_is_told_once() -> None:
    """RFC 8308: else RSA keys would be tried with SHA-1 by some clients, and not at all by others."""
    for legacy in (False, True):
        offered = sshkex.algorithms(legacy=legacy)
        with pair(algorithms=offered) as made:
            made.client.logs_in()
            assert made.client.server_extensions["server-sig-algs"] == ",".join(offered.logins).encode()
            assert made.client.server_extensions["ping@openssh.com"] == b"0"
            made.client.server_extensions = {}
            made.client.renegotiate_keys()
            assert made.client.server_extensions == {}
            assert ("ssh-rsa" in offered.logins) == legacy


def test_a_signature_is_by_the_algorithm_that_was_named() -> None:
    with pair() as made:
        made.node.keys.add(rsa_blob())
        data = request(made, rsa_blob(), "rsa-sha2-512")
        for other in ("rsa-sha2-256", "ssh-rsa"):
            assert proves(made, "rsa-sha2-512", rsa_blob(), rsa_signature(other, data)) == FAILURE
        data = request(made, rsa_blob(), "ssh-rsa")
        assert proves(made, "ssh-rsa", rsa_blob(), rsa_signature("ssh-rsa", data)) == FAILURE
    with pair(algorithms=sshkex.algorithms(legacy=True)) as made:
        made.node.keys.add(rsa_blob())
        data = request(made, rsa_blob(), "ssh-rsa")
        assert proves(made, "ssh-rsa", rsa_blob(), rsa_signature("ssh-rsa", data)) == SUCCESS
    short = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    tiny = string(b"ssh-rsa") + mpint(short.e) + mpint(short.n >> 8 | 1)
    assert not publickeys.signed(tiny, "rsa-sha2-256", string(b"rsa-sha2-256") + string(b"x" * 127), b"data")


def test_a_prompt_for_the_password() -> None:
    with pair() as made:
        client = made.client
        client.say(61, 1, PASSWORD)  # nobody has asked
        client.hears(FAILURE)
        for answers, outcome in (
            ([1, b"wrong"], FAILURE),
            ([0], FAILURE),
            ([2, b"a", b"b"], FAILURE),
            ([1, PASSWORD], SUCCESS),
        ):
            client.say(50, "alice", "ssh-connection", "keyboard-interactive", "", "")
            _, asked = client.hears(60)
            fields = paramiko.Message(asked)
            assert [fields.get_text() for _ in range(3)] == ["", "", ""]
            assert (fields.get_int(), fields.get_text(), fields.get_boolean()) == (1, "Password: ", False)
            client.say(61, *answers)
            assert client.hears(FAILURE, SUCCESS)[0] == outcome
        assert [one.user for one in made.node.about("password")] == ["alice", "alice"]


def test_what_no_server_has_and_odd_names_are_failures() -> None:
    with pair() as made:
        client = made.client
        for method, parts in (
            ("none", ()),
            ("hostbased", ("ssh-rsa", b"", "host", "user", b"")),
            ("gssapi-with-mic", (1, b"\6\1")),
            ("password", (True, PASSWORD, b"new")),
            (b"\xff\xff", ()),
        ):
            assert client.asks(method, *parts) == FAILURE  # type: ignore[arg-type]
        for user in (b"\xff\xfe", b"", b"a\0b", b"x" * 5000, "jörg".encode("latin-1")):
            assert client.asks("password", False, b"wrong", user=user) == FAILURE
            assert made.stands
        assert {one.user for one in made.node.about("password")} == {"", "a\0b"}
        client.say(50, "alice", "ssh-connection", "none")
        _, content = client.hears(FAILURE)
        assert paramiko.Message(content).get_text() == METHODS
        client.logs_in()
        client.say(50, "alice", "ssh-connection", "none")  # is passed over (RFC 4252, 5.1)
        client.say(61, 1, PASSWORD)
        client.global_request("keepalive@openssh.com", wait=True)
        assert made.stands


def test_many_keys_before_the_password_and_an_end_to_all_patience() -> None:
    with pair() as made:
        for _ in range(MOST_REQUESTS - 1):
            assert offers(made, "ssh-ed25519", string(b"ssh-ed25519") + string(os.urandom(32))) == FAILURE
        made.client.logs_in()
    with pair() as made:
        for _ in range(MOST_REQUESTS):
            assert made.client.asks("none") == FAILURE
        made.client.say(50, "alice", "ssh-connection", "none")
        _, content = made.client.hears(1)
        assert paramiko.Message(content).get_int() == 14
        assert made.over() == "too many requests to log in"


def test_why_a_login_was_refused_is_shown() -> None:
    with pair() as made:
        made.node.text = "Too few nodes of the cluster can be reached."
        made.client.say(50, "alice", "ssh-connection", "password", False, b"wrong")
        _, content = made.client.hears(BANNER, FAILURE)
        assert paramiko.Message(content).get_text() == made.node.text + "\r\n"
        made.client.hears(FAILURE)
        made.node.text = ""
        made.client.say(50, "alice", "ssh-connection", "password", False, b"wrong")
        assert made.client.hears(BANNER, FAILURE)[0] == FAILURE


@pytest.mark.parametrize("kind", [7, 61])
def test_counts_that_strangers_send_cost_nothing(kind: int) -> None:
    """paramiko would go round four thousand million times."""
    with pair() as made:
        begun = time.process_time()
        made.client.say(kind, 0xFFFFFFFF)
        assert made.client.asks("none") == FAILURE
        assert time.process_time() - begun < 5
        if kind == 61:
            eventually(lambda: not made.node.about("password"))
