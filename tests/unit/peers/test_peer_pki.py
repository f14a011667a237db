"""Certificates and identities on disk."""

from __future__ import annotations

import datetime
import ssl
import stat
import types
from pathlib import Path

import pytest
from cryptography import x509
from peer_networks import authority, identity

from raftstore.errors import AlreadyExists, Damaged, Invalid, WrongClock
from raftstore.peers import Authority, Identity, Role, create_authority, self_signed_server_pem
from raftstore.peers.security import pki
from raftstore.peers.security.tls import client_context, server_context

FILES = ("ca.pem", "node.pem", "node.key")


def load(directory: Path) -> Identity:
    return Identity.load(*(directory / name for name in FILES))


@pytest.mark.parametrize("role", list(Role))
def test_an_identity_survives_the_disk(tmp_path: Path, role: Role) -> None:
    issued = authority().issue("n1", role)
    issued.save(tmp_path / "n1")
    assert load(tmp_path / "n1") == issued
    for name in FILES:
        assert stat.S_IMODE((tmp_path / "n1" / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "n1").iterdir()) == sorted(FILES)


def test_the_certificate_says_name_and_role() -> None:
    certificate = x509.load_pem_x509_certificate(identity("n1").certificate)
    assert certificate.subject.rfc4514_string() == "OU=node,CN=n1"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1"]
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not constraints.ca


def test_an_authority_survives_the_disk(tmp_path: Path) -> None:
    created = create_authority("pictures")
    created.save(tmp_path)
    issued = Authority.load(tmp_path).issue("n1")
    issued.save(tmp_path)  # beside ca.pem, which is the same
    assert load(tmp_path).ca == created.pem
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    identity("n1").save(tmp_path)
    with pytest.raises(AlreadyExists, match=r"node\.key"):
        identity("n2").save(tmp_path)
    with pytest.raises(AlreadyExists, match=r"ca\.pem"):
        create_authority().issue("n1").save(tmp_path)
    assert load(tmp_path) == identity("n1")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    identity("n1").save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(Invalid, match=name):
        load(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    identity("n1").save(tmp_path)
    (tmp_path / name).write_bytes(b"-----BEGIN NOTHING-----\n\xff\n")
    with pytest.raises(Damaged, match=name):
        load(tmp_path)


def test_the_key_of_another_is_refused(tmp_path: Path) -> None:
    identity("n1").save(tmp_path)
    (tmp_path / "node.key").write_bytes(identity("n2").key)
    with pytest.raises(Invalid, match=r"node\.key is not the key of"):
        load(tmp_path)


def test_a_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    identity("n1").save(tmp_path)
    (tmp_path / "ca.pem").write_bytes(create_authority("tests").pem)
    with pytest.raises(Invalid, match="not issued by the authority"):
        load(tmp_path)


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    authority().issue("n1", days=-1).save(tmp_path)
    with pytest.raises(Invalid, match=r"node\.pem expired on"):
        load(tmp_path)


def test_a_clock_behind_the_certificate_is_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity("n1").save(tmp_path)

    class TwoDaysAgo(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime.now(tz) - datetime.timedelta(days=2)

    monkeypatch.setattr(pki, "datetime", types.SimpleNamespace(datetime=TwoDaysAgo, UTC=datetime.UTC))
    with pytest.raises(WrongClock, match=r"it says 20.* UTC, but .*\.pem was made after .*; set the clock"):
        load(tmp_path)


def test_a_certificate_without_role_is_refused(tmp_path: Path) -> None:
    self_signed = self_signed_server_pem(["n1"])
    key, certificate = self_signed.split(b"-----BEGIN CERTIFICATE-----")
    (tmp_path / "node.key").write_bytes(key)
    (tmp_path / "node.key").chmod(0o600)
    for name in ("ca.pem", "node.pem"):
        (tmp_path / name).write_bytes(b"-----BEGIN CERTIFICATE-----" + certificate)
    with pytest.raises(Invalid, match="one role"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "-a", "a.", "x" * 64, "ä"])
def test_an_unusable_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="not a usable node name"):
        authority().issue(name)


def test_contexts_take_tls_1_3_and_certificates_only() -> None:
    for context in (server_context(identity("n1")), client_context(identity("n1"))):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_context_of_nonsense_is_refused() -> None:
    broken = Identity("n1", Role.NODE, identity("n1").ca, b"", b"")
    with pytest.raises(Invalid, match="n1 does not load"):
        server_context(broken)


def test_the_ftps_certificate_serves_its_names(tmp_path: Path) -> None:
    path = tmp_path / "ftps.pem"
    path.write_bytes(self_signed_server_pem(["pictures.example", "127.0.0.1", "::1"]))
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["pictures.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    with pytest.raises(Invalid, match="needs a name"):
        self_signed_server_pem([])
