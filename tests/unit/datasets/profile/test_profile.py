"""Profiles: what they say is so, within the bounds that they state, and the whole is the merge of its parts."""

import datetime
import math
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Corrupt, Invalid
from charkh.datasets.profile.distinct import ERROR, KEPT, hashed_texts
from charkh.datasets.profile.histogram import BINS, keys_of, quantiles_of, values_of
from charkh.datasets.profile.measure import profile_frame, profile_lazily
from charkh.datasets.profile.merge import merge_profiles
from charkh.datasets.profile.metrics import metrics_of
from charkh.datasets.profile.moments import Moments
from charkh.datasets.profile.profile import TableProfile, decode_profile, encode_profile

SCHEMA: dict[str, Any] = {"i": pl.Int64, "x": pl.Float64, "s": pl.String, "b": pl.Boolean, "t": pl.Datetime("us")}
Row = dict[str, Any]
rows = st.lists(
    st.fixed_dictionaries(
        {
            "i": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-3, 3)),
            "x": st.one_of(st.none(), st.floats(), st.floats(-3, 3, width=16)),
            "s": st.one_of(st.none(), st.text(max_size=30)),
            "b": st.one_of(st.none(), st.booleans()),
            "t": st.one_of(st.none(), st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))),
        }
    ),
    max_size=30,
)


def frame_of(records: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(records, schema=SCHEMA)


def assert_same(one: TableProfile, other: TableProfile) -> None:
    """Equal but for the last digits of moments, which depend on the order of additions."""
    for first, second in zip(one.columns, other.columns, strict=True):
        for name in ("moments", "lengths"):
            mine, theirs = getattr(first, name), getattr(second, name)
            assert (mine.count, mine.least, mine.greatest) == (theirs.count, theirs.least, theirs.greatest)
            if math.isfinite(mine.squares) and math.isfinite(theirs.squares):
                scale = max(abs(mine.least), abs(mine.greatest)) if mine.count else 1.0
                assert mine.mean == pytest.approx(theirs.mean, rel=1e-9, abs=1e-9 * scale)
                assert mine.squares == pytest.approx(theirs.squares, rel=1e-6, abs=1e-9 * scale * scale)
        plain = {"moments": Moments(), "lengths": Moments()}
        assert msgspec.structs.replace(first, **plain) == msgspec.structs.replace(second, **plain)
    assert one.rows == other.rows


@settings(max_examples=100, deadline=None)
@given(rows, rows)
def test_the_whole_is_the_merge_of_its_parts(before: list[Row], appended: list[Row]) -> None:
    parts = profile_frame(frame_of(before)), profile_frame(frame_of(appended))
    whole = profile_frame(frame_of(before + appended))
    assert_same(merge_profiles(*parts), whole)
    assert_same(merge_profiles(parts[1], parts[0]), whole)
    assert decode_profile(encode_profile(whole)) == whole


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(1, 19), st.sampled_from(["normal", "lognormal", "uniform", "offset", "small"])
)
def test_parts_of_many_rows_merge_as_exactly(seed: int, cut: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    size = 20_000
    values = {
        "normal": random.normal(size=size),
        "lognormal": random.lognormal(0, 8, size),
        "uniform": random.uniform(-1e6, 1e6, size),
        "offset": 1.7e15 + random.integers(0, 10**12, size).astype(float),
        "small": random.integers(0, 50, size).astype(float),
    }[kind]
    frame = pl.DataFrame({"x": values, "s": pl.Series(np.round(values, 1)).cast(pl.String)}).select(
        "x", pl.col("s").str.slice(0, 2)
    )
    place = cut * size // 20
    whole = profile_frame(frame)
    assert_same(merge_profiles(profile_frame(frame[:place]), profile_frame(frame[place:])), whole)
    column = whole.columns[0]
    histogram, distinct = column.histogram, column.distinct
    assert len(histogram.keys) <= BINS
    ordered = np.sort(values)
    for share, quantile in zip((0.01, 0.25, 0.5, 0.9), quantiles_of(histogram, [0.01, 0.25, 0.5, 0.9]), strict=True):
        low, high = np.searchsorted(ordered, quantile, "left"), np.searchsorted(ordered, quantile, "right")
        bound = histogram.rank_error * size + 1
        assert low - bound <= share * size <= high + bound
    assert distinct.count == pytest.approx(len(np.unique(values)), rel=0 if distinct.exact else 6 * ERROR)
    assert column.moments.deviation == pytest.approx(values.std(ddof=1))


def test_counts_of_many_texts_stay_within_their_bound() -> None:
    random = np.random.default_rng(3)
    texts = pl.Series("s", [f"w{int(value)}" for value in random.zipf(1.3, 30_000)])
    merged = merge_profiles(*(profile_frame(part.to_frame()) for part in (texts[:9000], texts[9000:]))).columns[0]
    counts = dict(texts.value_counts().rows())
    top = merged.texts
    assert not top.exact
    assert top.total == 30_000
    for text, count in top.items:
        assert count <= counts[text] <= count + top.unseen
    assert all(count <= top.unseen for text, count in counts.items() if text not in top.texts)
    assert top.texts[0] == texts.mode()[0]
    assert merged.distinct.count == pytest.approx(texts.n_unique(), rel=5 * ERROR)
    assert len(merged.distinct.hashes) == KEPT * 8


def test_what_a_profile_says() -> None:
    frame = pl.DataFrame(
        {
            "i": [0, -1, 3, None],
            "x": [1.0, math.nan, math.inf, 2.0],
            "s": ["Ab-12", "Ab-13", None, "a very long text with 30 signs"],
            "d": [datetime.date(2013, 1, 1), datetime.date(2013, 1, 3), None, None],
            "l": [[1], None, [2], [3]],
            "e": [None] * 4,
        }
    )
    profile = profile_frame(frame)
    metrics = metrics_of(profile)
    assert (metrics["rows"], metrics["columns"]) == (4, 6)
    assert (metrics["null_share(i)"], metrics["mean(i)"], metrics["median(i)"]) == (0.25, pytest.approx(2 / 3), 0)
    assert metrics["zero_share(i)"] == metrics["negative_share(i)"] == pytest.approx(1 / 3)
    assert (metrics["null_share(x)"], metrics["max(x)"], profile.columns[1].infinite) == (0.25, 2.0, 1)
    assert metrics["min(d)"] == 1356998400
    assert metrics["std(d)"] == pytest.approx(86400 * 2**0.5)
    assert profile.columns[2].shapes.items == (("Aa-99", 2), ("a+ a+ a+ a+ a+ 9+ a+", 1))
    assert metrics["mean_length(s)"] == pytest.approx(40 / 3)
    assert {name for name in metrics if name.endswith(("(l)", "(e)"))} == {"null_share(l)", "null_share(e)"}
    assert metrics_of(profile_frame(frame.clear()))["rows"] == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_keys_order_like_their_numbers(values: list[float]) -> None:
    numbers = np.array(values, np.float64)
    keys = keys_of(numbers)
    assert (values_of(keys) == numbers).all()
    assert (np.sort(keys) == keys_of(np.sort(numbers))).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=20))
def test_equal_texts_have_equal_hashes_wherever_they_stand(texts: list[bytes]) -> None:
    together = hashed_texts(b"".join(texts), np.array([len(text) for text in texts], np.int64))
    alone = [int(hashed_texts(text, np.array([len(text)]))[0]) for text in texts]
    assert together.tolist() == alone
    assert len(set(alone)) == len(set(texts))


def test_hashes_stay_what_they_are() -> None:
    """Profiles of other days are merged with today's."""
    assert hashed_texts(b"EWRJFK", np.array([3, 3, 0])).tolist() == [
        6491053718284474166,
        44351650461433556,
        16294208416658607535,
    ]


def test_a_lazy_table_is_profiled_batch_by_batch() -> None:
    frame = pl.DataFrame({"i": range(1000), "s": ["a", "b"] * 500})
    assert_same(profile_lazily(frame.lazy(), batch=100), profile_frame(frame))
    assert profile_lazily(frame.clear().lazy()).rows == 0


def test_other_columns_are_not_merged_and_other_bytes_not_read() -> None:
    one = profile_frame(pl.DataFrame({"a": [1]}))
    with pytest.raises(Invalid, match="cannot be merged"):
        merge_profiles(one, profile_frame(pl.DataFrame({"a": ["x"]})))
    for data in (b"", b"\xc1", encode_profile(msgspec.structs.replace(one, format=9))):
        with pytest.raises(Corrupt):
            decode_profile(data)
