"""The table of commands: each is declared where it is written, with `command`.

Who may send it, what argument it takes, HELP's text and the page docs/ftp-compatibility.md all come from the
declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command. `argument` None: it may have one. `right`: letters of which its user needs one, "" for none."""

    name: str
    method: str
    does: str
    source: str = "RFC 959"
    syntax: str = ""
    argument: bool | None = False
    right: str = ""
    login: bool = True
    tls: bool = False
    """Known only where the server has a certificate."""

    @property
    def help(self) -> str:
        """One line: how it is written and what it does."""
        return f"Syntax: {f'{self.name} {self.syntax}'.strip()} ({self.does})."


TABLE: dict[str, Command] = {}
"""All commands by name; those of SITE by `SITE <name>`."""


def command(
    name: str,
    does: str,
    *,
    source: str = "RFC 959",
    syntax: str = "",
    argument: bool | None = None,
    right: str = "",
    login: bool = True,
    tls: bool = False,
    also: Sequence[str] = (),
) -> Callable[[_Handler], _Handler]:
    """Declare the method below as the command `name`, and under the older names in `also`.

    Without `argument`: none is taken where the syntax has none, any where it is [optional], else one is needed.
    """
    if argument is None and (not syntax or not syntax.startswith("[")):
        argument = bool(syntax)

    def declare(handler: _Handler) -> _Handler:
        declared = Command(
            name=name,
            method=handler.__name__,
            does=does,
            source=source,
            syntax=syntax,
            argument=argument,
            right=right,
            login=login,
            tls=tls,
        )
        TABLE[name] = declared
        for older in also:
            TABLE[older] = replace(declared, name=older, does=f"{name}, by another name")
        return handler

    return declare


def known(*, tls: bool) -> dict[str, Command]:
    """Return the commands that a session knows, with or without a certificate."""
    return {name: found for name, found in TABLE.items() if tls or not found.tls}
