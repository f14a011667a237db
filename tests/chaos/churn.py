"""Uploads, overwrites and deletes of few contents in random order, while space is collected and nodes are killed.

Few contents: most uploads meet chunks that are there already, that nothing refers to any more, or that are being
removed at this moment. What was acknowledged must be read whole in the end, and the disks must hold little else.
"""

from __future__ import annotations

import argparse
import ftplib
import io
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from harness import Cluster
from members import Members
from pictures import picture, retrieve
from waiting import eventually

SETTINGS = {
    "PIXRAFT_JOBS_COLLECT_GRACE": "1",
    "PIXRAFT_CHUNKS_VOLUME_BYTES": str(1 << 20),
    "PIXRAFT_JOBS_REPAIR_AFTER": "60",
}
CONTENTS = 60
NAMES = 40
"""For each session."""


class Session(threading.Thread):
    """One client with names of its own: what each holds is known, or one of two after an unclear end."""

    def __init__(self, churn: Churn, number: int) -> None:
        super().__init__(daemon=True)
        self.churn = churn
        self.number = number
        self.random = random.Random(f"{churn.seed}/{number}")
        self.known: dict[str, set[int | None]] = {}
        self.done = 0
        self.refused = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Work until all is done."""
        try:
            while self.churn.next():
                self._one()
        except BaseException as error:
            self.failure = error

    def _one(self) -> None:
        name = f"{self.number}-{self.random.randrange(NAMES)}.jpg"
        before = self.known.setdefault(name, {None})
        content: int | None = self.random.randrange(CONTENTS) if self.random.random() < 0.6 else None
        # Until it is answered, both are possible.
        self.known[name] = before | {content}
        try:
            ftp = self.churn.connection(self)
            if content is not None:
                ftp.storbinary(f"STOR {name}", io.BytesIO(self.churn.contents[content]))
            else:
                ftp.delete(name)
            self.known[name] = {content}
            self.done += 1
        except ftplib.error_perm as error:
            assert content is None, error
            assert str(error).startswith("550"), error
            assert None in before, f"{name} was acknowledged and is gone"
            self.known[name] = {None}
        except (ftplib.Error, OSError, EOFError):
            self.refused += 1
            self.churn.drop(self)
            time.sleep(0.1)


class Churn:
    """A run: `operations` in all by `sessions` clients, from `seed`."""

    def __init__(
        self, cluster: Cluster, operations: int, *, seed: int = 1, sessions: int = 6, size: int = 90_000
    ) -> None:
        self.cluster = cluster
        self.seed = seed
        generator = random.Random(seed)
        self.contents = [picture(f"{seed}-{n}", generator.randrange(1, size)) for n in range(CONTENTS)]
        self._left = operations
        self._lock = threading.Lock()
        self._connections: dict[int, ftplib.FTP] = {}
        self.sessions = [Session(self, number) for number in range(sessions)]

    def next(self) -> bool:
        """Whether there is another operation to do."""
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def connection(self, session: Session) -> ftplib.FTP:
        """The session's connection, to any node."""
        ftp = self._connections.get(session.number)
        if ftp is None:
            ftp = self.cluster.login(session.random.choice(self.cluster.names), timeout=60)
            self._connections[session.number] = ftp
        return ftp

    def drop(self, session: Session) -> None:
        """Use another connection next time."""
        ftp = self._connections.pop(session.number, None)
        if ftp is not None:
            ftp.close()

    def run(self, kill_every: float) -> None:
        """Do all of it, with a kill -9 of a random node now and then."""
        generator = random.Random(self.seed)
        for session in self.sessions:
            session.start()
        while any(session.is_alive() for session in self.sessions):
            self.sessions[0].join(kill_every)
            if any(session.is_alive() for session in self.sessions):
                victim = generator.choice(self.cluster.names)
                self.cluster.kill(victim)
                self.cluster.start_node(victim)
                self.cluster.wait_ready(victim)
        for session in self.sessions:
            self.drop(session)
            if session.failure is not None:
                raise session.failure

    def check(self) -> dict[str, float]:
        """All that was acknowledged is there, nothing else, and the disks hold little more; return what was counted."""
        known = {name: found for session in self.sessions for name, found in session.known.items()}
        live: set[int] = set()
        for node in self.cluster.names:
            with self.cluster.login_when_served(node) as ftp:
                listed = set(ftp.nlst())
                for name, possible in known.items():
                    if name not in listed:
                        assert None in possible, f"{name} was acknowledged and is gone"
                        known[name] = {None}
                        continue
                    got = retrieve(ftp, name)
                    matches = {n for n in possible if n is not None and self.contents[n] == got}
                    assert matches, f"{name} at {node}: {len(got)} bytes that are none of {possible}"
                    known[name] = matches
                    live |= matches
        self.cluster.wait_verdict("healthy")
        living = sum(len(self.contents[number]) for number in live)
        bound = 1.5 * living + (1 << 20)  # the file that is being written may hold anything
        eventually(lambda: all(self.cluster.disk_bytes(node) <= bound for node in self.cluster.names))
        Members(self.cluster).fsck()
        return {
            "done": sum(session.done for session in self.sessions),
            "refused": sum(session.refused for session in self.sessions),
            "pictures": sum(found != {None} for found in known.values()),
            "live_bytes": living,
            "most_on_disk": max(self.cluster.disk_bytes(node) for node in self.cluster.names) / max(1, living),
        }


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--kill-every", type=float, default=5.0)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        Cluster(Path(scratch) / "cluster", environment=SETTINGS) as cluster,
    ):
        churn = Churn(cluster, options.operations, seed=options.seed)
        began = time.monotonic()
        churn.run(options.kill_every)
        print(f"{time.monotonic() - began:.0f} s; {churn.check()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
