"""How runs of third-party suites are compared: what stock passes must pass, and exceptions must be needed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

CONFORMANCE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def run():
    sys.path.insert(0, str(CONFORMANCE))
    try:
        import run as module

        yield module
    finally:
        sys.path.remove(str(CONFORMANCE))
        sys.modules.pop("run", None)


def judge(run, cases: dict[str, str], exempt=(), *, passed=("a", "b"), short=False) -> list[str]:
    outcomes = {name: run.Outcome(kind, "because") for name, kind in cases.items()}
    return run.verdict("suite", passed, outcomes, exempt, short=short)


def test_what_stock_passes_must_pass(run):
    assert judge(run, {"a": "passed", "b": "passed", "c": "failed"}) == []
    (wrong,) = judge(run, {"a": "passed", "b": "failed"})
    assert "b failed: because" in wrong
    (wrong,) = judge(run, {"a": "passed", "b": "skipped"})
    assert "b skipped" in wrong


def test_what_is_not_run_is_wrong_but_in_a_short_run(run):
    (wrong,) = judge(run, {"a": "passed"})
    assert "b was not run" in wrong
    assert judge(run, {"a": "passed"}, short=True) == []


def test_exceptions_excuse_and_must_be_needed(run):
    exempt = [run.Exempt("suite", ["b*"], "known"), run.Exempt("other", ["a"], "of another suite")]
    assert judge(run, {"a": "passed", "b": "failed"}, exempt) == []
    (wrong,) = judge(run, {"a": "passed", "b": "passed"}, exempt)
    assert "is not needed" in wrong
    (wrong,) = judge(run, {"b": "passed"}, exempt, short=True)
    assert "is not needed" in wrong
    assert judge(run, {"a": "passed"}, exempt, short=True) == []
    (wrong,) = judge(run, {"a": "passed"}, exempt, passed=("a",))
    assert "fits no case" in wrong
    unsure = [run.Exempt("suite", ["b"], "timing", unsure=True)]
    assert judge(run, {"a": "passed", "b": "passed"}, unsure) == []
    assert judge(run, {"a": "passed", "b": "failed"}, unsure) == []


def test_every_exception_of_the_file_has_a_reason_and_a_suite(run):
    for entry in run.exceptions((CONFORMANCE / "exceptions.toml").read_text()):
        assert entry.suite in run.SUITES
        assert entry.cases
        assert entry.reason.endswith(".")
