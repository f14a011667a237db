"""The clients of the command line that are asked with options: curl, lftp, wget, rclone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from realclients import Client, NotSupported, Refused


def stamp(local: Path) -> str:
    """Return a file's time of last change as FTP writes it."""
    return datetime.fromtimestamp(int(local.stat().st_mtime), UTC).strftime("%Y%m%d%H%M%S")


class Curl(Client):
    """curl, in its usual mode: one CWD a directory."""

    name = "curl"
    program = "curl"

    def version(self) -> str:
        return self.run("curl", "--version").split()[1]

    def _url(self, path: str) -> str:
        target = self.target
        return f"ftp://{target.user}:{target.password}@{target.host}:{target.port}/{quote(path.lstrip('/'))}"

    def _curl(self, *arguments: str) -> str:
        options = ["--silent", "--show-error", "--max-time", "100"]
        if self.secure:
            options += ["--ssl-reqd", "--insecure"]
        return self.run("curl", *options, *arguments)

    def _quote(self, *commands: str) -> None:
        quoted = [part for command in commands for part in ("-Q", command)]
        self._curl(*quoted, "--head", self._url("/"))

    def put(self, local: Path, remote: str) -> None:
        self._curl("-T", str(local), self._url(remote))

    def get(self, remote: str, local: Path) -> None:
        self._curl("-o", str(local), self._url(remote))

    def names(self, directory: str) -> list[str]:
        return self._curl("--list-only", self._url(directory + "/")).splitlines()

    def resume_up(self, local: Path, remote: str) -> None:
        self._curl("-C", "-", "-T", str(local), self._url(remote))

    def resume_down(self, remote: str, local: Path) -> None:
        self._curl("-C", "-", "-o", str(local), self._url(remote))

    def rename(self, old: str, new: str) -> None:
        self._quote(f"RNFR {old}", f"RNTO {new}")

    def copy(self, source: str, target: str) -> None:
        self._quote(f"SITE CPFR {source}", f"SITE CPTO {target}")

    def make_directory(self, path: str) -> None:
        self._quote(f"MKD {path}")

    def remove(self, path: str) -> None:
        self._quote(f"DELE {path}")

    def remove_directory(self, path: str) -> None:
        self._quote(f"RMD {path}")

    def put_dated(self, local: Path, remote: str) -> None:
        self._curl("-T", str(local), "-Q", f"-MFMT {stamp(local)} {remote}", self._url(remote))

    def get_dated(self, remote: str, local: Path) -> None:
        self._curl("--remote-time", "-o", str(local), self._url(remote))

    def put_finished(self, local: Path, remote: str) -> None:
        renaming = ["-Q", f"-RNFR {remote}.part", "-Q", f"-RNTO {remote}"]
        self._curl("-T", str(local), *renaming, self._url(remote + ".part"))

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        self._curl("-T", "{" + ",".join(str(file) for file in files) + "}", self._url(directory + "/"))

    def put_parallel(self, files: Sequence[Path], directory: str) -> None:
        pairs = [part for file in files for part in ("-T", str(file), self._url(f"{directory}/{file.name}"))]
        self._curl("--parallel", "--parallel-immediate", *pairs)


class Lftp(Client):
    """lftp."""

    name = "lftp"
    program = "lftp"

    def version(self) -> str:
        found = re.search(r"Version ([\w.]+)", self.run("lftp", "--version"))
        assert found is not None
        return found[1]

    def _lftp(self, script: str) -> str:
        secure = "yes" if self.secure else "no"
        settings = [
            "set net:max-retries 2",
            "set net:timeout 60",
            "set ssl:verify-certificate no",
            f"set ftp:ssl-force {secure}",
            f"set ftp:ssl-protect-data {secure}",
            "set cmd:fail-exit yes",
        ]
        return self.run("lftp", "-c", "; ".join([*settings, self._open(), script, "bye"]))

    def _open(self) -> str:
        target = self.target
        return f"open -u {target.user},{target.password} ftp://{target.host}:{target.port}"

    def put(self, local: Path, remote: str) -> None:
        self._lftp(f'put "{local}" -o "{remote}"')

    def get(self, remote: str, local: Path) -> None:
        self._lftp(f'get "{remote}" -o "{local}"')

    def names(self, directory: str) -> list[str]:
        return self._lftp(f'cd "{directory}"; cls -1').splitlines()

    def resume_up(self, local: Path, remote: str) -> None:
        self._lftp(f'put -c "{local}" -o "{remote}"')

    def resume_down(self, remote: str, local: Path) -> None:
        self._lftp(f'get -c "{remote}" -o "{local}"')

    def rename(self, old: str, new: str) -> None:
        self._lftp(f'mv "{old}" "{new}"')

    def copy(self, source: str, target: str) -> None:
        replies = self._lftp(f"quote SITE CPFR {source}; quote SITE CPTO {target}")
        if "250 " not in replies:
            raise Refused(replies)

    def make_directory(self, path: str) -> None:
        self._lftp(f'mkdir "{path}"')

    def remove(self, path: str) -> None:
        self._lftp(f'rm "{path}"')

    def remove_directory(self, path: str) -> None:
        self._lftp(f'rmdir "{path}"')

    def put_dated(self, local: Path, remote: str) -> None:
        self.put(local, remote)

    def get_dated(self, remote: str, local: Path) -> None:
        self.get(remote, local)

    def put_finished(self, local: Path, remote: str) -> None:
        self._lftp(f'set xfer:use-temp-file yes; put "{local}" -o "{remote}"')

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        self._lftp(f'mput -O "{directory}" ' + " ".join(f'"{file}"' for file in files))

    def put_parallel(self, files: Sequence[Path], directory: str) -> None:
        self._lftp(f'mput -P 4 -O "{directory}" ' + " ".join(f'"{file}"' for file in files))

    def mirror_up(self, local: Path, remote: str) -> None:
        self._lftp(f'mirror -R --parallel=3 "{local}" "{remote}"')
        again = self._lftp(f'mirror -R --verbose "{local}" "{remote}"')
        assert "Transferring" not in again, "a second run sent files again"

    def mirror_down(self, remote: str, local: Path) -> None:
        self._lftp(f'mirror --parallel=3 "{remote}" "{local}"')


class Wget(Client):
    """wget, which only downloads."""

    name = "wget"
    program = "wget"
    notes = {"keep the time, down": "as exactly as LIST tells it: the day of old files, the minute of new ones"}
    time_resolution = 86400

    def version(self) -> str:
        return self.run("wget", "--version").split()[2]

    def _wget(self, path: str, *options: str) -> str:
        target, scheme = self.target, "ftps" if self.secure else "ftp"
        url = f"{scheme}://{target.host}:{target.port}/{quote(path.lstrip('/'))}"
        login = [f"--ftp-user={target.user}", f"--ftp-password={target.password}", "--no-check-certificate"]
        return self.run("wget", "--no-verbose", "--tries=2", "--timeout=60", *login, *options, url)

    def put(self, local: Path, remote: str) -> None:
        raise NotSupported("only downloads")

    def get(self, remote: str, local: Path) -> None:
        self._wget(remote, "-O", str(local))

    def names(self, directory: str) -> list[str]:
        page = self.work / "index.html"
        self._wget(directory + "/", "-O", str(page))
        return [unquote(name) for name in re.findall(r'href="[^"]*/([^"/]+)"', page.read_text())]

    def copy(self, source: str, target: str) -> None:
        raise NotSupported("only downloads")

    def resume_down(self, remote: str, local: Path) -> None:
        self._wget(remote, "--continue", "-P", str(local.parent))

    def get_dated(self, remote: str, local: Path) -> None:
        self._wget(remote, "--timestamping", "-P", str(local.parent))

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        raise NotSupported("only downloads")

    def put_parallel(self, files: Sequence[Path], directory: str) -> None:
        raise NotSupported("only downloads")

    def mirror_up(self, local: Path, remote: str) -> None:
        raise NotSupported("only downloads")

    def mirror_down(self, remote: str, local: Path) -> None:
        cut = f"--cut-dirs={len(remote.strip('/').split('/'))}"
        self._wget(remote + "/", "--recursive", "--level=inf", "--no-host-directories", cut, "-P", str(local))


class Rclone(Client):
    """rclone with an FTP remote."""

    name = "rclone"
    program = "rclone"

    def version(self) -> str:
        return self.run("rclone", "version").split()[1].lstrip("v")

    def _at(self, path: str) -> str:
        return f"remote:{path}"

    def _remote(self) -> str:
        target = self.target
        lines = [
            "[remote]",
            "type = ftp",
            f"host = {target.host}",
            f"port = {target.port}",
            f"user = {target.user}",
            f"pass = {self.run('rclone', 'obscure', target.password).strip()}",
            f"explicit_tls = {'true' if self.secure else 'false'}",
            "no_check_certificate = true",
        ]
        return "\n".join(lines) + "\n"

    def _rclone(self, *arguments: str) -> str:
        config = self.work / "rclone.conf"
        if not config.exists():
            config.write_text(self._remote())
        fast = ["--retries", "1", "--low-level-retries", "2", "--stats", "0"]
        return self.run("rclone", "--config", str(config), *fast, *arguments)

    def put(self, local: Path, remote: str) -> None:
        self._rclone("copyto", str(local), self._at(remote))

    def get(self, remote: str, local: Path) -> None:
        self._rclone("copyto", self._at(remote), str(local))

    def names(self, directory: str) -> list[str]:
        return [name.rstrip("/") for name in self._rclone("lsf", self._at(directory)).splitlines()]

    def rename(self, old: str, new: str) -> None:
        self._rclone("moveto", self._at(old), self._at(new))

    def make_directory(self, path: str) -> None:
        self._rclone("mkdir", self._at(path))

    def remove(self, path: str) -> None:
        self._rclone("deletefile", self._at(path))

    def remove_directory(self, path: str) -> None:
        self._rclone("rmdir", self._at(path))

    def put_dated(self, local: Path, remote: str) -> None:
        self.put(local, remote)

    def get_dated(self, remote: str, local: Path) -> None:
        self.get(remote, local)

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        self._rclone("copy", "--transfers", "1", str(files[0].parent), self._at(directory))

    def put_parallel(self, files: Sequence[Path], directory: str) -> None:
        self._rclone("copy", "--transfers", "4", str(files[0].parent), self._at(directory))

    def mirror_up(self, local: Path, remote: str) -> None:
        self._rclone("sync", str(local), self._at(remote))
        self._rclone("check", "--download", str(local), self._at(remote))
        again = self._rclone("sync", "--verbose", str(local), self._at(remote))
        assert "Copied" not in again, "a second run sent files again"

    def mirror_down(self, remote: str, local: Path) -> None:
        self._rclone("sync", self._at(remote), str(local))
        self._rclone("check", "--one-way", self._at(remote), str(local))
