"""fsspec's abstract suite for filesystems over FTP. Its code stays as it is; it wants fixtures, which are here."""

from __future__ import annotations

from typing import Any

import fsspec.tests.abstract as abstract
import live
import pytest
from fsspec.implementations.ftp import FTPFileSystem


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture(scope="class")
    def fs(self) -> Any:
        with live.session("spec", "spec") as own:
            live.empty(own)
        host, port = live.ADDRESSES["plain4"]
        return FTPFileSystem(
            host, port, "spec", "spec", timeout=60, use_listings_cache=False, skip_instance_cache=True
        )

    @pytest.fixture
    def fs_path(self) -> str:
        return "/place"

    @pytest.fixture(autouse=True)
    def place(self, fs: Any) -> Any:
        with live.session("spec", "spec") as own:
            live.empty(own)
            own.mkd("/place")


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass
