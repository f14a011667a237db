"""Codes, messages and exit codes of all errors: programs, other nodes and other versions know them."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator

import pytest

import ftpgateway
import raftstore
from ftpgateway.cli.output import report_error
from raftstore import errors
from raftstore.errors import StoreError, error_of
from raftstore.peers.connections.channel import error_header

ACROSS_NODES = {
    "StoreError": ("The store could not do what was asked", 1),
    "NotFound": ("Not found", 10),
    "AlreadyExists": ("It exists already", 11),
    "NotEmpty": ("The directory is not empty", 12),
    "NotADirectory": ("Not a directory", 13),
    "IsADirectory": ("It is a directory", 14),
    "Cycle": ("A directory cannot be moved into itself", 15),
    "BadName": ("Not a usable name", 16),
    "QuotaExceeded": ("Does not fit into the owner's quota", 17),
    "DiskFull": ("Not enough free disk on enough nodes", 18),
    "TooLarge": ("Larger than the store takes", 19),
    "Changed": ("It was changed meanwhile by another session", 20),
    "Denied": ("The account does not have the right to it", 21),
    "NoQuorum": ("A majority of the cluster cannot be reached", 30),
    "Unavailable": ("No healthy copy of the data can be reached now", 31),
    "OutcomeUnknown": ("The cluster did not confirm in time; it may or may not have been done", 32),
    "Damaged": ("Damaged data on disk", 40),
    "DiskFailed": ("The disk failed; nothing more is acknowledged from it", 41),
    "Refused": ("The node refused the request", 50),
    "Invalid": ("Not a valid request", 51),
    "Removed": ("This node was removed from the cluster", 52),
    "Superseded": ("This node's data are older than what it had on another disk", 53),
    "TooNew": ("The cluster's data need a newer version of pixraft than this one", 54),
    "Incompatible": ("The versions of the nodes do not fit together", 55),
    "WrongClock": ("This machine's clock is wrong", 56),
    "EventsLost": ("One cannot go on behind this number", 57),
}
"""Code: (message, exit code) of the errors that another node's answer can raise."""
OF_ONE_NODE = {
    "LimitReached": ("Too much is in use at once", 1),
    "MountRefused": ("The directory does not offer it", 21),
    "NotReachable": ("No node of the cluster answers", 5),
    "DemoFailed": ("A step of the demo failed", 6),
    "AddressInUse": ("An address to listen on cannot be had", 9),
    "TooMany": ("More names than one command takes", 1),
    "ConfigError": ("The configuration cannot be used", 3),
    "Unsupported": ("This server does not do that", 1),
    "Diverged": ("The log contradicts what this node knows to be committed", 40),
    "BadFrame": ("A peer sent what is not a frame of this protocol", 1),
}
"""The same of those that arrive at another node as the base of all."""
TABLE = ACROSS_NODES | OF_ONE_NODE


def below(kind: type[StoreError]) -> Iterator[type[StoreError]]:
    yield kind
    for sub in kind.__subclasses__():
        yield from below(sub)


def every_kind() -> list[type[StoreError]]:
    for package in (raftstore, ftpgateway):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    ours = (raftstore.__name__, ftpgateway.__name__)
    return [kind for kind in below(StoreError) if kind.__module__.partition(".")[0] in ours]


def test_the_table_is_fixed() -> None:
    kinds = every_kind()
    assert {kind.code: (kind.message, kind.exit_code) for kind in kinds} == TABLE
    assert len(kinds) == len(TABLE), "two classes have one code"


def test_each_class_states_its_own_code_and_message() -> None:
    for kind in every_kind():
        assert {"code", "message"} <= vars(kind).keys(), f"{kind} would pass for its base"


def test_the_errors_of_the_store_arrive_as_themselves_and_others_as_the_base() -> None:
    assert {kind.code for kind in errors.KINDS} == ACROSS_NODES.keys()
    for kind in every_kind():
        header = error_header(7, kind("why"))
        assert (header.error, header.detail) == (kind.code, "why")
        arrived = error_of(header.error, header.detail)
        assert type(arrived) is (kind if kind.code in ACROSS_NODES else StoreError)
        assert arrived.detail == "why"
    assert type(error_of("OfAVersionToCome", "why")) is StoreError
    assert type(error_of("annotations", "why")) is StoreError, "a name of the module, and no error"


@pytest.mark.parametrize("kind", errors.KINDS, ids=lambda kind: kind.code)
def test_the_name_of_a_class_is_nowhere_in_what_it_says(
    kind: type[StoreError], capsys: pytest.CaptureFixture[str]
) -> None:
    code = kind.code
    message, exit_code = TABLE[code]
    name, text = kind.__name__, kind.__doc__
    kind.__name__, kind.__doc__ = "Renamed", "Another text."
    try:
        error = kind("why")
        assert str(error) == f"{message}: why"
        assert str(kind()) == message
        assert error_header(7, error).error == code
        report_error(error, as_json=True)
        shown = json.loads(capsys.readouterr().err)
        assert shown == {"error": code, "message": f"{message}: why", "exit_code": exit_code}
    finally:
        kind.__name__, kind.__doc__ = name, text
