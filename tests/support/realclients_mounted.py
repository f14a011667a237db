"""sshfs: the cluster mounted as a directory, and used by programs that know nothing of SFTP."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from openssh import OpenSsh
from realclients import Client, NotHere, Refused


class Sshfs(Client):
    """Each operation in a mount of its own, so that nothing is answered from what sshfs remembers."""

    name = "sshfs"
    program = "sshfs"
    protocol = "SFTP"

    def version(self) -> str:
        found = re.search(r"SSHFS version ([\w.]+)", self.run("sshfs", "--version"))
        assert found is not None
        return found[1]

    @contextmanager
    def _mounted(self) -> Iterator[Path]:
        target = self.target
        ssh = OpenSsh(self.work / "openssh", target.port, target.user, target.password)
        place = self.work / "mounted"
        place.mkdir(exist_ok=True)
        options = [option for option in ssh.options() if option not in ("-F", "/dev/null")]
        done = subprocess.run(
            [
                "sshfs",
                f"{target.user}@{target.host}:/",
                place,
                "-p",
                str(target.port),
                *options,
                "-opassword_stdin",
            ],
            input=f"{target.password}\n",
            capture_output=True,
            text=True,
            timeout=120,
            env=ssh.environment,
            check=False,
        )
        if done.returncode != 0:
            problem = done.stdout + done.stderr
            raise NotHere(f"this machine mounts nothing: {problem}") if "fuse" in problem else Refused(problem)
        try:
            yield place
        except OSError as error:
            raise Refused(str(error)) from error
        finally:
            self.run("fusermount", "-u", str(place))

    @staticmethod
    def _settle(file: Path) -> None:
        """sshfs closes files behind the program's back; what is asked after that waits until it is done."""
        with file.open("rb") as opened:
            os.fsync(opened.fileno())

    def put(self, local: Path, remote: str) -> None:
        with self._mounted() as here:
            self._settle(Path(shutil.copyfile(local, here / remote[1:])))

    def get(self, remote: str, local: Path) -> None:
        with self._mounted() as here:
            shutil.copyfile(here / remote[1:], local)

    def names(self, directory: str) -> list[str]:
        with self._mounted() as here:
            return [path.name for path in (here / directory[1:]).iterdir()]

    def resume_up(self, local: Path, remote: str) -> None:
        with self._mounted() as here:
            there = here / remote[1:]
            with there.open("ab") as end, local.open("rb") as source:
                source.seek(there.stat().st_size)
                shutil.copyfileobj(source, end)
            self._settle(there)

    def resume_down(self, remote: str, local: Path) -> None:
        with self._mounted() as here, local.open("ab") as end, (here / remote[1:]).open("rb") as source:
            source.seek(end.tell())
            shutil.copyfileobj(source, end)

    def rename(self, old: str, new: str) -> None:
        with self._mounted() as here:
            (here / old[1:]).rename(here / new[1:])

    def make_directory(self, path: str) -> None:
        with self._mounted() as here:
            (here / path[1:]).mkdir()

    def remove(self, path: str) -> None:
        with self._mounted() as here:
            (here / path[1:]).unlink()

    def remove_directory(self, path: str) -> None:
        with self._mounted() as here:
            (here / path[1:]).rmdir()

    def put_dated(self, local: Path, remote: str) -> None:
        with self._mounted() as here:
            there = here / remote[1:]
            shutil.copy2(local, there)
            if int(there.stat().st_mtime) != int(local.stat().st_mtime):
                raise Refused("the time is another one while the file is not closed yet")
            self._settle(there)

    def get_dated(self, remote: str, local: Path) -> None:
        with self._mounted() as here:
            shutil.copy2(here / remote[1:], local)

    def put_finished(self, local: Path, remote: str) -> None:
        with self._mounted() as here:
            there = here / remote[1:]
            Path(shutil.copyfile(local, there.with_name(f"{there.name}.part"))).replace(there)

    def put_many(self, files: Sequence[Path], directory: str) -> None:
        with self._mounted() as here:
            for file in files:
                self._settle(Path(shutil.copy(file, here / directory[1:])))

    def put_parallel(self, files: Sequence[Path], directory: str) -> None:
        with self._mounted() as here, ThreadPoolExecutor(len(files)) as pool:
            for there in list(pool.map(lambda file: Path(shutil.copy(file, here / directory[1:])), files)):
                self._settle(there)

    def mirror_up(self, local: Path, remote: str) -> None:
        with self._mounted() as here:
            top = Path(shutil.copytree(local, here / remote[1:]))
            for there in top.rglob("*"):
                if there.is_file():
                    self._settle(there)

    def mirror_down(self, remote: str, local: Path) -> None:
        with self._mounted() as here:
            shutil.copytree(here / remote[1:], local)
