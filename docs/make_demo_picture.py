"""Draw docs/demo.svg: what `pixraft demo` prints on a terminal. Runs the demo; needs its ports, and half a minute.

Run from the project's directory: .venv/bin/python docs/make_demo_picture.py
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import signal
import struct
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

TARGET = Path(__file__).resolve().parent / "demo.svg"
COLUMNS = 100
ROWS = 60
COMMAND = "import sys; sys.argv = ['pixraft', 'demo']; from ftpgateway.cli import main; main()"
SHOWN_STATUS = 3
"""The last status is taken once so many have been drawn."""

# Rich's own frame without the font that it would have browsers load from the network.
FRAME = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
  line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def recorded() -> str:
    """Run the demo on a terminal of its own; return what it wrote once its live status stands."""
    child, terminal = pty.fork()
    if not child:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(ROWS))
        os.execv(sys.executable, [sys.executable, "-c", COMMAND])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    written = bytearray()
    ended = False
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        written += data
        if not ended and written.count(b"nodes reachable") >= SHOWN_STATUS:
            os.kill(child, signal.SIGINT)
            ended = True
    os.waitpid(child, 0)
    return written.decode("utf-8")


def screen(written: str) -> list[str]:
    """Return the lines that a person sees in the end: each drawing over the lines before it takes their place."""
    lines: list[str] = [""]
    for part in re.split(r"(\x1b\[\d*A|\x1b\[2K|\r\n|\n|\r)", written):
        if up := re.fullmatch(r"\x1b\[(\d*)A", part):
            del lines[max(1, len(lines) - int(up[1] or 1)) :]
        elif part == "\x1b[2K":
            lines[-1] = ""
        elif part in ("\r\n", "\n"):
            lines.append("")
        elif part != "\r":
            lines[-1] += re.sub(r"\x1b\[\?\d+[hl]", "", part)
    return lines


def main() -> int:
    """Write the picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("$ make demo"))
    for line in screen(recorded())[:-1]:
        console.print(Text.from_ansi(line.rstrip()), overflow="crop", no_wrap=True)
    TARGET.write_text(
        console.export_svg(title="pixraft", code_format=FRAME, unique_id="demo"), encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
