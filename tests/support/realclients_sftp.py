"""The clients that speak SFTP: OpenSSH's sftp, lftp, curl, rclone, paramiko.

Their target is the SFTP server's address.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import paramiko
from openssh import OpenSsh
from realclients import BY_ITSELF, Client, NotSupported, Refused
from realclients_shell import Lftp, Rclone

PLAIN_RENAME = (
    "it asks with SFTP's plain rename, which does not replace (as at OpenSSH's server); "
    "`posix-rename@openssh.com` does"
)


class SftpCommands(Client):
    """What takes the commands of OpenSSH's sftp."""

    protocol = "SFTP"

    def _sftp(self, *commands: str) -> str:
        """Run commands in one session, and return what they print. Raises Refused at the first that fails."""
        raise NotImplementedError

    def put(self, local: Path, remote: str) -> None:
        self._sftp(f'put "{local}" "{remote}"')

    def get(self, remote: str, local: Path) -> None:
        self._sftp(f'get "{remote}" "{local}"')

    def rename(self, old: str, new: str) -> None:
        self._sftp(f'rename "{old}" "{new}"')

    def make_directory(self, path: str) -> None:
        self._sftp(f'mkdir "{path}"')

    def remove(self, path: str) -> None:
        self._sftp(f'rm "{path}"')

    def remove_directory(self, path: str) -> None:
        self._sftp(f'rmdir "{path}"')

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        self._sftp(f'put "{files[0].parent}"/* "{directory}/"')


def openssh_version(client: Client) -> str:
    """Return the version of OpenSSH's clients."""
    found = re.search(r"OpenSSH_([\w.]+)", client.run("ssh", "-V"))
    assert found is not None
    return found[1]


class OpenSshSftp(SftpCommands):
    """sftp of OpenSSH, in batch mode: it stops with an error at the first command that fails."""

    name = "OpenSSH sftp"
    program = "sftp"

    def version(self) -> str:
        return openssh_version(self)

    def _sftp(self, *commands: str) -> str:
        target = self.target
        client = OpenSsh(self.work / "openssh", target.port, target.user, target.password)
        done = client.sftp("".join(f"{command}\n" for command in commands))
        if done.returncode != 0:
            raise Refused(done.stdout + done.stderr)
        return done.stdout

    def names(self, directory: str) -> list[str]:
        lines = self._sftp(f'cd "{directory}"', "ls -1").splitlines()
        return [line for line in lines if not line.startswith("sftp>")]

    def copy(self, source: str, target: str) -> None:
        self._sftp(f'copy "{source}" "{target}"')

    def resume_up(self, local: Path, remote: str) -> None:
        self._sftp(f'reput "{local}" "{remote}"')

    def resume_down(self, remote: str, local: Path) -> None:
        self._sftp(f'reget "{remote}" "{local}"')

    def put_dated(self, local: Path, remote: str) -> None:
        self._sftp(f'put -p "{local}" "{remote}"')

    def get_dated(self, remote: str, local: Path) -> None:
        self._sftp(f'get -p "{remote}" "{local}"')

    def put_finished(self, local: Path, remote: str) -> None:
        self._sftp(f'put "{local}" "{remote}.part"', f'rename "{remote}.part" "{remote}"')

    def mirror_up(self, local: Path, remote: str) -> None:
        self._sftp(f'mkdir "{remote}"', f'put -R "{local}"/* "{remote}/"')

    def mirror_down(self, remote: str, local: Path) -> None:
        self._sftp(f'get -R "{remote}" "{local}"')


class Scp(Client):
    """scp of OpenSSH, which speaks SFTP since its version 9."""

    name = "OpenSSH scp"
    program = "scp"
    protocol = "SFTP"
    how: ClassVar[Sequence[str]] = ()

    def version(self) -> str:
        return openssh_version(self)

    def _scp(self, *arguments: str) -> None:
        target = self.target
        client = OpenSsh(self.work / "openssh", target.port, target.user, target.password)
        done = client.scp(*self.how, *arguments)
        if done.returncode != 0:
            raise Refused(done.stdout + done.stderr)

    def _at(self, path: str) -> str:
        return f"{{}}:{path}"

    def put(self, local: Path, remote: str) -> None:
        self._scp(str(local), self._at(remote))

    def get(self, remote: str, local: Path) -> None:
        self._scp(self._at(remote), str(local))

    def names(self, directory: str) -> list[str]:
        raise NotSupported("no listings")

    def copy(self, source: str, target: str) -> None:
        raise NotSupported("no copies at one server")

    def put_dated(self, local: Path, remote: str) -> None:
        self._scp("-p", str(local), self._at(remote))

    def get_dated(self, remote: str, local: Path) -> None:
        self._scp("-p", self._at(remote), str(local))

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        self._scp(*map(str, files), self._at(directory))

    def mirror_up(self, local: Path, remote: str) -> None:
        self._scp("-r", str(local), self._at(remote))

    def mirror_down(self, remote: str, local: Path) -> None:
        self._scp("-r", self._at(remote), str(local))


class OldScp(Scp):
    """scp with -O: the old protocol, in which the server reads the path as a shell does."""

    name = "OpenSSH scp -O"
    how = ("-O",)

    def _at(self, path: str) -> str:
        # With quotes around it, it does not know the name again that the server answers with.
        return "{}:" + re.sub(r"([ '\"&;])", r"\\\1", path)


class LftpSftp(Lftp):
    """lftp over SFTP."""

    name = "lftp, SFTP"
    protocol = "SFTP"
    exceptions: ClassVar[Mapping[str, str]] = {"rename over an existing file": PLAIN_RENAME}

    def copy(self, source: str, target: str) -> None:
        raise NotSupported(BY_ITSELF)

    def _open(self) -> str:
        target = self.target
        connect = "ssh -a -x -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        return (
            f"set sftp:auto-confirm yes; set sftp:connect-program '{connect}'; "
            f"open -u {target.user},{target.password} sftp://{target.host}:{target.port}"
        )


class CurlSftp(Client):
    """curl over SFTP."""

    name = "curl, SFTP"
    program = "curl"
    protocol = "SFTP"
    exceptions: ClassVar[Mapping[str, str]] = {
        "rename over an existing file": PLAIN_RENAME,
        "temporary name, then rename over the target": PLAIN_RENAME,
    }

    def version(self) -> str:
        return self.run("curl", "--version").split()[1]

    def _url(self, path: str) -> str:
        target = self.target
        return f"sftp://{target.user}:{target.password}@{target.host}:{target.port}{quote(path)}"

    def _curl(self, *arguments: str) -> str:
        return self.run("curl", "--silent", "--show-error", "--insecure", "--max-time", "100", *arguments)

    def _quote(self, command: str) -> None:
        self._curl("-Q", command, "--list-only", self._url("/"))

    def put(self, local: Path, remote: str) -> None:
        self._curl("-T", str(local), self._url(remote))

    def get(self, remote: str, local: Path) -> None:
        self._curl("-o", str(local), self._url(remote))

    def names(self, directory: str) -> list[str]:
        found = self._curl("--list-only", self._url(directory + "/")).splitlines()
        return [name for name in found if name not in (".", "..")]

    def resume_up(self, local: Path, remote: str) -> None:
        self._curl("-C", "-", "-T", str(local), self._url(remote))

    def resume_down(self, remote: str, local: Path) -> None:
        self._curl("-C", "-", "-o", str(local), self._url(remote))

    def rename(self, old: str, new: str) -> None:
        self._quote(f'rename "{old}" "{new}"')

    def make_directory(self, path: str) -> None:
        self._quote(f'mkdir "{path}"')

    def remove(self, path: str) -> None:
        self._quote(f'rm "{path}"')

    def remove_directory(self, path: str) -> None:
        self._quote(f'rmdir "{path}"')

    def get_dated(self, remote: str, local: Path) -> None:
        self._curl("--remote-time", "-o", str(local), self._url(remote))

    def put_finished(self, local: Path, remote: str) -> None:
        self._curl("-T", str(local), "-Q", f'-rename "{remote}.part" "{remote}"', self._url(remote + ".part"))

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        self._curl("-T", "{" + ",".join(str(file) for file in files) + "}", self._url(directory + "/"))

    def put_parallel(self, files: Sequence[Path], directory: str) -> None:
        pairs = [part for file in files for part in ("-T", str(file), self._url(f"{directory}/{file.name}"))]
        self._curl("--parallel", "--parallel-max", "4", *pairs)


class RcloneSftp(Rclone):
    """rclone with an SFTP remote."""

    name = "rclone, SFTP"
    protocol = "SFTP"

    def _remote(self) -> str:
        target = self.target
        hidden = self.run("rclone", "obscure", target.password).strip()
        account = f"host = {target.host}\nport = {target.port}\nuser = {target.user}\npass = {hidden}\n"
        return f"[remote]\ntype = sftp\n{account}shell_type = none\n"


class Paramiko(Client):
    """paramiko."""

    name = "paramiko"
    protocol = "SFTP"

    def version(self) -> str:
        return str(paramiko.__version__)

    @contextlib.contextmanager
    def _session(self) -> Iterator[paramiko.SFTPClient]:
        target = self.target
        with paramiko.Transport((target.host, target.port)) as transport:
            transport.connect(username=target.user, password=target.password)
            session = paramiko.SFTPClient.from_transport(transport)
            assert session is not None
            try:
                yield session
            except OSError as error:
                raise Refused(str(error)) from error

    def put(self, local: Path, remote: str) -> None:
        with self._session() as sftp:
            sftp.put(str(local), remote)

    def get(self, remote: str, local: Path) -> None:
        with self._session() as sftp:
            sftp.get(remote, str(local))

    def names(self, directory: str) -> list[str]:
        with self._session() as sftp:
            names: list[str] = sftp.listdir(directory)
            return names

    def resume_up(self, local: Path, remote: str) -> None:
        with self._session() as sftp, sftp.open(remote, "ab") as file:
            begun = sftp.stat(remote).st_size
            assert begun is not None
            file.write(local.read_bytes()[begun:])

    def resume_down(self, remote: str, local: Path) -> None:
        with self._session() as sftp, sftp.open(remote, "rb") as file, local.open("ab") as target:
            file.seek(target.tell())
            target.write(file.read())

    def rename(self, old: str, new: str) -> None:
        with self._session() as sftp:
            sftp.posix_rename(old, new)

    def make_directory(self, path: str) -> None:
        with self._session() as sftp:
            sftp.mkdir(path)

    def remove(self, path: str) -> None:
        with self._session() as sftp:
            sftp.remove(path)

    def remove_directory(self, path: str) -> None:
        with self._session() as sftp:
            sftp.rmdir(path)

    def put_dated(self, local: Path, remote: str) -> None:
        with self._session() as sftp:
            sftp.put(str(local), remote)
            status = local.stat()
            sftp.utime(remote, (status.st_atime, status.st_mtime))

    def get_dated(self, remote: str, local: Path) -> None:
        with self._session() as sftp:
            sftp.get(remote, str(local))
            when = sftp.stat(remote).st_mtime
            assert when is not None
            os.utime(local, (when, when))

    def put_finished(self, local: Path, remote: str) -> None:
        with self._session() as sftp:
            sftp.put(str(local), remote + ".part")
            sftp.posix_rename(remote + ".part", remote)

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        with self._session() as sftp:
            for local in files:
                sftp.put(str(local), f"{directory}/{local.name}")
