"""The adapter relies on the inside of one version of pysyncobj. This fails when that is another."""

from __future__ import annotations

import ast
import hashlib
import inspect
import pickle
import socket

import pysyncobj.serializer
import pysyncobj.syncobj as library
import pytest
from pysyncobj.version import VERSION

from raftstore.consensus.pysyncobj import codec
from raftstore.consensus.pysyncobj.library import LIBRARY_VERSION
from raftstore.errors import TooNew

SOURCES = {
    library: "e8bdf06797085d734df86e24ab4802fe87893dff77268565ec036f7ad4a1cfe4",
    pysyncobj.serializer: "4d39fde2f15000ad8f507ec229ebd4f6a86371b6f84d4dc1439a9cccd52857ee",
}
NAMES_REPLACED = {"pickle", "monotonicTime", "random", "createPoller", "createJournal", "PIPE_NOTIFIER_ENABLED"}


def test_version():
    assert VERSION == LIBRARY_VERSION == "0.3.17"


@pytest.mark.parametrize("module", SOURCES, ids=lambda module: module.__name__)
def test_the_source_is_the_one_that_was_read(module):
    with open(module.__file__, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == SOURCES[module], (
            "pysyncobj has changed: read it again, all of it, before you change this line"
        )


def test_its_import_leaves_the_standard_library_as_it_is():
    assert socket.inet_ntop(socket.AF_INET, bytes([127, 0, 0, 1])) == "127.0.0.1"
    assert socket.inet_ntop(socket.AF_INET6, bytes(15) + b"\1") == "::1"
    assert socket.inet_pton(socket.AF_INET6, "::1") == bytes(15) + b"\1"


def test_the_private_call_exists():
    assert callable(library.SyncObj._SyncObj__sendAppendEntries)


def test_the_private_method_that_does_nothing_here_exists():
    assert callable(library.SyncObj._SyncObj__tryLogCompaction)


def test_names_that_are_replaced_are_used_as_names_of_the_module():
    tree = ast.parse(inspect.getsource(library))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert used >= NAMES_REPLACED


def test_nothing_can_be_pickled():
    assert library.pickle is codec
    assert pysyncobj.serializer.pickle is codec
    used = {
        node.attr
        for module in (library, pysyncobj.serializer)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pickle"
    }
    for name in used - {"dumps", "loads"}:
        with pytest.raises(TypeError):
            getattr(codec, name)(b"x")
    with pytest.raises(TypeError):
        codec.dumps({"anything": "else"})


def test_a_pickle_is_not_loaded():
    with pytest.raises(TooNew):
        codec.loads(pickle.dumps((0, (b"x",))))


def test_the_private_names_of_the_members_are_those_that_this_package_sets():
    """`Library.set_others` sets them from outside; a name that the library no longer had would do nothing."""
    names = (
        "otherNodes",
        "readonlyNodes",
        "connectedNodes",
        "raftNextIndex",
        "raftMatchIndex",
        "lastResponseTime",
    )
    source = inspect.getsource(library.SyncObj)
    for name in names:
        assert f"self.__{name}" in source
    # Our replicated methods are numbered by name, and the codec knows the numbers.
    numbered = sorted(["batch_v0", "configuration_v0"])
    assert [numbered.index("batch_v0"), numbered.index("configuration_v0")] == [codec.METHOD, codec.CONFIGURE]
    assert not library.SyncObjConf().dynamicMembershipChange
