"""Forms with files, in every way that their bytes can be cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftpgateway.web.http.multipart import (
    HEAD_BYTES,
    MOST_PARTS,
    BadForm,
    FormReader,
    PartBegins,
    PartData,
    PartEnds,
    base_name,
    boundary_of,
)


def encoded(boundary: str, *parts: tuple[str, str | None, bytes]) -> bytes:
    text = b""
    for name, filename, data in parts:
        more = f'; filename="{filename}"' if filename is not None else ""
        text += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n'.encode()
        text += b"Content-Type: image/jpeg\r\n\r\n" + data + b"\r\n"
    return text + f"--{boundary}--\r\n".encode()


def decoded(boundary: bytes, pieces: list[bytes]) -> list[tuple[str, str | None, bytes]]:
    reader = FormReader(boundary)
    found: list[tuple[str, str | None, bytes]] = []
    for piece in pieces:
        for event in reader.feed(piece):
            if isinstance(event, PartBegins):
                found.append((event.name, event.filename, b""))
            elif isinstance(event, PartData):
                name, filename, data = found[-1]
                found[-1] = (name, filename, data + event.data)
            else:
                assert isinstance(event, PartEnds)
    assert reader.ended
    return found


PARTS = [("file", "a.jpg", b"\xff\xd8\xff\r\n--b\r\n\r\n--boundar"), ("file", "", b""), ("note", None, b"\r\n")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_bytes_may_come_in_pieces_of_any_size(size: int) -> None:
    body = encoded("boundary", *PARTS)
    assert decoded(b"boundary", [body[at : at + size] for at in range(0, len(body), size)]) == PARTS


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_what_is_written_is_read(contents: list[bytes], size: int) -> None:
    parts = [("file", f"{number}.jpg", data) for number, data in enumerate(contents) if b"--q" not in data]
    body = b"preamble\r\n" + encoded("q", *parts) + b"epilogue"
    assert decoded(b"q", [body[at : at + size] for at in range(0, len(body), size)]) == parts


@pytest.mark.parametrize(
    "body",
    [
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--",
        b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--",
        b"--bx\r\n",
        b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--',
        b"--b\r\n" + b"X-Y: z\r\n" * HEAD_BYTES,
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * (MOST_PARTS + 1),
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(BadForm):
        list(FormReader(b"b").feed(body))


def test_no_more_is_held_than_a_boundary() -> None:
    reader = FormReader(b"b")
    list(reader.feed(b'--b\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n'))
    for _ in range(20):
        list(reader.feed(bytes(100_000)))
        assert len(reader._buffer) < 100


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("multipart/form-data; boundary=----WebKitFormBoundary7MA4", b"----WebKitFormBoundary7MA4"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=a", None),
        ("multipart/form-data; boundary=", None),
        (f"multipart/form-data; boundary={'a' * 71}", None),
    ],
)
def test_the_boundary(header: str, expected: bytes | None) -> None:
    if expected is None:
        with pytest.raises(BadForm):
            boundary_of(header)
    else:
        assert boundary_of(header) == expected


def test_names_of_files() -> None:
    body = encoded("b", ("file", 'a%22b%0D%0A\\".jpg', b""))
    assert decoded(b"b", [body])[0][1] == 'a"b\r\n".jpg'
    assert base_name("C:\\fakepath\\a.jpg") == base_name("../../etc/a.jpg") == base_name("a.jpg") == "a.jpg"
