"""The manual and the completion of shells: all commands and options, as text that is no request."""

from __future__ import annotations

import json

import click
import pytest
from commandline import pixraft

from ftpgateway.cli import manpages
from ftpgateway.cli.local.completion import SHELLS
from ftpgateway.cli.main import find_commands
from ftpgateway.cli.output import PixraftCommand

PAGES = manpages.manual()


def test_there_is_a_page_for_each_command_with_all_beneath() -> None:
    assert set(PAGES) == {"pixraft.1", *(f"pixraft-{name}.1" for name in find_commands())}
    for name in find_commands():
        assert f"\\fBpixraft\\-{name.replace('-', chr(92) + '-')}\\fR(1)" in PAGES["pixraft.1"]
    users = PAGES["pixraft-user.1"]
    for inner in ("user add", "user key list", "user unblock"):
        assert f'.SH "pixraft {inner}"' in users
    assert "\\-\\-cluster PATH" in users and "pixraft user set anna \\-\\-disable" in users
    assert PAGES["pixraft.1"].count(".TP") > len(find_commands()) + 30  # exit codes and variables, too


def test_texts_are_kept_from_being_requests() -> None:
    @click.command("x", cls=PixraftCommand, examples=".hidden --a\n'quoted'")
    @click.option("--path", help="A \\back and `code`.")
    def command(path: str) -> None:
        """Does it. And more.

        .PP is no request, `--path` is bold.

        \b
        kept
        lines
        """

    page = "\n".join(manpages._command_page(command, click.Context(command, info_name="x")))
    assert "x \\- Does it\n" in page
    assert "\\&.PP is no request, \\fB\\-\\-path\\fR is bold." in page
    assert "\\&.hidden \\-\\-a\n\\&'quoted'" in page
    assert "A \\eback and \\fBcode\\fR." in page
    assert ".nf\nkept\nlines\n.fi" in page


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_of_all_shells(shell: str) -> None:
    script = pixraft("completion", shell)
    assert script.exit_code == 0 and "_PIXRAFT_COMPLETE" in script.stdout
    assert json.loads(pixraft("completion", shell, "-o", "json").stdout)["script"] == script.stdout[:-1]
