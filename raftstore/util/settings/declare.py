"""How keys are declared: once, with their kind, meaning and default, as fields of a section's dataclass. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from raftstore.util.settings.kinds import Kind

ENVIRONMENT_PREFIX = "PIXRAFT_"

_REQUIRED = dataclasses.MISSING


class Mistake(NamedTuple):
    """Values that do not fit together: the key to change, what is wrong, what to do.

    A key of another section than the one that tells it is written with its section, `section.key`.
    """

    key: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: what it takes, what it means, and its default as it stands in a file (None: required)."""

    section: str
    key: str
    kind: Kind
    doc: str
    default: object | None

    @property
    def environment(self) -> str:
        """Name of the environment variable that overrides the key."""
        return f"{ENVIRONMENT_PREFIX}{self.section}_{self.key}".upper()

    @property
    def name(self) -> str:
        """Section and key, as messages name them."""
        return f"{self.section}.{self.key}"


def declared(kind: Kind, doc: str, default: object = _REQUIRED) -> Any:
    """Declare a key as a dataclass's field. `default` is as it would stand in a file; without one it is required."""
    metadata = {"kind": kind, "doc": doc, "default": default}
    if default is _REQUIRED or isinstance(value := kind.from_toml(default), Path):
        return dataclasses.field(metadata=metadata)  # a path means something only beside its file
    return dataclasses.field(default=value, metadata=metadata)


def settings_of(section: str, declaration: type) -> Iterator[Setting]:
    """Yield the keys that a dataclass declares, as those of `section`, in the order of a file."""
    for field in dataclasses.fields(declaration):
        if "kind" in field.metadata:
            default = field.metadata["default"]
            yield Setting(
                section,
                field.name,
                field.metadata["kind"],
                field.metadata["doc"],
                None if default is _REQUIRED else default,
            )
