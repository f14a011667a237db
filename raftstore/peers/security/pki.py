"""Certificates: the cluster's own authority, identities of nodes and admins, and one for FTPS.

A certificate says who its holder is: CN the name, OU the role. There is no revocation: a node that is no
longer a member is refused by name; after the loss of a key, make a new authority.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from raftstore.errors import AlreadyExists, Damaged, DiskFailed, Invalid, WrongClock
from raftstore.peers.model import Role

AUTHORITY_DAYS = 20 * 365
IDENTITY_DAYS = 10 * 365
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_SKEW = datetime.timedelta(days=1)


def check_name(name: str) -> None:
    """Raise Invalid unless `name` can name a node or admin (1 to 63 letters, digits, `.`, `_`, `-`)."""
    if not _NAME.fullmatch(name):
        raise Invalid(f"{name!r} is not a usable node name (letters, digits, '.', '_', '-'; at most 63)")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this process is: its name and role, the authority's certificate, its own and the key (all PEM)."""

    name: str
    role: Role
    ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)

    def save(
        self, directory: Path, *, ca: str = "ca.pem", certificate: str = "node.pem", key: str = "node.key"
    ) -> None:
        """Write the three files (mode 0600) into `directory`, which is made if need be.

        A `ca` file with the same content may be there. Raises AlreadyExists rather than overwrite anything
        else, DiskFailed when the system refuses.
        """
        target = directory / ca
        if not (target.is_file() and target.read_bytes() == self.ca):
            write_private(target, self.ca)
        write_private(directory / key, self.key)
        write_private(directory / certificate, self.certificate)

    def renewed(self, certificate: bytes) -> Identity:
        """Return the same with another certificate. Raises Invalid for one that is not in date, or of somebody else."""
        try:
            new, issuer = (x509.load_pem_x509_certificate(pem) for pem in (certificate, self.ca))
        except ValueError:
            raise Invalid("not a certificate in PEM") from None
        own = serialization.load_pem_private_key(self.key, password=None)
        if new.public_key() != own.public_key():
            raise Invalid(f"the certificate is not for the key of {self.name}")
        try:
            new.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise Invalid("the certificate was not issued by the authority of this cluster") from None
        where = Path("the certificate")
        _check_dates(where, new)
        if _subject(where, new) != (self.name, self.role):
            raise Invalid(f"the certificate is not that of {self.role.value} {self.name}")
        return replace(self, certificate=_pem(new))

    @staticmethod
    def load(ca: Path, certificate: Path, key: Path) -> Identity:
        """Read an identity and check that its parts belong together and are in date.

        Raises Invalid (no such file, wrong key, other authority, expired), Damaged (not PEM) or WrongClock (the clock
        is behind the day on which a certificate was made); all name the file.
        """
        issuer, holder = _load_certificate(ca), _load_certificate(certificate)
        private = _load_key(key)
        if private.public_key() != holder.public_key():
            raise Invalid(f"{key} is not the key of {certificate}")
        try:
            holder.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise Invalid(f"{certificate} was not issued by the authority in {ca}") from None
        _check_dates(ca, issuer)
        _check_dates(certificate, holder)
        name, role = _subject(certificate, holder)
        return Identity(name, role, _pem(issuer), _pem(holder), _key_pem(private))


@dataclass(frozen=True, slots=True)
class Authority:
    """The cluster's certificate authority; whoever has its key can make nodes and admins."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> bytes:
        """The certificate that every member needs."""
        return _pem(self.certificate)

    def issue(self, name: str, role: Role = Role.NODE, *, days: int = IDENTITY_DAYS) -> Identity:
        """Make a new key and a certificate for `name`; raises Invalid for a name that is not usable."""
        check_name(name)
        key = ec.generate_private_key(ec.SECP256R1())
        return Identity(name, role, self.pem, self._signed(name, role, key.public_key(), days), _key_pem(key))

    def renew(self, certificate: bytes, *, days: int = IDENTITY_DAYS) -> bytes:
        """Make another certificate for the holder of one (both PEM), from now on: same name, role and key.

        Raises Invalid when this authority has not issued that one.
        """
        try:
            old = x509.load_pem_x509_certificate(certificate)
            old.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            raise Invalid("this authority has not issued that certificate") from None
        key = old.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Invalid("the certificate is not for an EC key")
        name, role = _subject(Path("the certificate"), old)
        return self._signed(name, role, key, days)

    def _signed(self, name: str, role: Role, key: ec.EllipticCurvePublicKey, days: int) -> bytes:
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if role is Role.NODE:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, name),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role.value),
            ]
        )
        authority_key = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        certificate = (
            _builder(subject, self.certificate.subject, key, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_key), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        return _pem(certificate)

    def save(self, directory: Path) -> None:
        """Write ca.pem and ca.key (mode 0600); raises AlreadyExists rather than overwrite, DiskFailed."""
        write_private(directory / "ca.key", _key_pem(self.key))
        write_private(directory / "ca.pem", self.pem)

    @staticmethod
    def load(directory: Path) -> Authority:
        """Read what `save` wrote; raises Invalid, Damaged or WrongClock naming the file."""
        certificate, key = _load_certificate(directory / "ca.pem"), _load_key(directory / "ca.key")
        if key.public_key() != certificate.public_key():
            raise Invalid(f"{directory / 'ca.key'} is not the key of {directory / 'ca.pem'}")
        _check_dates(directory / "ca.pem", certificate)
        return Authority(certificate, key)


def create_authority(cluster: str = "pixraft", *, days: int = AUTHORITY_DAYS) -> Authority:
    """Make the authority of a new cluster; `cluster` (at most 64 characters) is only for the reader's eye."""
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cluster)])
    except ValueError as error:
        raise Invalid(f"cluster name: {error}") from None
    certificate = (
        _builder(subject, subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def self_signed_server_pem(names: Sequence[str], *, days: int = IDENTITY_DAYS) -> bytes:
    """Make a key and a self-signed certificate, in one PEM, for an FTPS server known by `names`.

    `names` are host names or IP addresses, the first is the common name. Raises Invalid for unusable ones.
    """
    if not names:
        raise Invalid("a server certificate needs a name")
    try:
        alternatives = [_general_name(name) for name in names]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    except ValueError as error:
        raise Invalid(f"server name: {error}") from None
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(subject, subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _key_pem(key) + _pem(certificate)


def write_private(path: Path, content: bytes) -> None:
    """Write a new file, mode 0600, fsynced and complete or not at all; its directory is made if need be.

    Raises AlreadyExists when there is such a file, DiskFailed when the system refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)  # unlike a rename it never replaces
        finally:
            os.unlink(temporary)
    except FileExistsError:
        raise AlreadyExists(str(path)) from None
    except OSError as error:
        raise DiskFailed(f"cannot write {path}: {error.strerror}") from None


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}") from None


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_read(path))
    except ValueError:
        raise Damaged(f"{path} is not a certificate in PEM") from None


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    content = _read(path)
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        raise Damaged(f"{path} is not an unencrypted private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Invalid(f"{path} is not an EC key")
    return key


def exposed(key: Path) -> str:
    """Say that a private key can be read by others; "" when it cannot, or is not there."""
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
    except OSError:
        return ""
    return f"{key}, a private key, can be read by others (mode {mode:04o})" if mode & 0o077 else ""


def _check_dates(path: Path, certificate: x509.Certificate) -> None:
    now = datetime.datetime.now(datetime.UTC)
    if now < certificate.not_valid_before_utc:
        # It begins to be valid a day before it was made: so the clock is behind, by more than a time zone can explain.
        raise WrongClock(
            f"it says {now:%Y-%m-%d %H:%M} UTC, but {path} was made after "
            f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC; set the clock (chronyd, ntpd or timesyncd do it)"
        )
    if now > certificate.not_valid_after_utc:
        raise Invalid(
            f"{path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}, and the clock says {now:%Y-%m-%d %H:%M} UTC"
        )


def _subject(path: Path, certificate: x509.Certificate) -> tuple[str, Role]:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    if len(names) != 1 or len(units) != 1:
        raise Invalid(f"{path} does not have one name (CN) and one role (OU)")
    try:
        return str(names[0].value), Role(units[0].value)
    except ValueError:
        raise Invalid(f"{path} has the unknown role {units[0].value!r}") from None
