"""What an upload keeps the beginning of, by what its account may see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import Feeder, partial, put

from raftstore.errors import Invalid
from raftstore.rights import Rights
from raftstore.store.targets import kept_bytes, target
from raftstore.types import User
from raftstore.wire import commands_pb2 as commands


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        made.all(
            put("/theirs", 1, 2, owner="bob"), put("/own", 3, owner="ada"), partial("/begun", 4, owner="ada")
        )
        made.all(put("/begun", 5, 6, 7, owner="bob"))
        yield made


def kept(feeder: Feeder, rights: str, path: str, offset: int) -> int | str:
    """Return how many bytes REST and STOR keep, or the refusal."""
    account = Rights(User("ada", "", rights=rights), reserved=False)
    _, base = target(account, feeder.catalog, commands.PutFile(path=path), append=False, offset=offset)
    try:
        return kept_bytes(base, offset, append=False)
    except Invalid as refused:
        return str(refused)


def test_a_hidden_file_is_as_one_that_is_not_there(feeder: Feeder) -> None:
    """Else it would be told, byte by byte, how long it is."""
    for offset in (1, 19, 20, 21):
        reported = {kept(feeder, "wde", path, offset) for path in ("/theirs", "/nothing")}
        assert reported == {
            f"Not a valid request: cannot continue at byte {offset}: only 0 bytes are there; send the file again from 0"
        }


def test_who_sees_a_file_goes_on_in_it(feeder: Feeder) -> None:
    for rights in ("wdel", "wder"):
        assert kept(feeder, rights, "/theirs", 20) == 20
        assert "only 20 bytes" in str(kept(feeder, rights, "/theirs", 21))


def test_what_is_ones_own_is_seen(feeder: Feeder) -> None:
    assert kept(feeder, "wdeo", "/own", 10) == 10
    assert kept(feeder, "wde", "/begun", 10) == 10, "its interrupted upload, not the file of another"
    assert "only 10 bytes" in str(kept(feeder, "wde", "/begun", 11))
