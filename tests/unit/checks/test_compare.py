"""Rules that compare: drift knows sample sizes and the number of columns, history knows what a metric was."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.checks.context import Context
from charkh.checks.document import parse_suite
from charkh.checks.drift import compare_profiles
from charkh.checks.history import strays
from charkh.checks.run import run
from charkh.checks.table_rules import History
from charkh.datasets.profile.measure import profile_frame
from charkh.datasets.profile.metrics import metrics_of


def table(
    seed: int, rows: int, *, shift: float = 0.0, scale: float = 1.0, gaps: float = 0.0, more: float = 0.0
) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    kinds = random.choice(["a", "b", "c", "new"], rows, p=[0.5, 0.3 - more, 0.2, more])
    x = random.normal(shift, scale, rows)
    return pl.DataFrame({"x": x, "k": kinds, "n": random.poisson(4, rows)}).with_columns(
        pl.when(pl.Series(random.random(rows) < gaps)).then(None).otherwise("n").alias("n")
    )


@pytest.mark.parametrize("rows", [30, 200, 5000])
def test_samples_of_one_distribution_do_not_drift(rows: int) -> None:
    found = [
        len(compare_profiles(profile_frame(table(seed, rows)), profile_frame(table(seed + 1000, rows))).drifted)
        for seed in range(40)
    ]
    assert sum(found) <= 2


@pytest.mark.parametrize(
    ("changed", "column", "test"),
    [
        ({"shift": 0.5}, "x", "ks"),
        ({"scale": 2.0}, "x", "psi"),
        ({"gaps": 0.2}, "n", "missing"),
        ({"more": 0.1}, "k", "new"),
        ({"more": 0.15}, "k", "linf"),
    ],
)
def test_what_changed_is_found_and_nothing_else(changed: dict[str, float], column: str, test: str) -> None:
    report = compare_profiles(profile_frame(table(1, 4000)), profile_frame(table(2, 4000, **changed)))
    assert [each.column for each in report.drifted] == [column]
    assert test in {each.name for each in report.drifted[0].tests if each.drifted}
    assert "on it matters" in report.drifted[0].reason


def test_what_is_significant_but_small_is_no_drift() -> None:
    old, new = (profile_frame(table(seed, 300_000, shift=shift)) for seed, shift in ((1, 0.0), (2, 0.03)))
    report = compare_profiles(old, new)
    ks = next(test for each in report.columns for test in each.tests if (each.column, test.name) == ("x", "ks"))
    assert ks.adjusted < 1e-6
    assert not report.drifted


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(500, 4000))
def test_the_distance_of_sketches_is_that_of_the_rows(seed: int, rows: int) -> None:
    sides = [np.random.default_rng(seed + place).lognormal(place / 3, 1, rows) for place in range(2)]
    profiles = [profile_frame(pl.DataFrame({"x": side})) for side in sides]
    found = next(test.effect for test in compare_profiles(*profiles).columns[0].tests if test.name == "ks")
    both = np.sort(np.concatenate(sides))
    cumulated = [np.searchsorted(np.sort(side), both, "right") / rows for side in sides]
    exact = float(np.abs(cumulated[0] - cumulated[1]).max())
    error = max(profile.columns[0].histogram.rank_error for profile in profiles)
    assert exact - 2 * error - 1e-12 <= found <= exact + 1e-12


def test_columns_that_cannot_be_compared_are_named() -> None:
    old = pl.DataFrame({"a": [1] * 30, "b": ["x"] * 30, "c": [[1]] * 30})
    new = pl.DataFrame({"b": [1] * 30, "c": [[1]] * 30, "d": [1] * 30})
    report = compare_profiles(profile_frame(old), profile_frame(new))
    assert report.columns == ()
    assert set(report.skipped) == {"a", "b", "c", "d"}
    assert compare_profiles(profile_frame(old[:5]), profile_frame(old)).skipped["a"] == "fewer than 20 rows"


@pytest.mark.parametrize(
    ("values", "value", "rule", "words"),
    [
        ([100], 151, {"rise": 0.5}, "rose from 100 to 151 (+51.0%)"),
        ([100], 150, {"rise": 0.5}, ""),
        ([100], 40, {"rise": 0.5}, ""),
        ([100], 40, {"fall": 0.5}, "fell from 100 to 40"),
        ([0], 1, {"rise": 9.0}, "rose from 0 to 1 (+inf%)"),
        ([0], 0, {"rise": 0.0, "fall": 0.0}, ""),
        ([], 5, {"rise": 0.0}, ""),
        ([10, 11, 9, 10], 99, {"deviations": 4.0}, ""),
        ([10, 11, 9, 10, 10.5], 99, {"deviations": 4.0}, "deviations from the median"),
        ([10, 11, 9, 10, 10.5], 11.5, {"deviations": 4.0}, ""),
        ([10, 11, 9, 500, 10, 10.5], 60, {"deviations": 4.0}, "deviations from"),
        ([7] * 9, 7.2, {"deviations": 4.0}, ""),
        ([7] * 9, 8, {"deviations": 4.0}, "14.3 deviations"),
        ([0] * 9, 1, {"deviations": 4.0}, "inf deviations"),
        ([1, 9, 1, 9.1, 1, 9, 1.1, 9], 1, {"deviations": 4.0, "season": 2}, ""),
        ([1, 9, 1, 9.1, 1, 9, 1.1, 9], 9, {"deviations": 4.0, "season": 2}, "what it was 2 versions before, 1.1"),
    ],
)
def test_when_a_metric_strays(values: list[float], value: float, rule: dict[str, float], words: str) -> None:
    finding = strays(values, value, History(metric="rows", **rule))  # pyright: ignore[reportArgumentType]
    assert (words in finding) and bool(words) == bool(finding)


def test_drift_and_history_are_rules_of_a_suite() -> None:
    suite = parse_suite(
        """
        [[rule]]
        check = "drift"
        [[rule]]
        check = "drift"
        against = "old@1"
        columns = ["x"]
        severity = "warning"
        [[rule]]
        check = "history"
        metric = "rows"
        rise = 0.1
        [[rule]]
        check = "history"
        metric = "mean_x"
        rise = 0.1
        """.replace("mean_x", "meen(x)")
    )
    old, new = table(1, 1000), table(2, 1200, shift=1)
    result = run(suite, new)
    assert [outcome.status for outcome in result.outcomes] == ["skipped", "skipped", "skipped", "failed"]
    assert "did you mean 'mean(x)'" in result.outcomes[3].message
    context = Context(
        references={"previous": profile_frame(old), "old@1": profile_frame(old)},
        history=[metrics_of(profile_frame(old))],
    )
    for frame in (new, new.lazy()):
        result = run(suite, frame, context=context)
        assert [outcome.status for outcome in result.outcomes] == ["failed", "warned", "failed", "failed"]
        assert "1 of 3 columns drifted: x: " in result.outcomes[0].message
        assert "rows rose from 1000 to 1200" in result.outcomes[2].message
    assert run(suite, old, context=context).outcomes[0].status == "passed"
    assert math.isfinite(metrics_of(profile_frame(new))["mean(x)"])
