from __future__ import annotations

import pytest

from raftstore.consensus.pysyncobj import codec
from raftstore.errors import TooNew


@pytest.mark.parametrize("argument", [b"", b"x", bytes(range(256))])
def test_a_call_comes_back(argument):
    assert codec.loads(codec.dumps((0, (argument,)))) == (0, (argument,))


def test_a_configuration_is_a_call_that_only_the_adapter_makes():
    assert codec.loads(codec.CONFIGURATION + b"anything") == (codec.CONFIGURE, (b"anything",))


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
        (1, (b"x",), {}),
    ],
)
def test_anything_else_is_refused(value):
    with pytest.raises(TypeError):
        codec.dumps(value)


@pytest.mark.parametrize("data", [b"", b"\x80\x04K\x01.", b"Xyz"])
def test_what_is_neither_is_of_a_later_version(data):
    with pytest.raises(TooNew, match="A node that is too old"):
        codec.loads(data)
