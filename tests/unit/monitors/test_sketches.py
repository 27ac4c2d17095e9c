"""Sketches: counts that no batching changes, distances whose error is bounded, memory that rows do not change."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Corrupt
from charkh.monitors.bins import EXACT, distances, number_bins
from charkh.monitors.compare import compare, drift_of
from charkh.monitors.drift import Thresholds, drift
from charkh.monitors.sketches.categories import CATEGORIES, CategoryCounter, CategorySketch, merge_categories
from charkh.monitors.sketches.compare import category_bins_of, kolmogorov_smirnov_of, number_bins_of, wasserstein_of
from charkh.monitors.sketches.numbers import (
    GRID,
    NumberCounter,
    NumberSketch,
    edges_of,
    empty_numbers,
    merge_numbers,
)
from charkh.monitors.sketches.table import (
    SAMPLE,
    batches_of,
    decode_sketch,
    encode_sketch,
    sample_of,
    sketch_live,
    sketch_reference,
)

ROWS = 60_000


def counted(values: pl.Series, edges: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> NumberSketch:
    counter = NumberCounter(empty_numbers(edges))
    counter.add(values)
    return counter.done()


def sketched(old: pl.Series, new: pl.Series) -> tuple[NumberSketch, NumberSketch]:
    edges = edges_of(old)
    return counted(old, edges), counted(new, edges)


def shapes(seed: int, rows: int = ROWS) -> dict[str, tuple[pl.Series, pl.Series]]:
    """Pairs of columns of one name each: smooth, heavy-tailed, with ties, of few values, far from zero."""
    random = np.random.default_rng(seed)
    normal, other = random.normal(size=rows), random.normal(0.3, 1.2, rows)
    pairs = {
        "normal": (normal, other),
        "same": (normal, random.normal(size=rows)),
        "heavy": (random.standard_cauchy(rows), random.standard_cauchy(rows) * 2),
        "zeros": (np.where(random.random(rows) < 0.6, 0, normal), np.where(random.random(rows) < 0.4, 0, other)),
        "whole": (random.poisson(3, rows).astype(float), random.poisson(4, rows).astype(float)),
        "far": (1e9 + normal, 1e9 + other),
        "wide": (np.exp(8 * normal), np.exp(8 * other)),
    }
    return {name: (pl.Series("x", old), pl.Series("x", new)) for name, (old, new) in pairs.items()}


@pytest.mark.parametrize("name", ["normal", "same", "heavy", "zeros", "whole", "far", "wide"])
def test_the_exact_distances_lie_within_the_bounds(name: str) -> None:
    old, new = shapes(1)[name]
    reference, live = sketched(old, new)
    a, b = np.sort(old.to_numpy()), np.sort(new.to_numpy())
    ks, moved = kolmogorov_smirnov_of(reference, live), wasserstein_of(reference, live)
    exact, area = distances(a, b)
    assert ks.value - 1e-12 <= exact <= ks.value + ks.error + 1e-12
    assert ks.error <= 2 / GRID
    assert moved.value * (1 - 1e-6) - 1e-9 <= area <= (moved.value + moved.error) * (1 + 1e-6) + 1e-9
    if name == "whole":
        assert (ks.error, moved.error) == (0.0, 0.0), "each value has a bin of its own"


@pytest.mark.parametrize("name", ["normal", "zeros", "whole", "far", "wide"])
def test_the_bins_of_psi_are_those_of_sorted_columns(name: str) -> None:
    old, new = shapes(2)[name]
    exact, found = number_bins(old, new, 10), number_bins_of(*sketched(old, new), 10)
    assert (found.reference.sum(), found.live.sum()) == (ROWS, ROWS)
    filled = exact.reference + exact.live > 0, found.reference + found.live > 0
    assert len(found.reference[filled[1]]) == len(exact.reference[filled[0]])
    assert np.abs(found.reference[filled[1]] - exact.reference[filled[0]]).max() <= 2 * ROWS / GRID


@settings(max_examples=40)
@given(st.lists(st.none() | st.floats(), max_size=80), st.lists(st.integers(0, 80), max_size=4))
def test_no_batching_changes_a_sketch(values: list[float | None], cuts: list[int]) -> None:
    whole = pl.Series("x", values, dtype=pl.Float64)
    edges = edges_of(whole)
    at = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    parts = [counted(whole[begin:end], edges) for begin, end in pairwise(at)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merge_numbers(merged, part)
    once = counted(whole, edges)
    assert (merged.sizes, merged.rows, merged.missing, merged.infinite) == (
        once.sizes,
        once.rows,
        once.missing,
        once.infinite,
    )
    assert once.counts.sum() == once.known == sum(value is not None and np.isfinite(value) for value in values)
    assert (merged.least, merged.greatest) == (once.least, once.greatest)


def test_sketches_over_different_edges_do_not_add_up() -> None:
    old, new = shapes(1, 100)["normal"]
    with pytest.raises(ValueError, match="different edges"):
        merge_numbers(counted(old, edges_of(old)), counted(old, edges_of(new)))


def test_the_sample_is_bounded_and_spread_over_all_rows() -> None:
    batches = [pl.DataFrame({"x": range(begin, begin + 1000)}) for begin in range(0, 50_000, 1000)]
    kept = sample_of(batches, 3000)["x"]
    assert 1500 <= len(kept) <= 3000
    assert set(kept.diff().drop_nulls().to_list()) == {32}, "every 32nd of all"
    assert sample_of(batches[:2], 3000).height == 2000
    assert SAMPLE >= 100_000


def test_what_is_kept_does_not_grow_with_the_rows() -> None:
    sizes = list[int]()
    for rows in (30_000, 300_000):
        random = np.random.default_rng(rows)
        table = pl.DataFrame({"x": random.normal(size=rows), "c": random.choice(list("abcdef"), rows)})
        sizes.append(len(encode_sketch(sketch_reference(batches_of(table)))))
    assert sizes[1] == pytest.approx(sizes[0], abs=40)


def test_a_sketch_survives_its_bytes_and_garbage_is_refused() -> None:
    table = pl.DataFrame({"x": [1.0, None], "c": ["a", None], "b": [True, None], "l": [[1], None], "n": [None, None]})
    sketch = sketch_reference(batches_of(table))
    assert decode_sketch(encode_sketch(sketch)) == sketch
    assert [(each.kind, each.missing) for each in sketch.columns] == [
        ("number", 1),
        ("category", 1),
        ("category", 1),
        ("", 1),
        ("anything", 2),
    ]
    with pytest.raises(Corrupt):
        decode_sketch(b"garbage")


def test_lazy_tables_give_what_frames_give(tmp_path: object) -> None:
    random = np.random.default_rng(3)
    old, new = (
        pl.DataFrame(
            {
                "x": random.normal(shift, 1, ROWS),
                "c": random.choice(["a", "b", "c"], ROWS, p=shares),
                "gaps": np.where(random.random(ROWS) < gaps, np.nan, 1.0),
            }
        )
        for shift, shares, gaps in ((0.0, (0.5, 0.3, 0.2), 0.1), (0.5, (0.2, 0.3, 0.5), 0.4))
    )
    eager, lazy = compare(old, new).drift, compare(old.lazy(), new.lazy()).drift
    assert lazy == eager
    whole = drift(old, new)
    for found, exact in zip(eager.columns, whole.columns, strict=True):
        assert found.drifted == exact.drifted
        assert found.psi == pytest.approx(exact.psi, abs=0.01)
        assert found.missing == exact.missing
    asked = compare(old.lazy(), new.lazy(), thresholds=Thresholds(exact=True)).drift
    assert asked == drift(old, new, thresholds=Thresholds(exact=True))
    assert asked.columns[0].ks_error == 0.0 < eager.columns[0].ks_error


def test_live_batches_add_up_to_one_report() -> None:
    old, new = (pl.DataFrame({"x": side}) for side in shapes(5)["normal"])
    reference = sketch_reference(batches_of(old))
    halves = [sketch_live([part], reference).columns[0].numbers for part in (new.head(999), new.tail(-999))]
    whole = sketch_live([new], reference).columns[0].numbers
    assert halves[0] is not None
    assert halves[1] is not None
    assert whole is not None
    assert merge_numbers(halves[0], halves[1]).sizes == whole.sizes


def test_categories_beyond_the_bound_are_let_go_and_none_is_called_new() -> None:
    names = pl.Series("c", [f"N{number}" for number in range(CATEGORIES + 500)])
    counter = CategoryCounter()
    counter.add(names)
    counter.add(pl.Series("c", ["N0"] * 100))
    many = counter.done()
    assert len(many.values) == CATEGORIES
    assert (many.known, many.dropped) == (len(names) + 100, 500)
    live = CategorySketch(values=("never seen", "N0"), sizes=(900, 100), rows=1000)
    bins = category_bins_of(many, live, 50)
    assert (bins.new, bins.reference.sum(), bins.live.sum()) == (0, many.known, 1000)
    assert merge_categories(live, live).sizes == (1800, 200)


@pytest.mark.parametrize("rows", [EXACT, 200_000])
def test_two_large_samples_of_one_distribution_are_no_drift(rows: int) -> None:
    for seed in range(3):
        for name, (old, _) in shapes(seed, rows).items():
            new = shapes(seed + 50, rows)[name][0]
            report = compare(old.to_frame(), new.to_frame()).drift
            assert (report.drifted, report.psi > 0.01) == (0.0, False), name


def test_numbers_that_are_texts_now_are_named_and_not_compared() -> None:
    old = pl.DataFrame(
        {
            "x": np.arange(100.0),
            "y": range(100),
            "t": pl.datetime_range(pl.datetime(2020, 1, 1), pl.datetime(2020, 1, 5), "1h", eager=True)[
                :97
            ].extend_constant(None, 3),
        }
    )
    new = old.with_columns(pl.col("x").cast(pl.String), pl.lit(5).alias("y"))
    found = compare(old.lazy(), new.lazy())
    assert found.quality.retyped == {"x": "Float64 → String"}
    assert set(found.drift.skipped) == {"x", "t"}
    assert [each.column for each in found.quality.columns if each.stuck] == ["y"]
    assert drift_of(found.reference, found.live) == found.drift


def test_infinities_are_counted_and_reach_no_sum() -> None:
    values = pl.Series("x", [float("inf"), float("-inf"), float("nan"), None, 1.0, 1e308, -1e308])
    reference, live = sketched(values, values)
    assert (reference.known, reference.missing, reference.infinite) == (3, 2, 2)
    assert kolmogorov_smirnov_of(reference, live).value == 0.0
    assert np.isfinite(reference.totals).all()
