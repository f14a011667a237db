"""Names and texts that come from others: which new names are refused, and how those are shown that are there."""

from __future__ import annotations

import io
import json
import re

import pytest
import structlog

from ftpgateway.cli import logs
from ftpgateway.node.config.log import LogSettings
from raftstore import paths
from raftstore.errors import BadName

HOSTILE = "\x1b]0;x\x07 \x9b2J \u202egpj.exe \u2028 \udce4 \ufeff"
"""What terminals obey, ends of lines, and a byte of a client that is no UTF-8."""


@pytest.mark.parametrize("form", ["text", "json", "terminal"])
def test_nothing_in_a_line_is_obeyed_by_a_terminal(form: str) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return form == "terminal"

    stream = Stream()
    before = structlog.get_config()
    try:
        logs.configure(LogSettings(format="json" if form == "json" else "text"), stream)
        log = structlog.get_logger()
        log.info("login refused", user=HOSTILE)
        log.warning(HOSTILE, library="paramiko")
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("failed")
    finally:
        structlog.configure(**before)
    reported = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue()) if form == "terminal" else stream.getvalue()
    lines = reported.splitlines()
    assert len(lines) > 3 if form != "json" else len(lines) == 3
    assert all(line.isprintable() for line in reported.split("\n")), reported
    if form == "json":
        assert json.loads(lines[0])["user"] == HOSTILE, "and nothing is lost"
        assert json.loads(lines[1])["event"] == HOSTILE


@pytest.mark.parametrize(
    "character",
    [
        *("\x80", "\x85", "\x9b", "\x9f", "\u061c", "\u200b", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a"),
        *("\u202e", "\u2060", "\u2066", "\u2069", "\u206f", "\ufeff", "\ufff9", "\ufffe", "\uffff", "\udc80"),
    ],
)
def test_what_controls_or_hides_text_is_in_no_new_name(character: str) -> None:
    for name in (f"a{character}b", character, f"{character}a", f"a{character}"):
        with pytest.raises(BadName, match=f"U\\+{ord(character):04X}"):
            paths.check_new(f"/d/{name}")
    paths.check_new(f"/{character}/below is as it was")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "a",
            "Fähre.jpg",
            "a b ",
            "写真.jpg",
            "می\u200cخواهم",
            "👩\u200d👩\u200d👧.png",
            "क\u094d\u200dष",
            "❤\ufe0f",
            "\u00a0",
        ),
        *("\u2027", "\u202f", "\u00a0", "~", "\u00a1", "\ue000", "#$&*?[]|", "-rf"),
    ],
)
def test_names_of_all_languages_are_taken(name: str) -> None:
    paths.check_new(f"/d/{name}")
    paths.check_name(name)


def test_names_that_came_before_can_be_used() -> None:
    for name in ("\u202e", "\x85", "\u2028"):
        paths.check_name(name)
        assert paths.split(f"/{name}") == [name]


def test_what_is_shown_is_printable_and_tells_all() -> None:
    assert paths.shown("Fähre 1.jpg") == "Fähre 1.jpg"
    assert paths.shown(HOSTILE).isprintable()
    assert paths.shown("\x1b \x9b \u202e \udce4 \U000e0001") == r"\x1b \x9b \u202e \udce4 \U000e0001"
    assert paths.shown_lines("a\x07\n\tb") == "a\\x07\n\\x09b"
    document = paths.shown_json(json.dumps({"name": HOSTILE + "\U000e0001é"}, ensure_ascii=False))
    assert document.isprintable() and "é" in document
    assert json.loads(document) == {"name": HOSTILE + "\U000e0001é"}
