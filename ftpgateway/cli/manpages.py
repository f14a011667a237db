"""The manual: a page for `pixraft` and for each of its commands, from the same source as `--help`. Pure.

It is written here and not by click-man, which knows nothing of examples and makes a page of each of a group's commands.
Language: man(7). Options, texts and examples are those that click shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from ftpgateway.cli.errors import exit_codes
from ftpgateway.cli.main import group
from ftpgateway.cli.output import PixraftCommand

FOLDER = "man"

_CODE = re.compile(r"`([^`]+)`")
_SEE_ALSO = "docs/operating.md, docs/configuration.md, docs/cli.md"


def manual() -> dict[str, str]:
    """Return the texts of all pages, by file name."""
    context = click.Context(group, info_name="pixraft", **group.context_settings)
    names = group.list_commands(context)
    pages = {"pixraft.1": _page("pixraft", [*_whole(context, names)])}
    for name in names:
        command = group.get_command(context, name)
        if command is not None:
            inner = click.Context(command, info_name=name, parent=context)
            pages[f"pixraft-{name}.1"] = _page(f"pixraft-{name}", [*_command_page(command, inner)])
    return pages


def _page(name: str, lines: list[str]) -> str:
    head = ['.\\" Made by `make docs` from the program; a test fails when it is stale.']
    title = f'.TH "{_escaped(name).upper()}" "1" "" "pixraft" "pixraft manual"'
    return "\n".join([*head, title, ".nh", *lines]) + "\n"


def _whole(context: click.Context, names: list[str]) -> Iterator[str]:
    """Yield what the page of pixraft itself has."""
    yield from (".SH NAME", r"pixraft \- a cluster of FTP servers in front of one replicated picture store")
    yield from (".SH SYNOPSIS", r"\fBpixraft\fR \fICOMMAND\fR [\fIOPTIONS\fR] [\fIARGUMENTS\fR]")
    yield ".SH DESCRIPTION"
    yield from _text(group)
    yield ".SH COMMANDS"
    for name in names:
        command = group.get_command(context, name)
        if command is not None:
            yield from (".TP", f"\\fBpixraft\\-{_escaped(name)}\\fR(1)", _inline(_first_sentence(command)))
    yield ".SH ENVIRONMENT"
    for variable, meaning in (
        (
            "PIXRAFT_CLUSTER",
            "The directory that `pixraft init` made, or the admin's bundle out of it: as --cluster.",
        ),
        ("PIXRAFT_CONFIG", "The configuration file of a node, or of an admin's bundle: as --config."),
        ("PIXRAFT_SECTION_KEY", "Of a node, any key of its configuration: PIXRAFT_FTP_LISTEN is ftp.listen."),
    ):
        yield from (".TP", f"\\fB{variable}\\fR", _inline(meaning))
    yield ".SH EXIT STATUS"
    for code, name, meaning in exit_codes():
        yield from (".TP", f"\\fB{code}\\fR", _inline(f"{name}: {meaning}" if name else meaning))
    yield from (".SH SEE ALSO", _inline(_SEE_ALSO))


def _command_page(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield what the page of one command has, with those beneath it."""
    name = context.command_path
    short = _inline(_first_sentence(command)).rstrip(".")
    yield from (".SH NAME", f"{_escaped(name.replace(' ', '-'))} \\- {short}")
    yield ".SH SYNOPSIS"
    beneath = list(_beneath(command, context))
    for each, its_context in beneath:
        yield from (_synopsis(each, its_context), ".br")
    yield ".SH DESCRIPTION"
    yield from _text(command)
    for each, its_context in beneath:
        if each is not command:
            yield f'.SH "{_escaped(its_context.command_path)}"'
            yield from _text(each)
        yield from _options(each, its_context, heading=".SH OPTIONS" if each is command else ".SS Options")
        if isinstance(each, PixraftCommand) and each.examples:
            yield from (".SH EXAMPLES" if each is command else ".SS Examples", ".nf")
            yield from (_guarded(_escaped(line.strip())) for line in each.examples.strip().splitlines())
            yield ".fi"
    yield from (".SH SEE ALSO", r"\fBpixraft\fR(1)")


def _beneath(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield the commands that can be given: the command itself, or all of a group."""
    if not isinstance(command, click.Group):
        yield command, context
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is not None and not inner.hidden:
            yield from _beneath(inner, click.Context(inner, info_name=name, parent=context))


def _synopsis(command: click.Command, context: click.Context) -> str:
    pieces = " ".join(_escaped(piece) for piece in command.collect_usage_pieces(context))
    return f"\\fB{_escaped(context.command_path)}\\fR {pieces}"


def _options(command: click.Command, context: click.Context, heading: str) -> Iterator[str]:
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    records = [record for each in options if (record := each.get_help_record(context))]
    if records:
        yield heading
    for option, text in records:
        yield from (".TP", f"\\fB{_escaped(option)}\\fR", _inline(text))


def _first_sentence(command: click.Command) -> str:
    first = " ".join((command.help or "").split("\n\n")[0].split())
    return first.partition(". ")[0].removesuffix(".") + "."


def _text(command: click.Command) -> Iterator[str]:
    """Yield the paragraphs of a help text; one after \\b keeps its lines, as click has it."""
    for number, paragraph in enumerate((command.help or "").strip().split("\n\n")):
        if number:
            yield ".PP"
        if paragraph.lstrip().startswith("\b"):
            yield ".nf"
            yield from (_inline(line.strip()) for line in paragraph.lstrip().splitlines()[1:])
            yield ".fi"
        else:
            yield _inline(" ".join(paragraph.split()))


def _inline(text: str) -> str:
    """Return a text for man, with what stands in backquotes in bold."""
    return _guarded(_CODE.sub(r"\\fB\1\\fR", _escaped(text)))


def _guarded(line: str) -> str:
    """Have a line that begins with a control character be text."""
    return f"\\&{line}" if line.startswith((".", "'")) else line


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("\x08", "")
