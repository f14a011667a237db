"""`pixraft completion`: what makes a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ftpgateway.cli import output

SHELLS = ("bash", "zsh", "fish")

EXAMPLES = """
pixraft completion bash > ~/.local/share/bash-completion/completions/pixraft
pixraft completion zsh > ~/.zfunc/_pixraft   (fpath+=~/.zfunc before compinit)
pixraft completion fish > ~/.config/fish/completions/pixraft.fish
eval "$(pixraft completion bash)"
"""


@output.command("completion", EXAMPLES)
@click.argument("shell", type=click.Choice(SHELLS))
@output.output_option
def command(shell: str, form: str) -> None:
    """Print a script with which a shell completes commands, options and their values.

    Put it where the shell looks for such scripts, or evaluate it where the shell starts. Bash has to be 4.4 or newer.
    The script asks pixraft itself, so that it stays right after an upgrade.
    """
    script = completion_script(shell)
    if form == "json":
        output.print_json({"shell": shell, "script": script})
    else:
        click.echo(script)


def completion_script(shell: str) -> str:
    """Return click's script for `shell`."""
    from ftpgateway.cli.main import group

    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(group, {}, "pixraft", "_PIXRAFT_COMPLETE")
    return made.source_template % made.source_vars()
