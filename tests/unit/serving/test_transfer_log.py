"""Logs in files: what xferlog lines look like to those who read them, and rotation under the writer's hands."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from waiting import DEADLINE, eventually

from ftpgateway.serving.logs import logfile
from ftpgateway.serving.logs.logfile import AppendedFile
from ftpgateway.serving.logs.transferlog import TransferLog, Transferred, xferlog_line

# Field by field what xferlog(5) says.
XFERLOG = re.compile(
    r"(?P<when>(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d\d "
    r"\d\d:\d\d:\d\d \d{4}) (?P<seconds>\d+) (?P<host>\S+) (?P<size>\d+) (?P<path>\S+) (?P<type>[ab]) "
    r"(?P<action>[CUT_]) (?P<direction>[iod]) (?P<access>[agr]) (?P<user>\S+) (?P<service>\S+) "
    r"(?P<auth>[01]) (?P<identity>\S+) (?P<status>[ci])"
)

MOMENT = time.gmtime(1_700_000_000)
ENTRY = Transferred(
    ended=1_700_000_000.0,
    seconds=1.6,
    host="192.0.2.7",
    size=1234,
    path="/anna/picture.jpg",
    upload=True,
    complete=True,
    user="anna",
)


def entry(**changes: Any) -> Transferred:
    return ENTRY._replace(**changes)


def test_a_line_as_others_write_it() -> None:
    assert xferlog_line(ENTRY, MOMENT) == (
        "Tue Nov 14 22:13:20 2023 2 192.0.2.7 1234 /anna/picture.jpg b _ i r anna ftp 0 * c"
    )
    other = entry(
        upload=False, complete=False, anonymous=True, user="anonymous", service="sftp", host="2001:db8::1"
    )
    assert xferlog_line(other, MOMENT) == (
        "Tue Nov 14 22:13:20 2023 2 2001:db8::1 1234 /anna/picture.jpg b _ o a anonymous sftp 0 * i"
    )


@examples(100)
@given(path=st.text(), user=st.text(), size=st.integers(0, 2**63), seconds=st.floats(-5, 1e9))
@pytest.mark.slow
def test_no_name_breaks_a_line(path: str, user: str, size: int, seconds: float) -> None:
    line = xferlog_line(entry(path=path, user=user, size=size, seconds=seconds), MOMENT)
    fields = XFERLOG.fullmatch(line)
    assert fields is not None, line
    assert line.isprintable() or not line.isascii()
    assert line.splitlines() == [line]
    assert len(line.split(" ")) == 18
    assert len(fields["path"]) == max(1, len(path))
    line.encode()


def wait_for_lines(path: Path, count: int) -> list[str]:
    def lines() -> list[str]:
        found = path.read_text().splitlines()
        return found if len(found) >= count else []

    return eventually(lines, DEADLINE)


def test_written_by_a_thread_and_reopened_after_rotation(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "xferlog"
    transfers = TransferLog(AppendedFile(path))
    transfers.record(entry(path="/one"))
    wait_for_lines(path, 1)
    path.rename(tmp_path / "old")
    transfers.reopen()
    transfers.record(entry(path="/two"))
    assert " /two " in wait_for_lines(path, 1)[0]
    os.truncate(path, 0)  # logrotate's copytruncate
    transfers.record(entry(path="/three"))
    transfers.close()
    assert [XFERLOG.fullmatch(line)["path"] for line in path.read_text().splitlines()] == ["/three"]  # type: ignore[index]
    assert transfers.dropped == 0


def test_what_comes_too_fast_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    gate = threading.Event()
    file = AppendedFile(tmp_path / "xferlog")
    write = file.write

    def slow(text: str) -> None:
        gate.wait(30)
        write(text)

    monkeypatch.setattr(file, "write", slow)
    transfers = TransferLog(file, limit=5)
    for _ in range(300):
        transfers.record(ENTRY)
    gate.set()
    transfers.close()
    written = len((tmp_path / "xferlog").read_text().splitlines())
    assert transfers.dropped > 0
    assert written + transfers.dropped == 300


def test_a_name_that_leads_elsewhere_is_noticed_without_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "CHECK_EVERY", 0.0)
    file = AppendedFile(tmp_path / "log")
    file.write("one\n")
    (tmp_path / "log").rename(tmp_path / "log.1")
    file.write("two \udcff\n")
    assert (tmp_path / "log").read_text() == "two \\udcff\n"
    (tmp_path / "log").unlink()
    file.write("three\n")
    file.close()
    assert (tmp_path / "log").read_text() == "three\n"
    assert (tmp_path / "log.1").read_text() == "one\n"
    assert (tmp_path / "log").stat().st_mode & 0o7777 == 0o640 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_disk_that_fails_ends_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = AppendedFile(Path("/dev/full"))
    file.write("lost\n")
    file.write("lost, too\n")
    file.close()
    assert file.dropped == 2
    assert capsys.readouterr().err.count("lines are dropped") == 1
