"""The clients that are typed at: the classic ftp commands, and NcFTP."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from realclients import Client, NotSupported, Refused

_FAILED = re.compile(
    r"^(?:[45]\d\d[ -].*|ftp: .*|.*(?:Not connected|Login failed|No such file).*)$", re.MULTILINE
)


class ClassicFtp(Client):
    """What the two `ftp` programs share: commands are read from the input, and replies tell of failures."""

    options: Sequence[str]
    verbose_on: str

    def _typed(self, *commands: str) -> str:
        """Type these commands; Refused when a reply to one of them is a failure."""
        if self.secure:
            raise NotSupported("no TLS")
        target = self.target
        lines = [f"open {target.host} {target.port}", f"user {target.user} {target.password}", "binary"]
        assert self.program is not None
        text = "\n".join([*lines, *commands, "quit"]) + "\n"
        output = self.run(self.program, *self.options, text=text, check=False)
        failed = _FAILED.search(output)
        if failed or "221 " not in output:
            raise Refused(output)
        return output

    def put(self, local: Path, remote: str) -> None:
        self._typed(f'put "{local}" "{remote}"')

    def get(self, remote: str, local: Path) -> None:
        self._typed(f'get "{remote}" "{local}"')

    def names(self, directory: str) -> list[str]:
        listing = self.work / "names.txt"
        self._typed(f'cd "{directory}"', f'nlist . "{listing}"')
        return listing.read_text().splitlines()

    def resume_down(self, remote: str, local: Path) -> None:
        self._typed(f'reget "{remote}" "{local}"')

    def resume_up(self, local: Path, remote: str) -> None:
        begun = re.search(r"^(?:213 |\S+\t)(\d+)", self._typed(f'size "{remote}"'), re.MULTILINE)
        assert begun is not None
        self._typed(f"restart {begun[1]}", f'put "{local}" "{remote}"')

    def rename(self, old: str, new: str) -> None:
        self._typed(f'rename "{old}" "{new}"')

    def copy(self, source: str, target: str) -> None:
        self._typed(f"quote SITE CPFR {source}", f"quote SITE CPTO {target}")

    def make_directory(self, path: str) -> None:
        self._typed(f'mkdir "{path}"')

    def remove(self, path: str) -> None:
        self._typed(f'delete "{path}"')

    def remove_directory(self, path: str) -> None:
        self._typed(f'rmdir "{path}"')

    def put_finished(self, local: Path, remote: str) -> None:
        self._typed(f'put "{local}" "{remote}.part"', f'rename "{remote}.part" "{remote}"')

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        self._typed(f'cd "{directory}"', f'lcd "{files[0].parent}"', "mput *")

    def put_parallel(self, files: Sequence[Path], directory: str) -> None:
        raise NotSupported("one at a time")


class Tnftp(ClassicFtp):
    """tnftp: the ftp of NetBSD, of macOS once, and of Debian as `ftp`."""

    name = "tnftp"
    program = "tnftp"
    options = ("-n", "-i", "-v", "-p")

    def get_dated(self, remote: str, local: Path) -> None:
        self.get(remote, local)

    def version(self) -> str:
        # It does not print one itself.
        return self.run("dpkg-query", "--show", "--showformat", "${Version}", "tnftp").split("-")[0]


class InetutilsFtp(ClassicFtp):
    """ftp of GNU inetutils."""

    name = "inetutils ftp"
    program = "inetutils-ftp"
    options = ("-n", "-i", "-v", "-p")

    def version(self) -> str:
        return self.run("inetutils-ftp", "--version").split()[3]


class Ncftp(Client):
    """NcFTP: its shell, ncftpput, ncftpget and ncftpls."""

    name = "ncftp"
    program = "ncftpput"
    exceptions = {
        "resume an upload": "3.2.6 sends the whole file after REST (its sendfile begins at 0); so at any server: "
        "what is stored is what was sent"
    }

    def version(self) -> str:
        found = re.search(r"NcFTP[\x1b\[0-9;m ]+(3[\d.]+)", self.run("ncftp", "--version", check=False))
        assert found is not None
        return found[1]

    def _ncftp(self, program: str, *arguments: str, text: str = "") -> str:
        if self.secure:
            raise NotSupported("no TLS")
        target = self.target
        login = ["-u", target.user, "-p", target.password, "-P", str(target.port)]
        return self.run(program, *login, *arguments, text=text)

    def _shell(self, command: str) -> str:
        output = self._ncftp("ncftp", self.target.host, text=f"set confirm-close no\n{command}\nquit\n")
        # It ends with 0 whatever happened; replies and its own complaints tell.
        reported = output.partition("Logged in to")[2]
        if "Logged in" not in output or re.search(
            r"^(\S+: |mkdir|rename|delete|rmdir).*", reported, re.MULTILINE
        ):
            raise Refused(output)
        return reported

    def put(self, local: Path, remote: str) -> None:
        self._ncftp("ncftpput", "-V", "-C", self.target.host, str(local), remote)

    def get(self, remote: str, local: Path) -> None:
        self._ncftp("ncftpget", "-V", "-C", self.target.host, remote, str(local))

    def names(self, directory: str) -> list[str]:
        return self._ncftp("ncftpls", "-1", f"ftp://{self.target.host}/{directory}/").splitlines()

    def resume_up(self, local: Path, remote: str) -> None:
        directory, _, name = remote.rpartition("/")
        assert name == local.name
        self._ncftp("ncftpput", "-V", "-z", self.target.host, directory, str(local))

    def resume_down(self, remote: str, local: Path) -> None:
        self._ncftp("ncftpget", "-V", "-z", self.target.host, str(local.parent), remote)

    def rename(self, old: str, new: str) -> None:
        self._shell(f'rename "{old}" "{new}"')

    def copy(self, source: str, target: str) -> None:
        self._shell(f"quote SITE CPFR {source}\nquote SITE CPTO {target}")

    def make_directory(self, path: str) -> None:
        self._shell(f'mkdir "{path}"')

    def remove(self, path: str) -> None:
        self._shell(f'rm "{path}"')

    def remove_directory(self, path: str) -> None:
        self._shell(f'rmdir "{path}"')

    def put_dated(self, local: Path, remote: str) -> None:
        directory, _, name = remote.rpartition("/")
        assert name == local.name
        self._ncftp("ncftpput", "-V", "-y", self.target.host, directory, str(local))

    def get_dated(self, remote: str, local: Path) -> None:
        self._ncftp("ncftpget", "-V", self.target.host, str(local.parent), remote)

    def put_finished(self, local: Path, remote: str) -> None:
        directory, _, name = remote.rpartition("/")
        assert name == local.name
        self._ncftp("ncftpput", "-V", "-S", ".part", self.target.host, directory, str(local))

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        self._ncftp("ncftpput", "-V", self.target.host, directory, *map(str, files))

    def put_parallel(self, files: Sequence[Path], directory: str) -> None:
        raise NotSupported("one at a time")

    def mirror_up(self, local: Path, remote: str) -> None:
        directory, _, name = remote.rpartition("/")
        assert name == local.name
        self._ncftp("ncftpput", "-V", "-R", self.target.host, directory, str(local))

    def mirror_down(self, remote: str, local: Path) -> None:
        assert remote.rpartition("/")[2] == local.name
        self._ncftp("ncftpget", "-V", "-R", self.target.host, str(local.parent), remote)
