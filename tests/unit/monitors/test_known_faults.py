"""What tools for drift are known to get wrong, and what charkh says to exactly that: a test a fault, with its source.

Every column is judged twice: whole in memory, and as a table that is read lazily and only counted.
"""

import random
import tracemalloc
from collections.abc import Iterator
from functools import reduce

import msgspec
import numpy as np
import polars as pl
import pytest

from charkh.monitors.blocked import by_blocks
from charkh.monitors.compare import compare
from charkh.monitors.drift import ColumnDrift, DriftReport, Thresholds, drift
from charkh.monitors.multivariate.judge import multivariate
from charkh.monitors.sketches.numbers import merge_numbers
from charkh.monitors.sketches.table import batches_of, sketch_live, sketch_reference

ABC = ["a", "b", "c"]


def normal(count: int, seed: int, shift: float = 0.0) -> pl.DataFrame:
    return pl.DataFrame({"x": np.random.default_rng(seed).normal(shift, 1, count)})


def reports(old: pl.DataFrame, new: pl.DataFrame, **limits: float) -> Iterator[DriftReport]:
    thresholds = Thresholds(**limits)  # type: ignore[arg-type]
    yield drift(old, new, thresholds=thresholds)
    yield compare(old.lazy(), new.lazy(), thresholds=thresholds).drift


def columns(old: pl.DataFrame, new: pl.DataFrame, name: str = "x", **limits: float) -> Iterator[ColumnDrift]:
    for report in reports(old, new, **limits):
        yield next(each for each in report.columns if each.column == name)


def found(column: ColumnDrift) -> set[str]:
    """The tests that found drift."""
    return {test.name for test in column.tests if test.drifted}


@pytest.mark.parametrize("count", [20_000, 200_000])
def test_a_difference_that_does_not_matter_is_no_drift_because_there_are_many_rows(count: int) -> None:
    """A p-value shrinks with the rows until everything drifts.

    evidentlyai/evidently#50 ("with all data almost all features became drifted"), #710.
    """
    for column in columns(normal(count, 1), normal(count, 2, 0.03)):
        assert not column.drifted
    significant = next(columns(normal(200_000, 1), normal(200_000, 2, 0.03)))
    assert any(test.significant for test in significant.tests), "it is there, and it is said"


def test_chance_alone_is_no_drift_because_there_are_few_rows() -> None:
    """A PSI above 0.1 is called drift whatever the number of rows; of two samples of 100 rows most have it.

    Yurdakul and Naranjo 2020: between two such samples it is 0.18 on average.
    """
    plain = list[bool]()
    for seed in range(40):
        for column in columns(normal(100, seed), normal(100, 500 + seed)):
            assert not column.drifted
            plain.append(column.psi > 0.1)
    assert np.mean(plain) > 0.5, "what the usual rule would have called drift"


def test_a_handful_of_live_rows_is_not_judged() -> None:
    """Eight rows of two values are called drift without a word that nobody can know. evidentlyai/evidently#509."""
    for column in columns(normal(150, 1), pl.DataFrame({"x": [1.4, 1.6] * 4})):
        assert (column.drifted, column.tests) == (False, ())


def test_the_number_of_bins_is_what_was_asked_for() -> None:
    """`n_bins` changes nothing: Sturges' rule over both samples decides. evidentlyai/evidently#1400, PR #1873."""
    old, new = normal(2000, 1), normal(2000, 2, 0.5)
    for bins in (5, 20):
        for column in columns(old, new, bins=bins):
            assert column.psi_expected == pytest.approx((bins - 1) * 2 / 2000)


def test_one_wild_live_value_does_not_hide_a_shift_of_all_others() -> None:
    """Bins of equal width over both samples: one outlier puts every other row into one bin, and the PSI says 0.

    Read in evidently 0.7.23, `stattests/utils.py`, `get_binned_data`; the cause of evidentlyai/evidently#1400.
    """
    new = normal(2000, 2, 1.0)
    new[0, "x"] = 1e9
    for column in columns(normal(2000, 1), new):
        assert "psi" in found(column)
        assert column.psi == pytest.approx(1.0, abs=0.3)


def test_bins_that_are_empty_on_one_side_give_no_psi_by_a_constant_of_nature() -> None:
    """An empty bin's share is replaced by 0.0001, or a millionth of the least: two samples of one long tail drift.

    Read in evidently 0.7.23, `stattests/utils.py`, `get_binned_data` (there the PSI of this is about 3).
    """
    tails = (np.random.default_rng(seed).zipf(1.3, 20_000) for seed in (1, 2))
    old, new = (pl.DataFrame({"x": [f"N{number}" for number in tail]}) for tail in tails)
    for column in columns(old, new):
        assert not column.drifted
        assert column.psi < 0.01
    for column in columns(pl.DataFrame({"x": ABC * 100}), pl.DataFrame({"x": ["d", "e"] * 100})):
        assert np.isfinite(column.psi)
        assert found(column) == {"new", "psi"}


def test_many_equal_values_make_no_bins_of_no_width() -> None:
    """Quantiles of a column that is mostly zero coincide, and "Bin edges must be unique". pandas-dev/pandas#15069."""
    random_ = np.random.default_rng(1)
    zeros, fewer, same = (np.where(random_.random(3000) < share, 0.0, random_.exponential(9, 3000)) for share in ZEROS)
    for column in columns(pl.DataFrame({"x": zeros}), pl.DataFrame({"x": same})):
        assert not column.drifted
    for column in columns(pl.DataFrame({"x": zeros}), pl.DataFrame({"x": fewer})):
        assert {"psi", "ks"} <= found(column)


ZEROS = (0.8, 0.5, 0.8)
CONSTANTS = [("a", "a", "b"), (5.0, 5.0, 5.1), (0, 0, 1), (True, True, False)]


@pytest.mark.parametrize(("value", "same", "other"), CONSTANTS)
def test_a_constant_column_has_a_p_and_drifts_only_when_it_becomes_another(
    value: object, same: object, other: object
) -> None:
    """One category on both sides gives a p-value of NaN, or an error for another number of rows.

    evidentlyai/evidently#1929, PR #1932.
    """
    old = pl.DataFrame({"x": [value] * 60})
    for column in columns(old, pl.DataFrame({"x": [same] * 200})):
        assert not column.drifted
        assert all(0 <= test.p <= 1 for test in column.tests)
    for column in columns(old, pl.DataFrame({"x": [other] * 200})):
        assert column.drifted


def test_a_reference_that_does_not_vary_scales_nothing_to_infinity() -> None:
    """The Wasserstein distance is divided by max(deviation, 0.001): 5.0 to 5.1 is told as a hundred deviations.

    Read in evidently 0.7.23, `stattests/wasserstein_distance_norm.py`.
    """
    for column in columns(pl.DataFrame({"x": [5.0] * 100}), pl.DataFrame({"x": [5.1] * 100})):
        assert column.wasserstein == pytest.approx(0.1), "in the column's own unit"


@pytest.mark.parametrize("gap", [None, float("nan"), float("inf")])
def test_values_that_go_missing_are_drift_although_those_that_are_left_are_alike(gap: float | None) -> None:
    """Missing values are dropped before the comparison, so that a column that breaks off does not drift.

    evidentlyai/evidently#187.
    """
    old, new = normal(2000, 1), normal(2000, 2)
    gaps = new.with_columns(x=pl.when(pl.int_range(pl.len()) % 20 == 0).then("x").otherwise(pl.lit(gap, pl.Float64)))
    for column in columns(old, gaps):
        assert column.missing == 0.95
        assert found(column) == {"missing"}
    texts = pl.DataFrame({"x": ABC * 700})
    for column in columns(texts, texts.with_columns(x=pl.when(pl.int_range(pl.len()) % 20 == 0).then("x"))):
        assert found(column) == {"missing"}


def test_a_column_of_nothing_but_gaps_breaks_no_report() -> None:
    """A column that is empty on one side ends the whole report, or gives NaN.

    evidentlyai/evidently#330 (division by 0), SeldonIO/alibi-detect#221 (p is NaN), NannyML/nannyml#339 (raises).
    """
    old = normal(300, 1).with_columns(y=pl.Series(ABC * 100), z=pl.col("x"))
    new = normal(300, 2).with_columns(y=pl.lit(None, pl.String), z=pl.lit(None, pl.Float64))
    for before, after in ((old, new), (new, old), (new, new)):
        for report in reports(before, after):
            drifted = {each.column for each in report.columns if each.drifted}
            assert drifted == (set() if before is after else {"y", "z"})
            numbers = [number for each in report.columns for test in each.tests for number in (test.p, test.effect)]
            assert np.isfinite(numbers).all()
            assert all(np.isfinite(each.psi) for each in report.columns)


def test_one_row_of_a_new_category_is_no_proof_and_one_in_twenty_is() -> None:
    """A category that the reference lacks is an error, or is expected 0 times, so that one row of it has p = 0.

    SeldonIO/alibi-detect#191, #193; measured with evidently 0.7.23.
    """
    random_ = np.random.default_rng(1)
    old = pl.DataFrame({"x": random_.choice(ABC, 1000)})
    for count, drifted in ((1, False), (50, True)):
        new = pl.DataFrame({"x": [*random_.choice(ABC, 1000 - count), *["d"] * count]})
        for column in columns(old, new):
            assert (column.new, column.new_categories) == (count / 1000, 1)
            assert ("new" in found(column)) == drifted
            assert column.drifted == drifted


def test_a_small_reference_is_a_sample_and_not_the_truth() -> None:
    """A goodness of fit to the shares of a small reference calls its own sampling error drift.

    SeldonIO/alibi-detect PR #203; measured with evidently 0.7.23: 44 of 50 samples of one distribution "drift".
    """
    for seed in range(40):
        random_ = np.random.default_rng(seed)
        old, new = (pl.DataFrame({"x": random_.choice(ABC, count)}) for count in (100, 5000))
        for column in columns(old, new):
            assert not column.drifted


def test_many_columns_are_many_chances_and_are_counted_as_such() -> None:
    """Every column is tested at 0.05 by itself, so that one in twenty drifts by chance. evidentlyai/evidently#238."""
    old, new = (
        pl.DataFrame(np.random.default_rng(seed).normal(size=(800, 200)), schema=[f"c{n}" for n in range(200)])
        for seed in (1, 2)
    )
    for report in reports(old, new, psi=0.0, ks=0.0, missing=0.0):
        alone = [test.p for each in report.columns for test in each.tests if test.name == "ks"]
        assert np.count_nonzero(np.array(alone) <= 0.05) >= 3, "what each alone would have called drift"
        assert report.drifted == 0.0


def test_columns_whose_types_differ_are_compared_where_that_makes_sense_and_named_where_not() -> None:
    """Whole numbers beside floats, or texts beside numbers, end the report. evidentlyai/evidently#329, #530."""
    whole = pl.Series(np.random.default_rng(1).integers(0, 30, 400))
    old = pl.DataFrame({"x": whole, "y": whole, "z": whole, "o": pl.Series([1, "a"] * 200, dtype=pl.Object)})
    new = pl.DataFrame(
        {
            "x": whole.cast(pl.Float32),
            "y": whole.cast(pl.String),
            "z": whole.cast(pl.Decimal(10, 2)),
            "o": pl.Series([1, "a"] * 200, dtype=pl.Object),
        }
    )
    report = drift(old, new)
    assert {each.column: each.drifted for each in report.columns} == {"x": False, "z": False}
    assert report.skipped["y"] == "it was Int64 and is String"
    assert "are not compared" in report.skipped["o"]
    lazily = compare(old.drop("o").lazy(), new.drop("o").lazy()).drift
    assert {each.column for each in lazily.columns} == {"x", "z"}
    assert lazily.skipped == {"y": report.skipped["y"]}


def weeks(count: int, seed: int) -> pl.DataFrame:
    """Hours of weeks; what is measured keeps for days what it was, and is in the long run always the same."""
    random_ = np.random.default_rng(seed)
    value = np.zeros(count * 168)
    for hour in range(1, len(value)):
        value[hour] = 0.98 * value[hour - 1] + random_.normal(0, 0.2)
    return pl.DataFrame({"week": np.repeat(np.arange(count) + 1000 * seed, 168).astype(str), "x": value})


def test_rows_that_depend_on_the_row_before_raise_no_alarm_when_their_weeks_are_the_blocks() -> None:
    """Rows of one hour, day or video clip are no independent draws: a detector fires all the time.

    SeldonIO/alibi-detect#549 (every fifth frame of the very clip that it was fitted to).
    """
    alone, blocked = list[float](), list[float]()
    for seed in range(1, 7):
        old, new = weeks(52, seed), weeks(13, 50 + seed)
        report = compare(old, new, columns=["x"])
        alone.append(report.drift.drifted)
        decided = by_blocks(report.drift, report.reference, batches_of(old), batches_of(new), "week")
        blocked.append(decided.drifted)
    assert sum(alone) >= 2, "what a test of independent rows says"
    assert sum(blocked) == 0


def test_equal_profiles_of_large_tables_say_the_same_every_time() -> None:
    """Random sketches: of 50,000 and 561,000 rows of one distribution, p jumps from 0.7 to 3e-7 at each call.

    whylabs/whylogs#684, #461 ("severe drift" of two samples of one distribution).
    """
    old, new = normal(30_000, 1), normal(300_000, 2)
    said = [compare(old.lazy(), new.lazy()).drift for _ in range(3)]
    assert said[0] == said[1] == said[2]
    assert said[0].drifted == 0.0
    assert not any(test.significant for test in said[0].columns[0].tests)


def test_a_report_holds_none_of_the_rows_and_leaves_none_of_them_out() -> None:
    """Pages hold every row (243,000 take minutes to open), so that a sample is advised, which has not the one bad row.

    evidentlyai/evidently#15, #1396.
    """
    sizes = list[int]()
    for count in (30_000, 300_000):
        old, new = (normal(count, seed).with_columns(pl.col("x").clip(-3, 3)) for seed in (1, 2))
        new[17, "x"], new[count // 2, "x"] = None, 3.5
        report = compare(old, new)
        column = report.quality.columns[0]
        assert (column.nulls, column.out_of_range) == (1 / count, 1 / count)
        sizes.append(len(msgspec.json.encode((report.drift, report.quality))))
    assert sizes[1] == pytest.approx(sizes[0], abs=100)


def test_what_arrives_in_parts_is_counted_in_parts() -> None:
    """No incremental fit: every look reads all rows again. NannyML/nannyml#125."""
    old, new = normal(12_000, 1), normal(9000, 2, 0.4)
    reference = sketch_reference(batches_of(old))
    whole = sketch_live([new], reference)
    parts = [sketch_live([part], reference).columns[0].numbers for part in new.iter_slices(1700)]
    added = reduce(merge_numbers, [part for part in parts if part is not None])
    column = msgspec.structs.replace(whole.columns[0], numbers=added)
    assert compare(reference, msgspec.structs.replace(whole, columns=(column,))).drift == compare(old, new).drift


def test_no_p_value_of_permutations_is_zero_however_far_both_sides_are_apart() -> None:
    """k of P permutations as p: the observed labelling is not counted, and p is 0.

    SeldonIO/alibi-detect#960 (ten places); read in evidently 0.7.23, `mmd_stattest.py`, with 100 permutations.
    """
    apart = normal(200, 1), normal(200, 2, 50.0)
    judged = multivariate(*apart)
    assert {test.name: test.p for test in judged.tests} == {"mmd": 1 / 1000, "domain": 2 / 1000}
    assert all(test.drifted for test in judged.tests)
    few = multivariate(*apart, rounds=99)
    assert {test.name: test.p for test in few.tests} == {"mmd": 1 / 100, "domain": 2 / 100}
    assert set(few.refused) == {"domain"}, "a p that cannot be small enough is said to be one"


def test_the_null_is_of_both_sides_and_not_of_the_reference_alone() -> None:
    """Bootstrapped from the reference alone, the null of an embedding's distance is close to 0, and all is drift.

    eth-easl/modyn#414 (Evidently's embeddings).
    """
    p = list[float]()
    for seed in range(12):
        random_ = np.random.default_rng(seed)
        old, new = (pl.DataFrame({"vector": random_.normal(size=(rows, 8))}) for rows in (400, 80))
        judged = multivariate(old, new, methods=["mmd"], embedding="vector", rounds=99, seed=seed)
        assert not any(test.drifted for test in judged.tests)
        p += [test.p for test in judged.tests]
    assert np.median(p) > 0.3


def test_the_memory_of_a_joint_test_does_not_grow_with_the_square_of_the_rows() -> None:
    """The whole kernel of both: 20,000 and 20,000 rows are 12.8 GB. SeldonIO/alibi-detect#597; evidently, too."""
    old, new = (pl.DataFrame(np.random.default_rng(seed).normal(size=(20_000, 3))) for seed in (1, 2))
    tracemalloc.start()
    try:
        judged = multivariate(old, new, methods=["mmd"], rounds=19)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert judged.rows + judged.reference_rows == 40_000
    assert peak < 600 * 2**20


def test_generators_that_others_draw_from_are_left_alone() -> None:
    """A permutation test that calls `np.random.seed(0)`: everything drawn after a report is the same in each process.

    Read in evidently 0.7.23, `stattests/utils.py`, `permutation_test`.
    """
    random.seed(3)
    np.random.seed(3)
    expected = random.random(), np.random.random()
    random.seed(3)
    np.random.seed(3)
    old, new = weeks(4, 1), weeks(4, 2)
    report = compare(old, new)
    by_blocks(report.drift, report.reference, batches_of(old), batches_of(new), "week")
    multivariate(old, new, block="week", rounds=19)
    assert (random.random(), np.random.random()) == expected
