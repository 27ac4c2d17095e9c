"""No alarm where nothing changed, however small the samples; an alarm where something did."""

from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.divergence import chi_square, jensen_shannon, stability_index
from charkh.monitors.bins import EXACT, category_bins, kolmogorov_smirnov, number_bins, wasserstein
from charkh.monitors.drift import (
    ColumnDrift,
    DriftReport,
    Thresholds,
    drift,
)


def rows(count: int, seed: int, *, shift: float = 0.0, weights: tuple[float, ...] = (0.35, 0.33, 0.32)) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "wind": random.normal(shift, 1, count),
            "hour": random.integers(5, 24, count),
            "delay": random.exponential(30, count).round(),
            "origin": random.choice(["EWR", "JFK", "LGA"], count, p=weights),
            "tail": [f"N{number}" for number in random.zipf(1.3, count).clip(0, 4000)],
            "international": random.random(count) < 0.1,
            "gaps": np.where(random.random(count) < 0.3, np.nan, random.normal(size=count)),
        }
    )


def column(report: DriftReport, name: str) -> ColumnDrift:
    return next(each for each in report.columns if each.column == name)


@pytest.mark.parametrize(("old", "new"), [(30, 30), (100, 100), (2000, 60), (60, 2000), (500, 500), (20_000, 5000)])
def test_two_samples_of_one_distribution_are_no_drift(old: int, new: int) -> None:
    for seed in range(12):
        report = drift(rows(old, seed), rows(new, 1000 + seed))
        assert report.drifted == 0.0, [each.reason for each in report.columns]
        assert report.psi == 0.0 or old + new > 5000


def test_the_usual_rule_would_have_raised_an_alarm_there() -> None:
    """PSI > 0.1 is what many tools call drift; with 100 rows a side chance alone gives about 0.18."""
    values = [column(drift(rows(100, seed), rows(100, 99 + seed)), "wind") for seed in range(30)]
    assert np.mean([each.psi > 0.1 for each in values]) > 0.5
    assert np.mean([each.psi for each in values]) == pytest.approx(values[0].psi_expected, rel=0.3)
    assert values[0].psi_expected == pytest.approx(9 * (1 / 100 + 1 / 100))


@pytest.mark.parametrize("count", [200, 2000, 50_000])
def test_a_real_shift_is_found(count: int) -> None:
    report = drift(rows(count, 1), rows(count, 2, shift=1.0))
    assert [each.column for each in report.columns if each.drifted] == ["wind"]
    wind = column(report, "wind")
    assert wind.reason.startswith("psi")
    assert wind.ks == pytest.approx(0.383, abs=0.09)
    assert wind.wasserstein == pytest.approx(1.0, abs=0.2)
    assert report.psi == pytest.approx(wind.psi - wind.psi_expected)
    assert report.ks == wind.ks
    assert report.drifted == pytest.approx(1 / 7)


def test_a_difference_that_does_not_matter_is_no_drift_however_sure() -> None:
    report = drift(rows(100_000, 1), rows(100_000, 2, shift=0.05))
    wind = column(report, "wind")
    assert any(test.significant for test in wind.tests)
    assert not wind.drifted


def test_shares_of_categories_move() -> None:
    report = drift(rows(1000, 1), rows(1000, 2, weights=(0.7, 0.2, 0.1)))
    assert [each.column for each in report.columns if each.drifted] == ["origin"]
    assert column(report, "origin").js > 0.2


def test_a_new_category_is_found_and_rare_ones_are_not_called_new() -> None:
    old, new = rows(2000, 1), rows(500, 2)
    assert column(drift(old, new), "tail").new > 0.05, "chance alone brings many unseen tails"
    moved = new.with_columns(
        pl.when(pl.int_range(pl.len()) < 25).then(pl.lit("SWF")).otherwise("origin").alias("origin")
    )
    origin = column(drift(old, moved), "origin")
    assert (origin.new_categories, origin.new) == (1, 0.05)
    assert "new" in [test.name for test in origin.tests if test.drifted]


def test_missing_values_more_or_fewer_are_drift() -> None:
    old = rows(1000, 1)
    for share in (0.0, 0.6):
        random = np.random.default_rng(3)
        new = rows(1000, 2).with_columns(pl.Series("gaps", np.where(random.random(1000) < share, np.nan, 1.0)))
        gaps = column(drift(old, new, columns=["gaps"]), "gaps")
        assert next(test.name for test in gaps.tests if test.drifted) == "missing"
        assert gaps.missing == pytest.approx(share, abs=0.06)
    nothing = rows(1000, 2).with_columns(pl.lit(None, pl.Float64).alias("wind"))
    wind = column(drift(old, nothing), "wind")
    assert (wind.rows, wind.missing, wind.drifted) == (0, 1.0, True)


def test_a_constant_that_moves_either_way_is_found() -> None:
    old = pl.DataFrame({"x": np.full(300, 5.0)})
    for value in (4.0, 6.0):
        assert drift(old, pl.DataFrame({"x": np.full(300, value)})).drifted == 1.0
    assert drift(old, old).drifted == 0.0


def test_what_cannot_be_compared_is_said() -> None:
    old = pl.DataFrame({"a": [1, 2], "b": ["x", "y"], "t": [1, 2], "l": [[1], [2]]})
    new = pl.DataFrame({"a": ["1", "2"], "b": ["x", "y"], "l": [[1], [2]]})
    report = drift(old, new, columns=["a", "b", "t", "l", "z"])
    assert [each.column for each in report.columns] == ["b"]
    assert {name: why.split(" ")[0] for name, why in report.skipped.items()} == {
        "a": "it",
        "t": "the",
        "l": "values",
        "z": "the",
    }
    assert column(report, "b").tests == (), "two rows are not judged"


def test_few_rows_are_not_judged_and_nothing_breaks() -> None:
    for old, new in [(0, 0), (5, 0), (0, 5), (5, 5), (19, 500)]:
        report = drift(rows(old, 1), rows(new, 2, shift=9.0))
        assert column(report, "wind").psi == 0.0
        assert report.psi == 0.0


def test_infinities_count_as_missing() -> None:
    old = pl.DataFrame({"x": np.arange(100.0)})
    new = pl.DataFrame({"x": [float("inf"), float("-inf")] * 25 + [1.0] * 50})
    found = column(drift(old, new), "x")
    assert found.missing == 0.5
    assert found.wasserstein is not None
    assert np.isfinite(found.wasserstein)


def test_categoricals_and_enums_are_compared_as_texts() -> None:
    old = pl.DataFrame({"c": pl.Series(["a", "b"] * 50, dtype=pl.Categorical)})
    new = pl.DataFrame({"c": pl.Series(["a", "b"] * 50, dtype=pl.Enum(["a", "b"]))})
    assert column(drift(old, new), "c").psi == 0.0


def test_thresholds_are_the_users() -> None:
    old, new = rows(2000, 1), rows(2000, 2, shift=0.5)
    assert column(drift(old, new), "wind").drifted
    strict = Thresholds(psi=1.0, ks=1.0)
    assert not column(drift(old, new, thresholds=strict), "wind").drifted


def test_the_report_survives_json() -> None:
    report = drift(rows(300, 1), rows(300, 2, shift=2.0))
    assert msgspec.json.decode(msgspec.json.encode(report), type=DriftReport) == report


COUNTS = st.lists(st.integers(0, 50), min_size=2, max_size=8).filter(lambda counts: sum(counts) > 0)


@given(COUNTS, st.data())
def test_the_measures_are_zero_only_for_equal_shares_and_symmetric(counts: list[int], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.integers(0, 50), min_size=len(counts), max_size=len(counts)).filter(sum))
    assert stability_index(counts, counts) == pytest.approx(0)
    assert jensen_shannon(counts, [2 * count for count in counts]) == pytest.approx(0, abs=1e-7)
    assert chi_square(counts, counts) == pytest.approx(0)
    for measure in (jensen_shannon, chi_square, stability_index):
        assert measure(counts, other) == pytest.approx(measure(other, counts))
        assert measure(counts, other) >= 0
    assert jensen_shannon(counts, other) <= 1 + 1e-12


def test_the_measures_as_computed_by_hand() -> None:
    assert jensen_shannon([1, 0], [0, 1]) == pytest.approx(1)
    assert chi_square([10, 20], [20, 10]) == pytest.approx(20 / 3)
    assert stability_index([100_000, 100_000], [50_000, 150_000]) == pytest.approx(0.25 * np.log(3), rel=1e-4)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=30), st.lists(st.integers(-5, 5), min_size=1, max_size=30))
def test_kolmogorov_smirnov_as_defined(old: list[int], new: list[int]) -> None:
    def share(values: list[int], at: int) -> float:
        return sum(value <= at for value in values) / len(values)

    defined = max(abs(share(old, at) - share(new, at)) for at in range(-6, 6))
    seen = kolmogorov_smirnov(np.sort(np.array(old, float)), np.sort(np.array(new, float)))
    assert seen == pytest.approx(defined)


def test_on_many_values_the_distances_are_looked_up_at_quantiles() -> None:
    random = np.random.default_rng(1)
    old, new = np.sort(random.normal(size=EXACT)), np.sort(random.normal(0.5, 2, size=EXACT))
    at = np.concatenate([old, new])
    exact = np.abs(np.searchsorted(old, at, "right") - np.searchsorted(new, at, "right")).max() / EXACT
    assert exact - 2 / 1024 <= kolmogorov_smirnov(old, new) <= exact + 1e-12
    assert wasserstein(old, new) == pytest.approx(np.abs(old - new).mean() / old.std(), rel=0.02)


@given(
    st.lists(st.none() | st.floats(allow_nan=True), max_size=60), st.lists(st.none() | st.integers(-3, 3), max_size=60)
)
def test_every_value_is_counted_once(old: list[Any], new: list[Any]) -> None:
    reference, live = pl.Series("x", old, dtype=pl.Float64), pl.Series("x", new, dtype=pl.Int64)
    bins = number_bins(reference, live, 10)
    if bins.reference_rows and bins.live_rows:
        assert (bins.reference.sum(), bins.live.sum()) == (bins.reference_rows, bins.live_rows)
        assert len(bins.reference) == len(bins.live) <= 11
    texts = category_bins(live.cast(pl.String), reference.cast(pl.String), 3)
    assert (texts.reference.sum(), texts.live.sum()) == (texts.reference_rows, texts.live_rows)
    assert len(texts.reference) <= 4
