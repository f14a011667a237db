"""The old scp's command lines and messages: read byte by byte, and whatever is sent."""

from __future__ import annotations

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from ftpgateway.sftp.scp import messages
from ftpgateway.sftp.scp.messages import (
    LATEST,
    Answer,
    BadScp,
    Command,
    Data,
    Directory,
    Event,
    Failure,
    File,
    Left,
    Receiver,
    Sent,
    Times,
    answer,
    is_scp,
    parse_command,
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"scp -t .", Command(True, (".",))),
        (b"scp -t ''", Command(True, (".",))),
        (b"scp -v -r -p -d -t -- -x", Command(True, ("-x",), True, True, True)),
        (b"scp -prf a 'b c' d\\ e", Command(False, ("a", "b c", "d e"), True, True)),
        (b"/usr/bin/scp -f ~/a *.jpg ~", Command(False, ("/a", "*.jpg", "/"))),
        ("scp -f ü".encode(), Command(False, ("ü",))),
        (b"scp -f \xff", Command(False, ("\udcff",))),
    ],
)
def test_command_lines(line: bytes, expected: Command) -> None:
    assert is_scp(line)
    assert parse_command(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"scp",
        b"scp x",
        b"scp -t",
        b"scp -f",
        b"scp -t a b",
        b"scp -tf a",
        b"scp -x -t a",
        b"scp -t 'a",
        b"scp -t a\0b",
    ],
)
def test_command_lines_that_are_none(line: bytes) -> None:
    with pytest.raises(BadScp):
        parse_command(line)


def test_what_is_no_scp() -> None:
    for line in (b"", b"ls", b"scpx -t a", b"echo scp", b"sh -c 'scp -t a'", b"scp;ls"):
        assert not is_scp(line)


def events(data: bytes, size: int = 1 << 20) -> list[Event]:
    """Return what is said, to who takes everything; `size` bytes come at a time."""
    receiver, found, here = Receiver(), [], b""
    left = data
    while True:
        count, event = receiver.step(memoryview(here))
        here = here[count:]
        if event is not None:
            found.append(event)
            if isinstance(event, File | Directory):
                receiver.accept()
        elif left:
            here, left = here + left[:size], left[size:]
        else:
            return found


@pytest.mark.parametrize("late", [LATEST, LATEST + 1, 10**11, 999_999_999_999])
def test_times_later_than_a_file_can_have_are_the_latest(late: int) -> None:
    assert events(b"T%d 0 5 0\n" % late) == [Times(LATEST)]
    assert LATEST * 10**9 < 2**63 <= (LATEST + 1) * 10**9


TREE = b"T5 0 6 0\nD0755 0 d e\nC0644 3 x\nabc\0C0600 0 y\n\0E\n\1no z\nC0644 2 w\nab\1no more\n\2over\n"
SAID: list[Event] = [
    Times(5),
    Directory("d e"),
    File("x", 3),
    Data(3),
    Sent(""),
    File("y", 0),
    Sent(""),
    Left(),
    Failure("no z", False),
    File("w", 2),
    Data(2),
    Sent("no more"),
    Failure("over", True),
]


def test_a_tree() -> None:
    assert events(TREE) == SAID


def test_the_same_byte_by_byte() -> None:
    assert [event for event in events(TREE, 1) if not isinstance(event, Data)] == [
        event for event in SAID if not isinstance(event, Data)
    ]


def test_what_is_not_accepted_has_no_bytes() -> None:
    receiver = Receiver()
    data = memoryview(b"C0644 3 x\nD0755 0 d\nC0644 1 y\n")
    for expected in (File("x", 3), Directory("d"), File("y", 1)):
        count, event = receiver.step(data)
        assert event == expected
        data = data[count:]
    assert receiver.between


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"E\n",
        b"X0644 1 a\n",
        b"C0644 1 ..\n",
        b"C0644 1 .\n",
        b"C0644 1 a/b\n",
        b"C0644 1 a\0b\n",
        b"C0644 1 \n",
        b"C0644 x a\n",
        b"C0644 -1 a\n",
        b"C0644 " + b"9" * 20 + b" a\n",
        b"C9644 1 a\n",
        b"T1 0 1\n",
        b"T" + b"9" * 13 + b" 0 1 0\n",
        b"x" * (messages.MAX_LINE + 1),
        b"C0644 1 a\nxx\n",
        b"D0755 0 d\n" * (messages.MAX_DEPTH + 1),
    ],
)
def test_what_is_against_the_protocol(data: bytes) -> None:
    for size in (1, 1 << 20):
        with pytest.raises(BadScp):
            events(data, size)


parts = st.one_of(
    st.sampled_from(
        [
            b"C0644 3 a\n",
            b"abc\0",
            b"\0",
            b"D0755 0 d\n",
            b"E\n",
            b"T1 0 1 0\n",
            b"\1x\n",
            b"C0644 0 a\n",
            b"\n",
        ]
    ),
    st.binary(max_size=8),
)


@examples(300)
@given(st.lists(parts, max_size=12).map(b"".join), st.integers(1, 7))
def test_whatever_is_sent_is_read_or_refused_alike_in_any_pieces(data: bytes, size: int) -> None:
    def said(pieces: int) -> list[object]:
        found: list[object] = []
        try:
            total = 0
            for event in events(data, pieces):
                if isinstance(event, Data):
                    total += event.count
                else:
                    found.append(event)
            found.append(total)
        except BadScp as error:
            return [str(error)]
        return found

    whole = said(1 << 20)
    assert said(size) == whole
    names = [event.name for event in whole if isinstance(event, File | Directory)]
    assert not any("/" in name or "\n" in name or name in ("", ".", "..") for name in names)


def test_answers() -> None:
    assert answer(memoryview(b"")) == (0, None)
    assert answer(memoryview(b"\0x")) == (1, Answer())
    assert answer(memoryview(b"\1no")) == (0, None)
    assert answer(memoryview(b"\1no\nx")) == (4, Answer("no"))
    assert answer(memoryview(b"\2\n")) == (2, Answer("no", True))
    for wrong in (b"x", b"\n", b"\1" + b"x" * messages.MAX_LINE):
        with pytest.raises(BadScp):
            answer(memoryview(wrong))


def test_what_is_said() -> None:
    assert messages.times(-1) == b"T0 0 0 0\n"
    assert messages.begin_file("ü b", 5) == "C0644 5 ü b\n".encode()
    assert messages.begin_directory("d") == b"D0755 0 d\n"
    assert messages.error("a\nb") == b"\1scp: a b\n"
    assert messages.error("x", fatal=True) == b"\2scp: x\n"
