from __future__ import annotations

import io

from ftpserver import ftplib_client, serving


def test_login_store_fetch_list() -> None:
    with serving() as server, ftplib_client(server) as ftp:
        assert ftp.storbinary("STOR a.jpg", io.BytesIO(b"x" * 3_000_000)).startswith("226")
        got = io.BytesIO()
        assert ftp.retrbinary("RETR a.jpg", got.write).startswith("226")
        assert got.getvalue() == b"x" * 3_000_000
        lines: list[str] = []
        ftp.retrlines("LIST", lines.append)
        assert len(lines) == 1
        assert lines[0].endswith(" a.jpg")
        assert ftp.mkd("d") == "/d"
        assert [name for name, _ in ftp.mlsd()] == ["a.jpg", "d"]
        assert ftp.nlst() == ["a.jpg", "d"]
        ftp.cwd("d")
        assert ftp.pwd() == "/d"
        assert ftp.quit().startswith("221")
