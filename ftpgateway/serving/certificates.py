"""The certificate of a server that speaks TLS to clients: read from a file, and taken anew when that changes."""

from __future__ import annotations

import asyncio
import datetime
import os
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from raftstore.util.settings import Mistake

log = structlog.get_logger()

_UNREAD = (-1,)
"""Stands for a file that could not be read: it is tried again, though it has not changed."""


def server_context(certificate: Path) -> ssl.SSLContext:
    """Return a context for TLS 1.2 and later from a PEM file with key and chain.

    Raises OSError when the file cannot be read, ValueError when it holds no matching key and certificate.
    """
    identity = ServerIdentity(certificate)
    identity.close()
    return identity.context


def mistakes(key: str, certificate: Path) -> Iterator[Mistake]:
    """Yield what is wrong with the file that the setting `key` names; it may cost some milliseconds."""
    from cryptography import x509

    try:
        server_context(certificate)
    except (OSError, ValueError) as error:
        yield Mistake(key, str(error), "put key, certificate and intermediate certificates into it, as PEM")
        return
    end = x509.load_pem_x509_certificates(certificate.read_bytes())[0].not_valid_after_utc
    if end < datetime.datetime.now(datetime.UTC):
        yield Mistake(
            key, f"the validity of {certificate} ended on {end:%Y-%m-%d}; clients refuse it", "renew it"
        )


class ServerIdentity:
    """A private key with its certificate chain, as they were when the file was read, and contexts for TLS with them."""

    def __init__(self, certificate: Path) -> None:
        """Read a PEM file. Raises OSError when it cannot be, ValueError when it holds no matching pair."""
        if not stat.S_ISREG(certificate.stat().st_mode):
            raise ValueError(f"{certificate} is not a regular file")  # to read a pipe may take for ever
        self._file = certificate
        content = certificate.read_bytes()
        # `ssl` reads key and chain from files only, and that on disk may be another by then, or half written.
        self._memory = os.memfd_create("server-tls")
        try:
            os.write(self._memory, content)
            self.context = self.separate_context()
            """For all connections whose sessions need not be told apart."""
        except BaseException:
            self.close()
            raise

    def separate_context(self) -> ssl.SSLContext:
        """Return a context of its own: no other one can resume its sessions. Raises OSError, ValueError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        try:
            # An encrypted key is refused. Without a password given, OpenSSL would ask the terminal for one, and wait.
            context.load_cert_chain(f"/proc/self/fd/{self._memory}", password="")
        except ssl.SSLError as error:
            raise ValueError(
                f"{self._file} must hold a private key, not encrypted, and its certificate chain"
            ) from error
        return context

    def close(self) -> None:
        """Make no further contexts. Idempotent."""
        memory, self._memory = self._memory, -1
        if memory >= 0:
            os.close(memory)


class Certificate:
    """The certificate in use, and the file that it comes from: a new one there is taken without a restart.

    Connections that are there keep the context with which they began. A file that is no use, for example one that is
    half written, changes nothing: it is told once, and looked at again when it changes, or until it can be read.
    """

    def __init__(self, file: Path, interval: float, renewed: Callable[[ServerIdentity], None]) -> None:
        """Read the file. `interval` (seconds): how often it is looked at. Raises as `server_context`."""
        self._file = file
        self._interval = interval
        self._renewed = renewed
        self._seen = _signature(file)
        self._reported = ""
        self._task: asyncio.Task[None] | None = None
        self._identity = ServerIdentity(file)
        renewed(self._identity)

    def start(self) -> None:
        """Begin to look at the file, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="certificate")

    async def stop(self) -> None:
        """Look no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._identity.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self.look()

    async def look(self) -> bool:
        """Take the file if it has changed; return whether there is a new context."""
        signature = await asyncio.to_thread(_signature, self._file)
        if signature == self._seen:
            return False
        try:
            identity = await asyncio.to_thread(ServerIdentity, self._file)
        except (OSError, ValueError) as error:
            self._seen = _UNREAD if isinstance(error, OSError) and signature is not None else signature
            if self._reported != str(error):
                self._reported = str(error)
                log.error(
                    "new certificate is no use, the old one stays", file=str(self._file), error=self._reported
                )
            return False
        self._seen, self._reported = signature, ""
        before, self._identity = self._identity, identity
        self._renewed(identity)
        before.close()
        log.info("new certificate", file=str(self._file))
        return True


def _signature(file: Path) -> tuple[int, ...] | None:
    """Return what changes when the file does; None when it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
