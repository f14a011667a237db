"""What is wrong with a configuration: a message for people that names every mistake, and each for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raftstore.errors import StoreError


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where (`line` 0: nowhere in the file), what is wrong, and what to do about it.

    `key` is `section.key`, `[section]`, or "" where it concerns the whole file; `variable` is the environment
    variable that the value came from, "" for the file.
    """

    file: Path
    key: str
    problem: str
    remedy: str
    line: int = 0
    variable: str = ""

    def __str__(self) -> str:
        if self.variable:
            return f"environment variable {self.variable}: {self.problem}; {self.remedy}"
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        return ": ".join(filter(None, [where, self.key, f"{self.problem}; {self.remedy}"]))


class ConfigError(StoreError):
    """The configuration has mistakes; `problems` are these, if they are known singly."""

    code = "ConfigError"
    message = "The configuration cannot be used"
    exit_code = 3

    def __init__(self, detail: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(detail)
        self.problems = tuple(problems)

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> ConfigError:
        """Return the error that names all of `problems` (at least one): one on a line, several below each other."""
        if len(problems) == 1:
            return cls(str(problems[0]), problems)
        lines = "".join(f"\n  {problem}" for problem in problems)
        return cls(f"{len(problems)} mistakes{lines}", problems)
