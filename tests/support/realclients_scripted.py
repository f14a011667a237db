"""Clients that are libraries of other languages, each driven by a script in clientscripts/: Node, Perl, PHP, Ruby."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from openssh import OpenSsh
from realclients import Client, NotSupported, Refused
from realclients_sftp import SftpCommands

SCRIPTS = Path(__file__).resolve().parent / "clientscripts"
NODE_MODULES = Path(__file__).resolve().parents[2] / "build" / "clients" / "node_modules"
"""Where `make client-modules` puts what tests/clients/package-lock.json names."""

GEMS = Path("/usr/share/rubygems-integration")


class Scripted(Client):
    """A script that takes an address, an account, and an operation with its arguments."""

    script: ClassVar[str]
    asks_version: ClassVar[Sequence[str]]
    """The command that prints the library's version."""
    needs: ClassVar[Path | None] = None
    """A file without which it is not installed."""

    @classmethod
    def installed(cls) -> bool:
        if cls.program is None or shutil.which(cls.program) is None:
            return False
        return cls.needs is None or cls.needs.exists()

    def version(self) -> str:
        return self.run(*self.asks_version).strip()

    def environment(self) -> Mapping[str, str]:
        return {"NODE_CLIENTS": str(NODE_MODULES)}

    def _do(self, operation: str, *arguments: str) -> str:
        target = self.target
        assert self.program is not None
        account = [target.host, str(target.port), target.user, target.password, "1" if self.secure else ""]
        return self.run(self.program, str(SCRIPTS / self.script), *account, operation, *arguments)

    def put(self, local: Path, remote: str) -> None:
        self._do("put", str(local), remote)

    def get(self, remote: str, local: Path) -> None:
        self._do("get", remote, str(local))

    def names(self, directory: str) -> list[str]:
        return self._do("ls", directory).splitlines()

    def rename(self, old: str, new: str) -> None:
        self._do("mv", old, new)

    def make_directory(self, path: str) -> None:
        self._do("mkdir", path)

    def remove(self, path: str) -> None:
        self._do("rm", path)

    def remove_directory(self, path: str) -> None:
        self._do("rmdir", path)

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        self._do("many", directory, *map(str, files))


def _node_version(package: str) -> list[str]:
    return ["node", "-p", f"require('{NODE_MODULES}/{package}/package.json').version"]


class Ssh2(Scripted):
    """npm's ssh2, also below ssh2-sftp-client and most of what Node has for SFTP."""

    name = "ssh2, Node"
    program = "node"
    protocol = "SFTP"
    script = "ssh2.js"
    needs = NODE_MODULES / "ssh2"
    asks_version = _node_version("ssh2")


class BasicFtp(Scripted):
    """npm's basic-ftp."""

    name = "basic-ftp, Node"
    program = "node"
    script = "basicftp.js"
    needs = NODE_MODULES / "basic-ftp"
    asks_version = _node_version("basic-ftp")


class PerlSftp(Scripted):
    """Net::SFTP::Foreign, which runs OpenSSH's ssh."""

    name = "Net::SFTP::Foreign, Perl"
    program = "perl"
    protocol = "SFTP"
    script = "sftp.pl"
    needs = Path("/usr/share/perl5/Net/SFTP/Foreign.pm")
    asks_version = ("perl", "-MNet::SFTP::Foreign", "-e", "print $Net::SFTP::Foreign::VERSION")

    def environment(self) -> Mapping[str, str]:
        target = self.target
        ssh = OpenSsh(self.work / "openssh", target.port, target.user, target.password)
        return {**ssh.environment, "SSH_OPTIONS": "\n".join([*ssh.options(), "-q"])}


class PerlFtp(Scripted):
    """Net::FTP of Perl's library."""

    name = "Net::FTP, Perl"
    program = "perl"
    script = "ftp.pl"
    asks_version = ("perl", "-MNet::FTP", "-e", "print $Net::FTP::VERSION")

    def _do(self, operation: str, *arguments: str) -> str:
        if self.secure:
            raise NotSupported("its TLS needs another package")
        return super()._do(operation, *arguments)


class PhpSftp(Scripted):
    """PHP's ssh2 extension, over libssh2."""

    name = "ssh2, PHP"
    program = "php"
    protocol = "SFTP"
    script = "sftp.php"
    asks_version = ("php", "-r", "echo phpversion('ssh2');")

    @classmethod
    def installed(cls) -> bool:
        return super().installed() and any(Path("/etc/php").glob("*/cli/conf.d/*ssh2.ini"))


class PhpFtp(Scripted):
    """PHP's ftp extension."""

    name = "ftp, PHP"
    program = "php"
    script = "ftp.php"
    asks_version = ("php", "-r", "echo phpversion('ftp');")


class RubySftp(Scripted):
    """Ruby's net-sftp."""

    name = "net-sftp, Ruby"
    program = "ruby"
    protocol = "SFTP"
    script = "sftp.rb"
    asks_version = ("ruby", "-e", "puts Gem::Specification.find_by_name('net-sftp').version")

    @classmethod
    def installed(cls) -> bool:
        return super().installed() and any(GEMS.glob("*/gems/net-sftp-*"))


class RubyFtp(Scripted):
    """Ruby's net-ftp."""

    name = "net-ftp, Ruby"
    program = "ruby"
    script = "ftp.rb"
    asks_version = ("ruby", "-e", "require 'net/ftp'; puts Net::FTP::VERSION")


class BusyBox(Client):
    """ftpput and ftpget of BusyBox: what small devices have."""

    name = "BusyBox"
    program = "busybox"

    def version(self) -> str:
        return self.run("busybox", "--help").split()[1].lstrip("v")

    def _applet(self, name: str, *arguments: str) -> None:
        if self.secure:
            raise NotSupported("no TLS")
        target = self.target
        login = ["-u", target.user, "-p", target.password, "-P", str(target.port)]
        self.run("busybox", name, *login, target.host, *arguments)

    def put(self, local: Path, remote: str) -> None:
        self._applet("ftpput", remote, str(local))

    def get(self, remote: str, local: Path) -> None:
        self._applet("ftpget", str(local), remote)

    def names(self, directory: str) -> list[str]:
        raise NotSupported("no listings")

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        raise NotSupported("one file a connection")


class Through(SftpCommands):
    """OpenSSH's sftp over another SSH client, which carries the session."""

    def carrier(self) -> str:
        """The command that carries an SFTP session on its standard input and output."""
        raise NotImplementedError

    def _sftp(self, *commands: str) -> str:
        text = "".join(f"{command}\n" for command in commands)
        return self.run("sftp", "-q", "-b", "-", "-D", self.carrier(), text=text)

    def names(self, directory: str) -> list[str]:
        lines = self._sftp(f'ls -1 "{directory}"').splitlines()
        return [line.removeprefix(f"{directory}/") for line in lines if line.startswith(f"{directory}/")]


class Dropbear(Through):
    """dbclient of Dropbear, as on OpenWrt: it guesses the key exchange."""

    name = "dbclient, Dropbear"
    program = "dbclient"

    def version(self) -> str:
        return self.run("dbclient", "-V").split()[1].lstrip("v")

    def environment(self) -> Mapping[str, str]:
        return {"DROPBEAR_PASSWORD": self.target.password}

    def carrier(self) -> str:
        target = self.target
        return f"dbclient -y -y -p {target.port} {target.user}@{target.host} -s sftp"


class Putty(Client):
    """What the two programs of PuTTY share: they are told the host key, for want of somebody to ask."""

    protocol = "SFTP"

    def version(self) -> str:
        assert self.program is not None
        return self.run(self.program, "-V").split()[2]

    def login(self) -> list[str]:
        """Options that log in without a question."""
        target = self.target
        keys = self.run("ssh-keyscan", "-t", "ed25519", "-p", str(target.port), target.host)
        (line,) = [line for line in keys.splitlines() if not line.startswith("#")]
        (self.work / "host").write_text(line + "\n")
        fingerprint = self.run("ssh-keygen", "-lf", str(self.work / "host")).split()[1]
        options = ["-batch", "-hostkey", fingerprint, "-P", str(target.port), "-pw", target.password]
        return [*options, f"{target.user}@{target.host}"]


class Plink(Putty, Through):
    """plink of PuTTY."""

    name = "plink, PuTTY"
    program = "plink"

    def carrier(self) -> str:
        return " ".join(["plink", *self.login(), "-s", "sftp"])


class Psftp(Putty, SftpCommands):
    """psftp of PuTTY."""

    name = "psftp, PuTTY"
    program = "psftp"

    def _sftp(self, *commands: str) -> str:
        batch = self.work / "batch"
        batch.write_text("".join(f"{command}\n" for command in [*commands, "quit"]))
        *options, account = self.login()
        output = self.run("psftp", *options, "-b", str(batch), account)
        if "Remote working directory" not in output:
            raise Refused(output)
        return output.partition("Remote working directory is /\n")[2]

    def names(self, directory: str) -> list[str]:
        lines = self._sftp(f'ls "{directory}"').splitlines()
        found = [line.split(maxsplit=8)[8] for line in lines if line.startswith(("-", "d"))]
        return [name for name in found if name not in (".", "..")]

    def rename(self, old: str, new: str) -> None:
        self._sftp(f'mv "{old}" "{new}"')

    def remove(self, path: str) -> None:
        self._sftp(f'del "{path}"')

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        self._sftp(f'cd "{directory}"', f'lcd "{files[0].parent}"', "mput *.jpg")
