"""What the values of a configuration can be: each kind reads TOML and environment text. Pure."""

from __future__ import annotations

import ipaddress
import json
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from raftstore import paths
from raftstore.errors import BadName
from raftstore.util.addresses import HOST, Address
from raftstore.util.networks import Network

_URL = re.compile(r"https?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?/?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


class Member(NamedTuple):
    """A node of the cluster and where the others reach it."""

    name: str
    address: Address


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is read (ValueError says what is wrong) and, in words, what it takes."""

    takes: str
    from_toml: Callable[[Any], Any]
    from_text: Callable[[str], Any]
    must_exist: bool = False


def toml(value: object) -> str:
    """Write a value of a file: text, number or boolean."""
    if isinstance(value, str | bool | int):
        return json.dumps(value, ensure_ascii=False)
    raise TypeError(f"no TOML for {value!r}")


def comment(text: str) -> list[str]:
    """Return `text` as wrapped comment lines."""
    return [f"# {line}" for line in textwrap.wrap(text, 98)]


def _text(parse: Callable[[str], Any], takes: str, *, must_exist: bool = False) -> Kind:
    """Make a kind that is text in a file as in the environment."""

    def from_toml(value: object) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"must be text in quotes, is {value!r}")
        return parse(value)

    return Kind(takes, from_toml, parse, must_exist)


def check_name(text: str) -> str:
    """Return `text` if it can name a node or cluster (it goes into certificates); else raise ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a usable name")
    return text


def _name_or_empty(text: str) -> str:
    return check_name(text) if text else text


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("is empty")
    return Path(text)


def _port_range(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text, re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not first-last")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"{text!r} is not a range of ports")
    return first, last


def _host_or_empty(text: str) -> str:
    if text and not HOST.fullmatch(text):
        raise ValueError(f"{text!r} is not a host")
    return text


def _url_or_empty(text: str) -> str:
    if text and not _URL.fullmatch(text):
        raise ValueError(f"{text!r} is not http:// or https:// with a host, and perhaps a port")
    return text.rstrip("/").lower()


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(word.strip()) for word in text.split(",") if word.strip())


def _patterns(text: str) -> tuple[str, ...]:
    patterns = tuple(word.strip() for word in text.split(",") if word.strip())
    if any("/" in pattern for pattern in patterns):
        raise ValueError("a name has no /")
    return patterns


def _store_path(text: str) -> str:
    try:
        paths.split(normal := paths.join("/", text))
    except BadName as error:
        raise ValueError(f"{text!r} is not a directory of the store: {error.detail}") from None
    return normal


def _members(value: object) -> tuple[Member, ...]:
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        raise ValueError("must be [[cluster.members]] tables")
    return _checked_members([_member(table) for table in value])


def _member(table: dict[str, object]) -> Member:
    name, address = table.get("name"), table.get("address")
    if set(table) != {"name", "address"} or not isinstance(name, str) or not isinstance(address, str):
        raise ValueError(f"each has a name and an address, both text, and nothing else; this one is {table!r}")
    return Member(check_name(name), Address.parse(address))


def _members_text(text: str) -> tuple[Member, ...]:
    pairs = [pair.strip().partition("=") for pair in text.split(",") if pair.strip()]
    return _checked_members([Member(check_name(name), Address.parse(address)) for name, _, address in pairs])


def _checked_members(members: list[Member]) -> tuple[Member, ...]:
    if not members:
        raise ValueError("names no node")
    for what in ("name", "address"):
        values = [str(getattr(member, what)) for member in members]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"the {what} {twice[0]} is there twice")
    return tuple(members)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, is {value!r}")
    return value


def _boolean_text(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in words:
        raise ValueError(f"must be true or false, is {text!r}")
    return words[text.lower()]


def integer(least: int, most: int) -> Kind:
    """Make the kind of a whole number between `least` and `most`."""

    def from_toml(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"must be a whole number, is {value!r}")
        if not least <= value <= most:
            raise ValueError(f"{value} is out of range")
        return value

    def from_text(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise ValueError(f"must be a whole number, is {text!r}")
        return from_toml(int(text))

    return Kind(f"a whole number, {least} to {most}", from_toml, from_text)


def choice(*words: str) -> Kind:
    """Make the kind of one word out of `words`."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is not one of them")
        return text

    return _text(parse, " or ".join(f'"{word}"' for word in words))


ADDRESS = _text(Address.parse, 'an address, "host:port"')
ADDRESS_OR_EMPTY = _text(lambda text: Address.parse(text) if text else None, 'an address, "host:port", or ""')
NAME = _text(check_name, "a name of at most 63 letters, digits, dots, - and _")
NAME_OR_EMPTY = _text(_name_or_empty, 'a name of at most 63 letters, digits, dots, - and _, or ""')
PATH = _text(_path, "a path, absolute or relative to this file")
FILE = _text(_path, "the path of a file, absolute or relative to this file", must_exist=True)
FILE_OR_EMPTY = _text(
    lambda text: _path(text) if text else None,
    'the path of a file, absolute or relative to this file, or ""',
    must_exist=True,
)
PATH_OR_EMPTY = _text(
    lambda text: _path(text) if text else None, 'a path, absolute or relative to this file, or ""'
)
STORE_PATH = _text(_store_path, "a directory of the store, from /")
HOST_OR_EMPTY = _text(_host_or_empty, 'a host name or IP address, or ""')
PATTERNS = _text(_patterns, 'names with * and ? for what may be there, as "*.part, .*", or ""')
URL_OR_EMPTY = _text(_url_or_empty, 'a URL without a path, "https://pictures.example.org", or ""')
NETWORKS = _text(_networks, 'networks as "192.0.2.0/24, 2001:db8::/64", or ""')
PORT_RANGE = _text(_port_range, 'ports as "first-last", or ""')
BOOLEAN = Kind("true or false", _boolean, _boolean_text)
MEMBERS = Kind("at least one [[cluster.members]] table with `name` and `address`", _members, _members_text)
