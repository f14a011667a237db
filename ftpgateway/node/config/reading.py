"""One file with its environment, checked against the declared sections: all mistakes at once."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftpgateway.node.config.errors import ConfigError, Problem
from ftpgateway.node.config.lines import key_lines
from ftpgateway.node.config.sections import ADMIN_SECTIONS, Section, node_sections, settings
from ftpgateway.node.config.whole import NODE_FILE, AdminConfig, NodeConfig
from ftpgateway.node.frontends import FRONTENDS
from ftpgateway.serving.frontends import AnyKind
from raftstore.util.settings import Mistake
from raftstore.util.settings.declare import ENVIRONMENT_PREFIX, Setting

_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Effective:
    """A key with the value in force (None: it could not be read) and where that is from."""

    setting: Setting
    value: Any
    origin: str
    """`default`, `file` or `environment`."""


def load_node_config(
    file: Path, environment: Mapping[str, str] = os.environ, frontends: tuple[AnyKind, ...] = FRONTENDS
) -> NodeConfig:
    """Read and check a node's configuration; raise ConfigError, which names file, key and what to do for each.

    `frontends` are those that the node can have.
    """
    return _node_config(ConfigReader(file, node_sections(frontends), environment), frontends)


def load_admin_config(file: Path, environment: Mapping[str, str] = os.environ) -> AdminConfig:
    """Read and check an admin's bundle; raise ConfigError as `load_node_config` does."""
    reader = ConfigReader(file, ADMIN_SECTIONS, environment)
    values = reader.sections()
    return AdminConfig(sections=ADMIN_SECTIONS, values=values, source=reader.file)


def effective(file: Path, environment: Mapping[str, str] = os.environ) -> list[Effective]:
    """Return every key of a node's configuration with its value and origin; raise ConfigError."""
    reader = ConfigReader(file, node_sections(FRONTENDS), environment)
    _node_config(reader, FRONTENDS)
    return list(reader.values.values())


def _node_config(reader: ConfigReader, frontends: tuple[AnyKind, ...]) -> NodeConfig:
    values = reader.sections()
    made = NodeConfig(sections=node_sections(frontends), values=values, source=reader.file, frontends=frontends)
    reader.check(made.mistakes())
    return made


class ConfigReader:
    """Reads one file. `problems` fills up; `sections` and `check` raise them, all at once."""

    def __init__(self, file: Path, sections: Sequence[Section], environment: Mapping[str, str]) -> None:
        self.file = Path(os.path.abspath(file))
        self.problems: list[Problem] = []
        self._sections = {section.name: section.settings for section in sections}
        self._environment = environment
        self._settings = {setting.name: setting for setting in settings(sections)}
        self._table, self._lines = self._parse()
        self._check_kind()
        self._check_names()
        self._check_variables()
        self.values = {name: self._value(setting) for name, setting in self._settings.items()}

    def sections(self) -> dict[type, Any]:
        """Return each section by its type. Raises ConfigError."""
        self._raise()
        values = {}
        for section, kind in self._sections.items():
            made = values[kind] = kind(**self._section(section))
            if hasattr(made, "mistakes"):
                self._misfits(section, made.mistakes())
        return values

    def check(self, mistakes: Iterable[Mistake]) -> None:
        """Raise ConfigError for what does not fit together, within the sections or between them (`mistakes`)."""
        self._misfits("", mistakes)
        self._raise()

    def _section(self, section: str) -> dict[str, Any]:
        return {
            entry.setting.key: entry.value for entry in self.values.values() if entry.setting.section == section
        }

    def _misfits(self, section: str, mistakes: Iterable[Mistake]) -> None:
        for mistake in mistakes:
            key = mistake.key if "." in mistake.key else f"{section}.{mistake.key}"
            entry = self.values.get(key)
            variable = entry.setting.environment if entry is not None and entry.origin == "environment" else ""
            self._add(key, mistake.problem, mistake.remedy, variable)

    def _raise(self) -> None:
        if self.problems:
            places = sorted(self.problems, key=lambda problem: (bool(problem.variable), problem.line))
            raise ConfigError.of(places)

    def _add(self, key: str, problem: str, remedy: str, variable: str = "") -> None:
        name = key.strip("[]")
        line = 0 if variable else self._lines.get(name) or self._lines.get(name.partition(".")[0], 0)
        self.problems.append(Problem(self.file, key, problem, remedy, line, variable))

    def _parse(self) -> tuple[dict[str, Any], dict[str, int]]:
        try:
            text = self.file.read_text(encoding="utf-8")
            return tomllib.loads(text), key_lines(text)
        except IsADirectoryError:
            problem, remedy = "is a directory", f"give the file in it: {self.file / NODE_FILE}"
        except FileNotFoundError:
            problem, remedy = "no such file", "make a cluster with `pixraft init`"
        except OSError as error:
            problem, remedy = f"cannot be read ({error.strerror})", "correct that"
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            problem = f"not valid TOML ({error})"
            remedy = (
                "correct it (a section stands once), or restore it from the directory that `pixraft init` made"
            )
        raise ConfigError.of([Problem(self.file, "", problem, remedy)])

    def _check_kind(self) -> None:
        """A file of the other kind is told as that, and not key by key."""
        for own, other, remedy in (
            ("node", "admin", f"give a node's file, `{NODE_FILE}`"),
            ("admin", "node", "give the admin's, `admin.toml`"),
        ):
            if own in self._sections and own not in self._table and other in self._table:
                what = "an admin's bundle" if other == "admin" else "the configuration of a node"
                raise ConfigError.of([Problem(self.file, "", f"is {what}", remedy)])

    def _check_names(self) -> None:
        for section, table in self._table.items():
            if section not in self._sections:
                self._add(f"[{section}]", "unknown section", _known(section, self._sections, "[{}]"))
            elif not isinstance(table, dict):
                self._add(section, "must be a section", f"write [{section}] on a line of its own")
            else:
                known = [entry.key for entry in self._settings.values() if entry.section == section]
                for key in table.keys() - set(known):
                    self._add(f"{section}.{key}", "unknown key", _known(key, known, "{}", f" in [{section}]"))

    def _check_variables(self) -> None:
        variables = [setting.environment for setting in self._settings.values()]
        # What belongs to no section of this file (PIXRAFT_CONFIG, another program's) is not for us.
        prefixes = tuple(f"{ENVIRONMENT_PREFIX}{section}_".upper() for section in self._sections)
        for variable in sorted(self._environment.keys() - set(variables)):
            if variable.startswith(prefixes):
                near = difflib.get_close_matches(variable, variables, 1)
                meant = f"did you mean {near[0]}? " if near else ""
                self._add("", "unknown key", f"{meant}see docs/configuration.md", variable)

    def _value(self, setting: Setting) -> Effective:
        text = self._environment.get(setting.environment)
        table = self._table.get(setting.section, {})
        inside = table.get(setting.key, _NOTHING) if isinstance(table, dict) else _NOTHING
        try:
            if text is not None:
                return Effective(setting, self._resolved(setting, setting.kind.from_text(text)), "environment")
            if inside is not _NOTHING:
                return Effective(setting, self._resolved(setting, setting.kind.from_toml(inside)), "file")
            if setting.default is None:
                raise ValueError("is missing")
            value = self._resolved(setting, setting.kind.from_toml(setting.default))
            return Effective(setting, value, "default")
        except ValueError as error:
            variable = "" if text is None else setting.environment
            self._add(setting.name, str(error), f"it takes {setting.kind.takes}", variable)
            return Effective(setting, None, "file")

    def _resolved(self, setting: Setting, value: Any) -> Any:
        """Make a path absolute, and see that a file that must be there is there and readable."""
        if not isinstance(value, Path):
            return value
        path = Path(os.path.abspath(self.file.parent / value.expanduser()))
        if setting.kind.must_exist and not path.is_file():
            raise ValueError(f"there is no file {path}")
        if setting.kind.must_exist and not os.access(path, os.R_OK):
            raise ValueError(f"{path} cannot be read by this user")
        return path


def _known(word: str, words: Iterable[str], form: str, where: str = "") -> str:
    """Say which words there are; the nearest first, where one is near."""
    words = list(words)
    near = difflib.get_close_matches(word, words, 1)
    meant = f"did you mean {form.format(near[0])}? " if near else ""
    return f"{meant}known{where} are {', '.join(form.format(known) for known in words)}"
