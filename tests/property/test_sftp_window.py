"""Writes in any order within reach give the file that they would give on a disk; others are refused."""

from __future__ import annotations

import pytest
from examples import examples
from ftpgateway.sftp.window import Window
from hypothesis import given
from hypothesis import strategies as st

from raftstore.errors import Invalid

REACH, AHEAD, PASS_ON = 16, 24, 8


@examples(100)
@given(
    start=st.integers(0, 5),
    writes=st.lists(st.tuples(st.integers(-20, 30), st.binary(max_size=20), st.booleans()), max_size=30),
)
def test_the_window_is_a_file(start: int, writes: list[tuple[int, bytes, bool]]) -> None:
    window = Window(start, reach=REACH, ahead=AHEAD, pass_on=PASS_ON)
    disk, there, passed = bytearray(start), [True] * start, bytearray(start)
    for step, data, fetch in writes:
        offset = max(0, window.end + step)
        try:
            window.write(offset, data)
        except Invalid:
            assert offset < len(passed) or (offset > window.end and offset + len(data) > window.end + AHEAD)
            continue
        if data:
            disk.extend(bytes(max(0, offset + len(data) - len(disk))))
            there.extend([False] * (len(disk) - len(there)))
            disk[offset : offset + len(data)] = data
            there[offset : offset + len(data)] = [True] * len(data)
        if fetch:
            for part in window.ready():
                passed += part
            assert window.end - len(passed) < REACH + PASS_ON
        assert window.end == (there.index(False) if False in there else len(there))
    whole = False not in there
    if whole:
        window.check_whole()
    else:
        with pytest.raises(Invalid):
            window.check_whole()
    for part in window.rest():
        passed += part
    assert passed == disk[: window.end]
    assert len(passed) == len(disk) or not whole
