"""The clients that are libraries of Python: ftplib, aioftp, fsspec, AsyncSSH."""

from __future__ import annotations

import asyncio
import contextlib
import ftplib
import gc
import ssl
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aioftp
import asyncssh
import fsspec
from fsspec.implementations.ftp import FTPFileSystem
from realclients import Client, NotSupported, Refused
from realclients_shell import stamp


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Ftplib(Client):
    """ftplib of Python's library."""

    name = "ftplib"

    def version(self) -> str:
        return "{}.{}.{}".format(*sys.version_info)

    @contextlib.contextmanager
    def _session(self) -> Iterator[ftplib.FTP]:
        target = self.target
        with ftplib.FTP_TLS(context=_trusting(), timeout=60) if self.secure else ftplib.FTP(timeout=60) as ftp:
            ftp.connect(target.host, target.port)
            ftp.login(target.user, target.password)
            if isinstance(ftp, ftplib.FTP_TLS):
                ftp.prot_p()
            try:
                yield ftp
            except ftplib.Error as error:
                raise Refused(str(error)) from error

    def put(self, local: Path, remote: str) -> None:
        with self._session() as ftp, local.open("rb") as file:
            ftp.storbinary(f"STOR {remote}", file)

    def get(self, remote: str, local: Path) -> None:
        with self._session() as ftp, local.open("wb") as file:
            ftp.retrbinary(f"RETR {remote}", file.write)

    def names(self, directory: str) -> list[str]:
        with self._session() as ftp:
            return [name for name, facts in ftp.mlsd(directory) if facts["type"] in ("file", "dir")]

    def resume_up(self, local: Path, remote: str) -> None:
        with self._session() as ftp, local.open("rb") as file:
            ftp.voidcmd("TYPE I")
            begun = ftp.size(remote)
            assert begun is not None
            file.seek(begun)
            ftp.storbinary(f"STOR {remote}", file, rest=begun)

    def resume_down(self, remote: str, local: Path) -> None:
        with self._session() as ftp, local.open("ab") as file:
            ftp.retrbinary(f"RETR {remote}", file.write, rest=file.tell())

    def rename(self, old: str, new: str) -> None:
        with self._session() as ftp:
            ftp.rename(old, new)

    def copy(self, source: str, target: str) -> None:
        with self._session() as ftp:
            ftp.sendcmd(f"SITE CPFR {source}")
            ftp.sendcmd(f"SITE CPTO {target}")

    def make_directory(self, path: str) -> None:
        with self._session() as ftp:
            ftp.mkd(path)

    def remove(self, path: str) -> None:
        with self._session() as ftp:
            ftp.delete(path)

    def remove_directory(self, path: str) -> None:
        with self._session() as ftp:
            ftp.rmd(path)

    def put_dated(self, local: Path, remote: str) -> None:
        self.put(local, remote)
        with self._session() as ftp:
            ftp.voidcmd(f"MFMT {stamp(local)} {remote}")

    def put_finished(self, local: Path, remote: str) -> None:
        with self._session() as ftp, local.open("rb") as file:
            ftp.storbinary(f"STOR {remote}.part", file)
            ftp.rename(remote + ".part", remote)

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        with self._session() as ftp:
            ftp.cwd(directory)
            for local in files:
                with local.open("rb") as file:
                    ftp.storbinary(f"STOR {local.name}", file)

    def put_parallel(self, files: Sequence[Path], directory: str) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda local: self.put(local, f"{directory}/{local.name}"), files))


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a call of aioftp, which does not wait for the TLS goodbye of its data connections: they are collected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            return asyncio.run(work)
        finally:
            gc.collect()


class Aioftp(Client):
    """aioftp."""

    name = "aioftp"

    def version(self) -> str:
        return str(aioftp.__version__)

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[aioftp.Client]:
        target = self.target
        client = aioftp.Client(socket_timeout=60)
        await client.connect(target.host, target.port)
        try:
            if self.secure:
                await client.upgrade_to_tls(_trusting())
            await client.login(target.user, target.password)
            yield client
            await client.quit()
        except aioftp.StatusCodeError as error:
            raise Refused(str(error)) from error
        finally:
            client.close()

    def _do(self, method: str, *arguments: Any, **options: Any) -> Any:
        async def call() -> Any:
            async with self._session() as client:
                return await getattr(client, method)(*arguments, **options)

        return _run(call())

    def put(self, local: Path, remote: str) -> None:
        self._do("upload", local, remote, write_into=True)

    def get(self, remote: str, local: Path) -> None:
        self._do("download", remote, local, write_into=True)

    def names(self, directory: str) -> list[str]:
        async def names() -> list[str]:
            async with self._session() as client:
                return [path.name async for path, _ in client.list(directory)]

        found: list[str] = _run(names())
        return found

    def resume_up(self, local: Path, remote: str) -> None:
        async def resume() -> None:
            async with self._session() as client:
                begun = int((await client.command(f"SIZE {remote}", "213"))[1][0])
                async with client.upload_stream(remote, offset=begun) as stream:
                    await stream.write(local.read_bytes()[begun:])

        _run(resume())

    def resume_down(self, remote: str, local: Path) -> None:
        async def resume() -> None:
            async with self._session() as client:
                with local.open("ab") as file:
                    async with client.download_stream(remote, offset=file.tell()) as stream:
                        async for block in stream.iter_by_block():
                            file.write(block)

        _run(resume())

    def rename(self, old: str, new: str) -> None:
        self._do("rename", old, new)

    def copy(self, source: str, target: str) -> None:
        async def both() -> None:
            async with self._session() as client:
                await client.command(f"SITE CPFR {source}", "350")
                await client.command(f"SITE CPTO {target}", "250")

        _run(both())

    def make_directory(self, path: str) -> None:
        self._do("make_directory", path)

    def remove(self, path: str) -> None:
        self._do("remove_file", path)

    def remove_directory(self, path: str) -> None:
        self._do("remove_directory", path)

    def put_finished(self, local: Path, remote: str) -> None:
        async def put() -> None:
            async with self._session() as client:
                await client.upload(local, remote + ".part", write_into=True)
                await client.rename(remote + ".part", remote)

        _run(put())

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        async def put() -> None:
            async with self._session() as client:
                for local in files:
                    await client.upload(local, directory)

        _run(put())

    def put_parallel(self, files: Sequence[Path], directory: str) -> None:
        async def put(some: Sequence[Path]) -> None:
            async with self._session() as client:
                for local in some:
                    await client.upload(local, directory)

        async def all_of_them() -> None:
            await asyncio.gather(*(put(files[first::4]) for first in range(4)))

        _run(all_of_them())

    def mirror_up(self, local: Path, remote: str) -> None:
        async def mirror() -> None:
            async with self._session() as client:
                # It makes the tree below the working directory, whatever directory the target names.
                parent, _, name = remote.rpartition("/")
                await client.change_directory(parent)
                await client.upload(local, name, write_into=True)

        _run(mirror())

    def mirror_down(self, remote: str, local: Path) -> None:
        self._do("download", remote, local, write_into=True)


class Fsspec(Client):
    """fsspec's ftp filesystem."""

    name = "fsspec"

    def version(self) -> str:
        return str(fsspec.__version__)

    @contextlib.contextmanager
    def _files(self) -> Iterator[FTPFileSystem]:
        target = self.target
        files = FTPFileSystem(
            target.host,
            target.port,
            target.user,
            target.password,
            timeout=60,
            tls=self.secure,
            skip_instance_cache=True,
            use_listings_cache=False,
        )
        try:
            yield files
        except (ftplib.Error, OSError) as error:
            raise Refused(str(error)) from error
        finally:
            files.ftp.close()

    def put(self, local: Path, remote: str) -> None:
        with self._files() as files:
            files.put_file(str(local), remote)

    def get(self, remote: str, local: Path) -> None:
        with self._files() as files:
            files.get_file(remote, str(local))

    def names(self, directory: str) -> list[str]:
        with self._files() as files:
            return [path.rpartition("/")[2] for path in files.ls(directory, detail=False)]

    def resume_down(self, remote: str, local: Path) -> None:
        with self._files() as files, local.open("ab") as file:
            file.write(files.cat_file(remote, start=file.tell()))

    def rename(self, old: str, new: str) -> None:
        with self._files() as files:
            files.mv(old, new)

    def make_directory(self, path: str) -> None:
        with self._files() as files:
            files.mkdir(path, create_parents=False)

    def remove(self, path: str) -> None:
        with self._files() as files:
            files.rm_file(path)

    def remove_directory(self, path: str) -> None:
        with self._files() as files:
            files.rmdir(path)

    def put_finished(self, local: Path, remote: str) -> None:
        with self._files() as files:
            files.put_file(str(local), remote + ".part")
            files.mv(remote + ".part", remote)

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        with self._files() as remote:
            remote.put([str(file) for file in files], [f"{directory}/{file.name}" for file in files])

    def put_parallel(self, files: Sequence[Path], directory: str) -> None:
        raise NotSupported("one at a time")

    def mirror_up(self, local: Path, remote: str) -> None:
        with self._files() as files:
            files.put(f"{local}/", f"{remote}/", recursive=True)

    def mirror_down(self, remote: str, local: Path) -> None:
        with self._files() as files:
            files.get(f"{remote}/", f"{local}/", recursive=True)


class AsyncSsh(Client):
    """AsyncSSH."""

    name = "AsyncSSH"
    protocol = "SFTP"

    def version(self) -> str:
        return str(asyncssh.__version__)

    def _do(self, work: Callable[[asyncssh.SFTPClient], Coroutine[Any, Any, Any]]) -> Any:
        target = self.target

        async def call() -> Any:
            account = {"username": target.user, "password": target.password}
            options: dict[str, Any] = {
                "known_hosts": None,
                "client_keys": None,
                "agent_path": None,
                "config": None,
            }
            async with (
                asyncssh.connect(target.host, target.port, **account, **options) as ssh,
                ssh.start_sftp_client() as sftp,
            ):
                try:
                    return await work(sftp)
                except asyncssh.SFTPError as error:
                    raise Refused(str(error)) from error

        return asyncio.run(call())

    def put(self, local: Path, remote: str) -> None:
        self._do(lambda sftp: sftp.put(str(local), remote))

    def get(self, remote: str, local: Path) -> None:
        self._do(lambda sftp: sftp.get(remote, str(local)))

    def names(self, directory: str) -> list[str]:
        found: list[str] = self._do(lambda sftp: sftp.listdir(directory))
        return [name for name in found if name not in (".", "..")]

    def rename(self, old: str, new: str) -> None:
        self._do(lambda sftp: sftp.rename(old, new))

    def make_directory(self, path: str) -> None:
        self._do(lambda sftp: sftp.mkdir(path))

    def remove(self, path: str) -> None:
        self._do(lambda sftp: sftp.remove(path))

    def remove_directory(self, path: str) -> None:
        self._do(lambda sftp: sftp.rmdir(path))

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        self._do(lambda sftp: sftp.put([str(file) for file in files], directory))
