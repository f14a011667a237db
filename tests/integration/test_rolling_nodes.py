"""A release's cluster is upgraded a node at a time under load, rolled back, upgraded again and finished."""

from __future__ import annotations

import contextlib
import ftplib
import io
import itertools
import re
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from members import Failed
from oldclusters import Old, check_everything
from pictures import picture, retrieve
from releases import NAMES, RELEASES, level
from waiting import PATIENCE, eventually

from ftpgateway.node.config.whole import NODE_FILE
from raftstore.metadata.levels import NEWEST

pytestmark = pytest.mark.integration

ROLLING = [release for release in NAMES if level(release) >= 2]
"""Those whose nodes talk to those of now; an upgrade from 0.1 stops the whole cluster."""
SERVERS = {release: next((RELEASES / release).glob("*.whl")) for release in ROLLING}
LARGE = picture("large", 3_000_000)
PACE = 0.05
"""Seconds between the puts of one client: all of them are read at the end."""


def sections(configuration: str) -> dict[str, str]:
    """The text of each section of a configuration; "" is what comes before the first."""
    pieces = re.split(r"^\[(\w+)\]$", configuration, flags=re.MULTILINE)
    named = zip(pieces[1::2], pieces[2::2], strict=True)
    return {"": pieces[0]} | {name: f"[{name}]{text}" for name, text in named}


class Rolling(Old):
    """Its nodes run the release's own program until they are upgraded."""

    def __init__(self, release: str, directory: Path) -> None:
        super().__init__(release, directory)
        self._program = directory / "program"
        with zipfile.ZipFile(SERVERS[release]) as wheel:
            wheel.extractall(self._program)
        with tarfile.open(RELEASES / release / "data.tar.xz") as archive:
            file = archive.extractfile(f"n1/{NODE_FILE}")
            assert file is not None
            known = sections(file.read().decode())
        for name in self.names:
            # It refuses a section that it does not know: operators add those after the upgrade.
            config, found = self.config(name), sections(self.config(name).read_text())
            config.write_text("".join(text for section, text in found.items() if section in known))
            self._runs(name, old=True)

    def _runs(self, name: str, *, old: bool) -> None:
        environment = self.local.nodes[name].environment
        environment.pop("PYTHONPATH", None)
        environment.pop("PYTHONSAFEPATH", None)
        if old:
            environment |= {"PYTHONPATH": str(self._program), "PYTHONSAFEPATH": "1"}

    def replace(self, name: str, *, old: bool) -> None:
        """Stop one node as an operator does, and start it with the other program; wait until all is well."""
        assert self.local.stop(name) == {name: 0}
        self._runs(name, old=old)
        self.start_node(name)
        self.wait_ready(name)
        eventually(self._all_up)

    def _all_up(self) -> bool:
        """Whether all take part, as each sees it. Under load some pictures always wait for their third copy."""
        nodes = [node for name in self.names for node in self.status(name)["nodes"]]
        return all(node.reachable and not node.error and node.role in ("leader", "follower") for node in nodes)

    def newest(self) -> set[int]:
        """The newest levels that the nodes know."""
        return {node["newest"] for node in self.run("upgrade", "status")["nodes"]}


@dataclass
class Load:
    """Clients that put, read, rename and delete at all nodes until `stop`; they keep what was acknowledged."""

    cluster: Rolling
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    downloads: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        for number in range(3):
            self._threads.append(threading.Thread(target=self._guarded, args=(self._put, number)))
        self._threads.append(threading.Thread(target=self._guarded, args=(self._get, 0)))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Put and read no more."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def progress(self) -> None:
        """Wait until something was put, and something read, after this call."""
        puts, gets = len(self.acknowledged), self.downloads
        eventually(lambda: self.wrong or (len(self.acknowledged) > puts + 5 and self.downloads > gets))
        assert not self.wrong

    def _guarded(self, work: Callable[[int], None], number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            self.wrong.append(repr(error))
            raise

    def _sessions(self, first: int) -> Iterator[ftplib.FTP]:
        """Sessions at one node after the other, as long as the load goes on."""
        for number in itertools.count(first):
            if self._ended.is_set():
                return
            name = self.cluster.names[number % 3]
            try:
                session = self.cluster.login(name, "anna", "anna-secret", timeout=PATIENCE)
            except (OSError, EOFError, ftplib.Error):
                self._ended.wait(0.1)  # it is being replaced
                continue
            with contextlib.closing(session):
                yield session

    def _put(self, worker: int) -> None:
        count = itertools.count()
        for session in self._sessions(worker):
            try:
                for number in itertools.islice(count, 10):
                    self._ended.wait(PACE)
                    name, content = f"load-{worker}-{number}.jpg", picture(f"{worker}-{number}", 20_000)
                    session.storbinary(f"STOR {name}", io.BytesIO(content))
                    self.acknowledged[name] = content
                    if number % 5 == 1:
                        session.rename(name, f"renamed-{name}")
                        self.acknowledged[f"renamed-{name}"] = self.acknowledged.pop(name)
                    elif number % 5 == 2:
                        del self.acknowledged[name]  # from here on it may be gone
                        session.delete(name)
                        self.gone.add(name)
            except (OSError, EOFError, ftplib.Error):
                # Of a rename or a removal nobody knows now whether it was made.
                self.acknowledged.pop(name, None)

    def _get(self, worker: int) -> None:
        """Each download ends whole, or with a reply that says that it did not."""
        for session in self._sessions(worker):
            with contextlib.suppress(ftplib.Error):
                for _ in range(5):
                    try:
                        content = retrieve(session, "large.jpg")
                    except (OSError, EOFError) as error:
                        self.wrong.append(f"a download ended without a reply: {error!r}")
                        break
                    if content != LARGE:
                        self.wrong.append("a download that ended with 226 was not whole")
                    self.downloads += 1

    def check(self, name: str) -> None:
        """All that was acknowledged is there, and nothing that was removed."""
        with contextlib.closing(self.cluster.login(name, "anna", "anna-secret")) as session:
            there = set(session.nlst())
            assert self.acknowledged.keys() <= there
            assert not self.gone & there
            for path, content in self.acknowledged.items():
                assert retrieve(session, path) == content, path


@pytest.mark.parametrize("release", ROLLING)
def test_nodes_are_upgraded_one_by_one_under_load_and_back_before_it_is_finished(
    release: str, tmp_path: Path
) -> None:
    with Rolling(release, tmp_path / "old") as cluster, Load(cluster) as load:
        with contextlib.closing(cluster.login("n1", "anna", "anna-secret")) as session:
            session.storbinary("STOR large.jpg", io.BytesIO(LARGE))
        load.progress()
        for name in cluster.names:
            cluster.replace(name, old=False)
            load.progress()
        assert cluster.newest() == {NEWEST}
        # Nothing that the release cannot read was written: each node goes back to it.
        for name in cluster.names:
            cluster.replace(name, old=True)
            load.progress()
        assert cluster.newest() == {level(release)}
        first, *others = reversed(cluster.names)
        cluster.replace(first, old=False)
        with pytest.raises(Failed) as refused:
            cluster.run("upgrade", "finish", "--yes")
        assert refused.value.code == 55
        for name in others:
            load.progress()
            cluster.replace(name, old=False)
        done = cluster.run("upgrade", "finish", "--yes")
        assert (done["before"], done["level"], done["finished"]) == (level(release), NEWEST, True)
        load.progress()
        cluster.replace("n2", old=False)  # it starts again above the level that it has raised
        load.progress()
        load.end()
        for name in cluster.names:
            load.check(name)
        check_everything(cluster, "n3")


@pytest.mark.parametrize("release", ROLLING)
def test_a_node_of_the_release_does_not_take_part_above_its_level(release: str, tmp_path: Path) -> None:
    with Rolling(release, tmp_path / "old") as cluster:
        for name in cluster.names:
            cluster.replace(name, old=False)
        cluster.run("upgrade", "finish", "--yes")
        assert cluster.local.stop("n3") == {"n3": 0}
        cluster._runs("n3", old=True)
        cluster.start_node("n3")
        assert cluster.local.wait_for_an_end() == {"n3": 54}
        cluster.local.stop("n3")
        cluster._runs("n3", old=False)
        cluster.start_node("n3")
        cluster.wait_ready("n3")
        check_everything(cluster, "n3")
