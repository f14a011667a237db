"""Which names a listing shows an account with rules: what is found once a directory agrees with the rule for a name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raftstore import paths
from raftstore.rights import Action, Rights, permits
from raftstore.types import Rule, User

_NAMES = ("a", "b", "ab")
_PATHS = st.lists(st.sampled_from(_NAMES), max_size=4).map(lambda names: "/" + "/".join(names))
_RIGHTS = st.sampled_from(["", "l", "el", "w", "elr", "A", "o"])


def shown(account: Rights, directory: str, name: str) -> bool:
    """Say it rule by rule: what leads to rights, and with the right to list also what has some."""
    if not account.user.rules or "A" in account.user.rights:
        return True
    path = f"{directory.rstrip('/')}/{name}"
    leads = any(rule.rights and paths.within(rule.path, path) for rule in account.user.rules)
    if permits(account.letters(directory), Action.LIST):
        return bool(account.letters(path)) or leads
    return leads


@given(
    st.sampled_from(["/", "/a", "/a/b"]),
    _RIGHTS,
    st.lists(st.tuples(_PATHS, _RIGHTS), max_size=6, unique_by=lambda rule: rule[0]),
    _PATHS,
    st.booleans(),
)
def test_precomputed_and_one_by_one_agree(
    home: str, rights: str, rules: list[tuple[str, str]], directory: str, reserved: bool
) -> None:
    made = tuple(Rule(path, letters) for path, letters in rules)
    account = Rights(User("anna", "", home, rights, rules=made), reserved=reserved)
    directory = home if directory == "/" else paths.join(home, directory.lstrip("/"))
    shows = account.shown_in(directory)
    for name in (*_NAMES, "c"):
        assert shows(name) == shown(account, directory, name)
        assert account.shows(directory, name) == shows(name)
