"""Median, deciles and intervals are those of NumPy and SciPy, on any data; drivers agree with both."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisper_persistence import Store
from whisper_persistence import records as rec
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records.questions.base import context_label, period_of, start_of
from whisper_persistence.records.questions.measures import DECILES, quantile, wilson_interval
from whisper_persistence.testing import samples

scores = st.lists(st.floats(0, 1), min_size=1, max_size=40)
trials = st.integers(1, 10**6).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count)))


def interval_of_scipy(successes: int, count: int, confidence: float) -> tuple[float, float]:
    from scipy.stats import binomtest  # here: every worker of a run imports every module, and this takes a second

    interval = binomtest(successes, count).proportion_ci(confidence, method="wilson")
    return interval.low, interval.high


@given(scores)
def test_quantiles_are_those_of_numpy(sample):
    ordered = sorted(sample)
    found = [quantile(ordered, share) for share in (0.5, *DECILES)]

    assert found == pytest.approx([np.median(sample), *np.quantile(sample, DECILES)], rel=1e-12, abs=1e-12)


@given(trials, st.floats(0.5, 0.9999))
def test_intervals_are_those_of_scipy(trial, confidence):
    expected = interval_of_scipy(*trial, confidence)

    assert wilson_interval(*trial, confidence) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_nothing_is_known_of_no_trials():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def drivers(path: Path) -> dict[str, list[DriverSpec]]:
    sqlite = DriverSpec("sqlite", {"path": path / "memory.db"})
    replica = DriverSpec("duckdb-analytics", {"path": path / "analytics", "threads": 1})
    return {
        "memory-fallback": [DriverSpec("memory-fallback")],
        "sqlite": [sqlite],
        "duckdb-analytics": [replica, sqlite],
    }


@pytest.mark.parametrize("name", ["memory-fallback", "sqlite", "duckdb-analytics"])
def test_drivers_measure_as_numpy_and_scipy_do(name, tmp_path):
    with Store(Chain.build(drivers(tmp_path)[name])) as store:

        @settings(max_examples=3 if name == "duckdb-analytics" else 15, deadline=None, derandomize=True, database=None)
        @given(scores, scores)
        def check(importance: list[float], helped: list[float]) -> None:
            store.erase_users(["u"])
            found = [samples.score(f"m{n}", value, "u") for n, value in enumerate(importance)]
            store.update_statistics([rec.StatisticsChange("u", found)])
            store.update_strategies([rec.StrategyChange("u", [samples.outcome(value) for value in helped])])
            (user,) = store.aggregate(rec.ImportanceByUser()).rows
            (row,) = store.aggregate(rec.EffectivenessByApproach()).rows
            kept = [score.overall_score for score in found]

            assert (user.median, *user.deciles) == pytest.approx(
                (np.median(kept), *np.quantile(kept, DECILES)), abs=1e-12
            )
            assert (user.mean, row.mean) == pytest.approx((np.mean(kept), np.mean(helped)), abs=1e-9)
            assert row.successes == sum(round(value, 9) >= 0.6 for value in helped)
            assert (row.low, row.high) == pytest.approx(interval_of_scipy(row.successes, len(helped), 0.95), abs=1e-12)

        check()


@given(st.datetimes(timezones=st.just(UTC)), st.integers(1, 3_660))
def test_a_moment_lies_in_its_period(moment, days):
    period = period_of(moment, days)

    assert start_of(period, days) <= moment
    assert period_of(start_of(period, days), days) == period


def test_weeks_begin_on_monday():
    assert {start_of(n, 7).weekday() for n in range(0, 100_000, 997)} == {0}


def test_contexts_make_groups_by_what_is_short_and_plain():
    values = ("low", "", 3, 2.5, True, False, None, ["a"], {"b": 1}, "x" * 100, "x" * 101)

    assert [context_label(value) for value in values] == [
        *("low", "", "3", "2.5", "true", "false"),
        *(None, None, None, "x" * 100, None),
    ]
