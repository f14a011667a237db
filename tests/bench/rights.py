"""What it costs to decide rights where a command is applied: PutFile of a 20 KB picture, in interleaved rounds.

Prints microseconds of processor time for each PutFile (median of the rounds) and the ratio to level 1, where apply
decides no rights: as a session of an account without rules, with 20 rules, and as the system, which is not judged.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "support")]

from catalogs import Feeder, by, chunk, command, put  # noqa: E402

from raftstore.rights import ROLES, Actor  # noqa: E402
from raftstore.wire import commands_pb2 as commands  # noqa: E402

ROUNDS = 40
FILES = 250


class Case:
    """One catalog and who puts files into it."""

    def __init__(self, path: Path, level: int, who: str) -> None:
        self.feeder = Feeder(path, level=level, later=lambda settle: None)
        self.who = who
        user = commands.User(name="ada", password_hash="x", home="/home", rights=ROLES["member"])
        if who == "20 rules":
            for number in range(20):
                user.rules.add(path=f"/home/ada/{number}", rights="elr")
        self.feeder.make("/home", "/home/ada", "/home/ada/pictures")
        self.feeder.one(command("put_user", user=user))
        account = self.feeder.catalog.user("ada")
        assert account is not None
        self.actor = Actor.session(account) if who in ("account", "20 rules") else Actor.system("benchmark")
        self.times: list[float] = []

    def round(self, number: int) -> None:
        """Put FILES files, each in an entry of its own; note processor time for each."""
        feeder, batches = self.feeder, []
        for file in range(FILES):
            made = put(
                f"/home/ada/pictures/{number:04}-{file:04}.jpg",
                1,
                chunks=[chunk(number * FILES + file + 1, 20480)],
                size=20480,
            )
            if feeder.catalog.level >= 2:
                made.put_file.owner = ""
                made = by(made, self.actor)
            batches.append(commands.Batch(operations=[feeder.operation(made)]).SerializeToString())
        begin = time.process_time()
        for batch in batches:
            feeder.index += 1
            feeder.catalog.apply(feeder.index, batch)
        self.times.append((time.process_time() - begin) / FILES * 1e6)
        feeder.catalog.settle()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        cases = [
            Case(Path(directory) / f"{number}.db", level, who)
            for number, (level, who) in enumerate(
                [(1, "level 1"), (2, "system"), (2, "account"), (2, "20 rules")]
            )
        ]
        for number in range(ROUNDS):
            for case in cases[number % 4 :] + cases[: number % 4]:
                case.round(number)
        base = statistics.median(cases[0].times)
        for case in cases:
            median = statistics.median(case.times)
            ratio = statistics.median(
                one / other for one, other in zip(case.times, cases[0].times, strict=True)
            )
            print(f"{case.who:10} {median:6.1f} us a PutFile  {median - base:+5.1f} us  {ratio:.3f}")
            case.feeder.catalog.close()


if __name__ == "__main__":
    main()
