"""The file that says since when a node is a member: read as 0 by mistake, it ended the node for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftstore.cluster.membership.service import JOINED, _read_number
from raftstore.errors import Damaged, DiskFailed


def test_it_is_read(tmp_path: Path) -> None:
    assert _read_number(tmp_path / JOINED) == 0
    (tmp_path / JOINED).write_text("17\n")
    assert _read_number(tmp_path / JOINED) == 17


def test_no_right_to_read_is_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refused)  # root may read everything
    with pytest.raises(DiskFailed, match=r"this user cannot read it; give the data directory .* \(chown -R\)"):
        _read_number(tmp_path / JOINED)


def test_neither_is_another_failure_or_something_else(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(DiskFailed, match="Is a directory"):
        _read_number(tmp_path / "directory")
    (tmp_path / JOINED).write_bytes(b"\0\0")
    with pytest.raises(Damaged, match="should hold a number"):
        _read_number(tmp_path / JOINED)
