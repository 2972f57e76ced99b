"""A stranger writes one class with one method; claims that are not true fail, and what is skipped is printed."""

from __future__ import annotations

import textwrap

import pytest

from whisper_persistence.testing import RECORD_CAPABILITIES, SUBJECT_CAPABILITIES, Conformance, needs

pytest_plugins = ["pytester"]

SUITE = """
    from pathlib import Path
    from whisper_persistence import Store
    from whisper_persistence.discovery import DriverSpec
    from whisper_persistence.plugins import Chain
    from whisper_persistence.testing import DriverConformance

    class TestMyDriver(DriverConformance):
        capabilities = frozenset({capabilities})

        def open_store(self, path: Path, namespace: str = "default") -> Store:
            return Store(Chain.build([DriverSpec("memory-fallback", {{}}, frozenset({subjects}))]), namespace)
"""
ALWAYS = RECORD_CAPABILITIES - SUBJECT_CAPABILITIES


def suite(pytester: pytest.Pytester, capabilities: frozenset[str], *subjects: str, only: str = "") -> pytest.RunResult:
    source = textwrap.dedent(SUITE).format(capabilities=sorted(capabilities), subjects=sorted(subjects))
    pytester.makepyfile(test_my_driver=source)
    return pytester.runpytest_inprocess("-q", "-k", only)


def test_one_class_with_one_method_runs_everything_that_is_claimed(pytester: pytest.Pytester) -> None:
    result = suite(
        pytester, RECORD_CAPABILITIES | {"search"}, *SUBJECT_CAPABILITIES, only="claim or message or strateg"
    )
    outcomes = result.parseoutcomes()

    assert outcomes["passed"] > 30
    assert outcomes["passed"] + outcomes["deselected"] > 200
    assert "failed" not in outcomes
    result.stdout.fnmatch_lines(
        [
            "TestMyDriver claims: aggregate, conversations, erase, *",
            "TestMyDriver skips, and proves absent: durable, *",
        ]
    )


def test_a_required_hook_that_is_missing_fails(pytester: pytest.Pytester) -> None:
    result = suite(pytester, ALWAYS | {"conversations", "strategies"}, "conversations", only="hook_of_a_claim")

    result.assert_outcomes(failed=1, deselected=result.parseoutcomes()["deselected"])


def test_a_hook_that_is_kept_secret_fails(pytester: pytest.Pytester) -> None:
    result = suite(pytester, {"conversations"}, "conversations", only="not_claimed_is_refused")

    result.assert_outcomes(failed=1, deselected=result.parseoutcomes()["deselected"])


def test_a_claim_of_durability_that_is_not_true_fails(pytester: pytest.Pytester) -> None:
    result = suite(pytester, ALWAYS | {"conversations", "durable"}, "conversations", only="claim_of_durability")

    result.assert_outcomes(failed=1, deselected=result.parseoutcomes()["deselected"])


def test_claiming_nothing_or_something_unheard_of_fails(pytester: pytest.Pytester) -> None:
    nothing = suite(pytester, set(), "conversations", only="at_least_one_subject")
    nonsense = suite(pytester, {"conversations", "telepathy"}, "conversations", only="at_least_one_subject")

    assert (nothing.parseoutcomes()["failed"], nonsense.parseoutcomes()["failed"]) == (1, 1)


def test_two_tests_of_one_name_cannot_hide_each_other() -> None:
    class One(Conformance):
        __test__ = False

        def test_it(self) -> None: ...

    class Other(Conformance):
        __test__ = False

        def test_it(self) -> None: ...

    with pytest.raises(TypeError, match="test_it"):
        type("Both", (One, Other), {})


def test_what_is_not_claimed_is_left_out_and_told_once(pytester: pytest.Pytester) -> None:
    told = suite(pytester, frozenset({"conversations"}), "conversations", only="told or embed or vector")

    told.assert_outcomes(skipped=1, deselected=told.parseoutcomes()["deselected"])
    told.stdout.fnmatch_lines(["TestMyDriver skips, and proves absent: *, embed, *, vectors"])


def test_a_class_that_claims_more_than_the_one_above_it_has_more_tests() -> None:
    class Suite(Conformance):
        __test__ = False

        @needs("embed")
        def test_it(self) -> None: ...

    class Less(Suite):
        __test__ = True

    class More(Less):
        capabilities = frozenset({"embed"})

    assert (Less.test_it, Less.left_out) == (None, ("test_it",))
    assert (More.test_it, More.left_out) == (Suite.test_it, ())
