"""`pixraft demo --person`: what is no person is refused before anything starts; the scenario has two of them."""

from __future__ import annotations

import commandline
import pytest

from ftpgateway.demo import command


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["anna"], "--person takes NAME:PASSWORD, not 'anna'"),
        (["anna:"], "--person takes NAME:PASSWORD"),
        ([":secret"], "--person: Not a usable name"),
        (["a/b:x"], "a name has no slash"),
        (["anna@berlin:x"], "a name with @ is one at another cluster"),
        (["requests:x"], "directory in inboxes"),
        ([".anna:x"], "does not begin with a dot"),
        (["anna:x", "bob:y", "anna:z"], "--person anna is given twice"),
        (["demo:x"], "--person demo: that is the name of the --user"),
    ],
)
def test_what_is_no_person_is_told(given: list[str], said: str) -> None:
    options = [word for text in given for word in ("--person", text)]
    result = commandline.pixraft("demo", "--no-scenario", *options)
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("given", "user", "names"),
    [
        ((), "demo", ["anna", "bob"]),
        ((), "anna", ["bob", "carol"]),
        (("bob:x",), "anna", ["bob", "carol"]),
        (("x:x", "y:y", "z:z"), "anna", ["x", "y", "z"]),
    ],
)
def test_the_scenario_has_two_at_least(given: tuple[str, ...], user: str, names: list[str]) -> None:
    people = command._two(command._people(given, user), user)
    assert [person.name for person in people] == names
