from __future__ import annotations

import pytest
from pysyncobj.node import Node

from raftstore.consensus import codec
from raftstore.errors import Damaged


@pytest.mark.parametrize("argument", [b"", b"x", bytes(range(256))])
def test_a_call_comes_back(argument):
    assert codec.loads(codec.dumps((0, (argument,)))) == (0, (argument,))


@pytest.mark.parametrize("change", ["add", "rem"])
def test_a_change_of_membership_comes_back(change):
    assert codec.loads(codec.dumps([change, "n4", Node("n4")])) == [change, "n4", Node("n4")]


@pytest.mark.parametrize(
    "value",
    [
        7,
        "text",
        None,
        (1, (b"x",)),
        (0, ("text",)),
        (0, (b"x", b"y")),
        (0, (b"x",), {"keyword": 1}),
        ["add", "n4"],
        ["add", "n4", Node("n5")],
        ["set", "n4", Node("n4")],
    ],
)
def test_anything_else_is_refused(value):
    with pytest.raises(TypeError):
        codec.dumps(value)


@pytest.mark.parametrize("data", [b"", b"\x80\x04K\x01.", b"M\xff\xff", b"Xyz"])
def test_what_is_neither_is_damage(data):
    with pytest.raises(Damaged):
        codec.loads(data)
