"""What each command that changes names needs: one table, asked before the command is proposed and when it is applied.

The command itself says what is asked for; a Leave says what of that its actor may do. At level 1 the proposer decides
alone and writes the leave into the command (`write`), at level 2 apply asks the table again and nothing is written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raftstore import paths
from raftstore.errors import Denied
from raftstore.rights.account import Rights, Whose
from raftstore.rights.letters import Action
from raftstore.rights.looks import goes_on
from raftstore.rights.reserved import SHARED, Area, spot
from raftstore.wire import commands_pb2 as commands


@dataclass(frozen=True, slots=True)
class Leave:
    """What a command may do.

    `owner` gets what it puts. `source_of`: only a file of this owner may be changed or taken away ("": anything).
    `target_of`: only a file of this owner may be replaced; `keeps`: nothing may be. `directories`: only a directory
    may be moved.
    """

    owner: str = ""
    source_of: str = ""
    target_of: str = ""
    keeps: bool = False
    directories: bool = False


@functools.lru_cache(maxsize=4096)
def _own(owner: str) -> Leave:
    """Return the leave of who may do as asked whatever is there; they are all alike."""
    return Leave(owner)


def _of(rights: Rights, whose: Whose) -> str:
    return rights.owner if whose is Whose.OWN else ""


def _make_directory(rights: Rights, command: commands.MakeDirectory) -> Leave:
    # An account's home, and the way to it, is made for it when it logs in, whatever its rights.
    if not (command.home and paths.within(rights.home, command.path)):
        rights.require(Action.MAKE_DIRECTORY, command.path)
    return Leave(rights.owner)


def _remove_directory(rights: Rights, command: commands.RemoveDirectory) -> Leave:
    _not_home(rights, Action.REMOVE_DIRECTORY, command.path)
    if (
        rights.reserved
        and paths.within(command.path, SHARED)
        and not rights.may(Action.REMOVE_DIRECTORY, command.path)
    ):
        # Who has made a directory there can take it away when it is empty.
        whose = rights.some(Action.DELETE, command.path)
        return Leave(rights.owner, source_of=_of(rights, whose))
    rights.require(Action.REMOVE_DIRECTORY, command.path)
    return Leave(rights.owner)


def _remove_file(rights: Rights, command: commands.RemoveFile) -> Leave:
    whose = rights.some(Action.DELETE, command.path)
    return Leave(rights.owner, source_of=_of(rights, whose))


def _set_times(rights: Rights, command: commands.SetTimes) -> Leave:
    whose = rights.some(Action.SET_TIMES, command.path)
    return Leave(rights.owner, source_of=_of(rights, whose))


def _rename(rights: Rights, command: commands.Rename) -> Leave:
    """To take something to where other rights hold needs the right to read and to delete it."""
    source, target = command.source, command.target
    _not_home(rights, Action.RENAME, source)
    if rights.reserved:
        _not_across(source, target)
    whose = rights.some(Action.RENAME, source)
    if not rights.same(source, target):
        rights.require(Action.READ, source)
        if not rights.reserved:
            rights.require(Action.DELETE, source)
        elif rights.some(Action.DELETE, source) is Whose.OWN:
            whose = Whose.OWN
    _not_home(rights, Action.WRITE, target)
    writes = rights.may(Action.WRITE, target)
    if not writes:
        rights.require(Action.MAKE_DIRECTORY, target)  # enough for a directory, which replaces nothing
    replaces = rights.whose(Action.OVERWRITE, target)
    return Leave(
        rights.owner,
        source_of=_of(rights, whose),
        target_of=_of(rights, replaces),
        keeps=replaces is Whose.NOBODYS,
        directories=not writes,
    )


def put_file(rights: Rights, command: commands.PutFile) -> Leave:
    """Return what an account may do of a command that publishes a file. Raises Denied: nothing."""
    path = command.path
    replaces = rights.whose(Action.APPEND if command.append else Action.OVERWRITE, path)
    if replaces is Whose.ANYBODYS:
        # As nearly always: who may append to, or replace, anybody's may store there.
        return _own(rights.owner)
    rights.require(Action.WRITE, path)
    return Leave(rights.owner, target_of=_of(rights, replaces), keeps=replaces is Whose.NOBODYS)


def _copy_file(rights: Rights, command: commands.CopyFile) -> Leave:
    rights.require(Action.READ, command.source)
    return put_file(rights, commands.PutFile(path=command.target))


def _reserve_name(rights: Rights, command: commands.ReserveName) -> Leave:
    rights.require(Action.WRITE, command.path)
    return Leave(rights.owner)


def _put_partial(rights: Rights, command: commands.PutPartial) -> Leave:
    if not goes_on(rights, command.path):
        raise Denied(Action.WRITE.value)
    return Leave(rights.owner)


def _drop_partial(rights: Rights, command: commands.DropPartial) -> Leave:
    path = command.path
    if not goes_on(rights, path) and rights.whose(Action.DELETE, path) is Whose.NOBODYS:
        raise Denied(Action.DELETE.value)
    return Leave(rights.owner)


def _restore_trash(rights: Rights, command: commands.RestoreTrash) -> Leave:
    """Everybody has only its own trash, and puts from there only where it may put something."""
    _owns(rights, rights.owner)
    rights.require(Action.WRITE, command.to)
    replaces = rights.whose(Action.OVERWRITE, command.to)
    return Leave(
        rights.owner,
        source_of=rights.owner,
        target_of=_of(rights, replaces),
        keeps=replaces is Whose.NOBODYS,
    )


def _empty_trash(rights: Rights, command: commands.EmptyTrash) -> Leave:
    _owns(rights, command.owner)
    return Leave(rights.owner)


def _owns(rights: Rights, owner: str) -> None:
    if not owner or owner != rights.owner:
        raise Denied("use another's trash")


def _retention(rights: Rights, command: commands.PutRetention | commands.RemoveRetention) -> Leave:
    if not rights.everywhere:
        raise Denied("set what a directory keeps")
    rights.require(Action.DELETE, command.path)
    return Leave(rights.owner)


def _not_home(rights: Rights, action: Action, path: str) -> None:
    """The home directory is neither moved, removed nor replaced by its own account: it would not find it again."""
    if rights.anchors(path):
        raise Denied(action.value)


def _not_across(source: str, target: str) -> None:
    """What was put to somebody stays where it is; only the name of a draft is changed."""
    sent = [(each.name, each.to) for each in (spot(source), spot(target)) if each and each.area is Area.SENT]
    if sent and (len(sent) == 1 or sent[0] != sent[1]):
        raise Denied("nothing is moved into or out of what was sent: put the picture there")


def _send_file(rights: Rights, command: commands.SendFile) -> Leave:
    rights.require(Action.READ, command.path)
    return _as_person(rights)


def _put_group(rights: Rights, command: commands.PutGroup) -> Leave:
    return _as_person(rights)


def _remove_group(rights: Rights, command: commands.RemoveGroup) -> Leave:
    return _as_person(rights)


def _block(rights: Rights, command: commands.Block) -> Leave:
    if command.person != rights.user.name:
        raise Denied("block for another")
    return _as_person(rights)


def _as_person(rights: Rights) -> Leave:
    if not rights.user.person or not rights.owner:
        raise Denied("do what only persons do")
    return Leave(rights.owner)


TABLE: dict[str, Callable[[Rights, Any], Leave]] = {
    "make_directory": _make_directory,
    "remove_directory": _remove_directory,
    "put_file": put_file,
    "remove_file": _remove_file,
    "rename": _rename,
    "set_times": _set_times,
    "put_partial": _put_partial,
    "drop_partial": _drop_partial,
    "reserve_name": _reserve_name,
    "restore_trash": _restore_trash,
    "empty_trash": _empty_trash,
    "put_retention": _retention,
    "remove_retention": _retention,
    "send_file": _send_file,
    "copy_file": _copy_file,
}
"""The commands that change names: each carries its actor."""

OF_PERSONS: dict[str, Callable[[Rights, Any], Leave]] = {
    "put_group": _put_group,
    "remove_group": _remove_group,
    "block": _block,
}
"""Other commands that carry their actor: a person's, or the system's."""

JUDGED = TABLE | OF_PERSONS


def leave(rights: Rights, command: commands.Command) -> Leave:
    """Return what an account may do of a command that carries its actor. Raises Denied: nothing."""
    kind = command.WhichOneof("kind")
    assert kind is not None
    return JUDGED[kind](rights, getattr(command, kind))


def write(command: commands.Command, granted: Leave) -> None:
    """Write a leave into a command as level 1 has it, and take out what level 1 does not know."""
    kind = command.WhichOneof("kind")
    assert kind is not None
    inner = getattr(command, kind)
    if kind in ("make_directory", "put_file", "put_partial", "drop_partial"):
        inner.owner = granted.owner
    if kind == "make_directory":
        inner.ClearField("home")
    elif kind in ("remove_file", "set_times"):
        inner.only_of = granted.source_of
    elif kind == "rename":
        inner.source_of, inner.target_of = granted.source_of, granted.target_of
        inner.exclusive = inner.exclusive or granted.keeps
    elif kind == "put_file":
        inner.ClearField("append")
        inner.of_account = bool(granted.owner)
        inner.own_only = bool(granted.target_of)
        inner.exclusive = inner.exclusive or granted.keeps


def read(command: commands.Command) -> Leave:
    """Return the leave that a command of level 1 carries."""
    kind = command.WhichOneof("kind")
    assert kind is not None
    inner = getattr(command, kind)
    if kind in ("make_directory", "put_partial", "drop_partial"):
        return Leave(inner.owner)
    if kind in ("remove_file", "set_times"):
        return Leave(source_of=inner.only_of)
    if kind == "rename":
        return Leave(source_of=inner.source_of, target_of=inner.target_of, keeps=inner.exclusive)
    if kind == "put_file":
        return Leave(inner.owner, target_of=inner.owner if inner.own_only else "", keeps=inner.exclusive)
    return Leave()
