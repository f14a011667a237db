"""Which names a listing shows an account with rules: what is found once a directory agrees with the rule for a name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raftstore import paths
from raftstore.rights import Action, Rights
from raftstore.rights.letters import permits
from raftstore.types import Rule, User

_NAMES = ("a", "b", "ab")
_PATHS = st.lists(st.sampled_from(_NAMES), max_size=4).map(lambda names: "/" + "/".join(names))
_RIGHTS = st.sampled_from(["", "l", "el", "w", "elr", "A", "o"])


def shown(rights: Rights, directory: str, name: str) -> bool:
    """Say it rule by rule: what leads to rights, and with the right to list also what has some."""
    if not rights.user.rules or "A" in rights.user.rights:
        return True
    path = f"{directory.rstrip('/')}/{name}"
    leads = any(rule.rights and paths.within(rule.path, path) for rule in rights.user.rules)
    if permits(rights.letters(directory), Action.LIST):
        return bool(rights.letters(path)) or (leads and rights.covers(path))
    return leads and rights.covers(path)


@given(
    st.sampled_from(["/", "/a", "/a/b"]),
    _RIGHTS,
    st.lists(st.tuples(_PATHS, _RIGHTS), max_size=6, unique_by=lambda rule: rule[0]),
    _PATHS,
)
def test_precomputed_and_one_by_one_agree(
    home: str, letters: str, rules: list[tuple[str, str]], directory: str
) -> None:
    made = tuple(Rule(path, rights) for path, rights in rules)
    rights = Rights(User("anna", "", home, letters, rules=made))
    shows = rights.shown_in(directory)
    for name in (*_NAMES, "c"):
        assert shows(name) == shown(rights, directory, name)
        assert rights.shows(directory, name) == shows(name)
