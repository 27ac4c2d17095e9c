"""Types as text and back, and the one type that two columns share."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.datasets.dtypes import MAX_TEXT, dtype_text, parse_dtype, widest

SIMPLE = [
    pl.Int8(),
    pl.Int64(),
    pl.UInt32(),
    pl.Int128(),
    pl.Float32(),
    pl.Float64(),
    pl.Boolean(),
    pl.String(),
    pl.Null(),
]
TIMES = [pl.Date(), pl.Time(), pl.Datetime("us"), pl.Datetime("ns", "Asia/Tehran"), pl.Duration("ms")]
FLAT = st.sampled_from([*SIMPLE, *TIMES, pl.Binary(), pl.Decimal(10, 2), pl.Categorical()])
NAMES = st.text(max_size=8)
NESTED = st.recursive(
    FLAT,
    lambda inner: st.one_of(
        inner.map(pl.List),
        st.tuples(inner, st.integers(1, 4)).map(lambda pair: pl.Array(pair[0], pair[1])),
        st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(pl.Struct),
    ),
    max_leaves=4,
)


@given(NESTED)
def test_a_type_is_read_as_it_was_written(dtype: pl.DataType) -> None:
    text = dtype_text(dtype)
    assert len(text) <= MAX_TEXT
    assert parse_dtype(text) == dtype or text == type(dtype).__name__


def test_an_enum_does_not_tell_its_categories() -> None:
    assert dtype_text(pl.Enum(["ann", "bob"])) == "Enum"


@given(st.text(max_size=50))
def test_any_text_is_a_type_or_none(text: str) -> None:
    found = parse_dtype(text)
    assert found is None or isinstance(found, pl.DataType)


@pytest.mark.parametrize("text", ["Enum", "List", "Datetime", "print('x')", "Int64.x", "List(", "1", "", "Int64()()"])
def test_what_says_no_whole_type_is_none(text: str) -> None:
    assert parse_dtype(text) is None


@pytest.mark.parametrize(
    ("first", "second", "wide"),
    [
        (pl.Int64(), pl.Int64(), pl.Int64()),
        (pl.Int64(), pl.Null(), pl.Int64()),
        (pl.Null(), pl.String(), pl.String()),
        (pl.Int64(), pl.Float64(), pl.Float64()),
        (pl.Int32(), pl.Int64(), pl.Int64()),
        (pl.Int64(), pl.Int128(), pl.Int128()),
        (pl.Date(), pl.Datetime("us"), pl.Datetime("us")),
        (pl.Int64(), pl.String(), None),
        (pl.Boolean(), pl.Int64(), None),
        (pl.UInt64(), pl.Int64(), pl.Int128()),
        (pl.Decimal(10, 2), pl.Float64(), pl.Float64()),
        (pl.Decimal(10, 2), pl.Decimal(10, 3), None),
        (pl.Datetime("us"), pl.Datetime("us", "UTC"), None),
    ],
)
def test_the_widest(first: pl.DataType, second: pl.DataType, wide: pl.DataType | None) -> None:
    assert widest(first, second) == widest(second, first) == wide
