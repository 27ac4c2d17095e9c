"""Records, columns and sealed blobs keep every bit of every point."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Corrupt
from charkh.runs.points import Series, SeriesName, collect_series, encode_record
from charkh.runs.sealed_points import MAGIC, encode_blob, read_index, read_series

KEYS = st.sampled_from(["loss", "auc", "lr", "grad/norm"])
VALUES = st.floats(allow_nan=True, allow_infinity=True)
CALLS = st.lists(
    st.tuples(
        st.integers(0, 4_000_000_000).map(lambda micros: micros / 1e6 + 1.7e9),
        st.integers(-(1 << 62) + 1, (1 << 62) - 1) | st.integers(0, 50),
        st.dictionaries(KEYS, VALUES, max_size=4),
        st.sampled_from(["", "train", "val"]),
    ),
    max_size=60,
)
Naive = dict[tuple[str, str], list[tuple[int, int, bytes]]]


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def naive(calls: list[Any]) -> Naive:
    found: Naive = {}
    for time, step, values, context in calls:
        for key, value in values.items():
            found.setdefault((key, context), []).append((step, round(time * 1e6), bits(value)))
    return found


def plain(series: list[Series]) -> Naive:
    return {
        (each.name.key, each.name.context): [
            (int(step), int(time), bits(float(value)))
            for step, time, value in zip(each.steps, each.times, each.values, strict=True)
        ]
        for each in series
    }


def encoded(calls: list[Any]) -> list[bytes]:
    return [encode_record((*call[:3], call[3]) if call[3] else call[:3]) for call in calls]


def unsealed(blob: bytes) -> list[Series]:
    def read(start: int, length: int) -> bytes:
        return blob[start : start + length]

    placed = read_index(read)
    return [read_series(read, placed, each) for each in placed.index.series]


@given(CALLS)
def test_columns_hold_what_was_logged_in_the_order_of_logging(calls: list[Any]) -> None:
    records, series = collect_series(encoded(calls))
    assert records == len(calls)
    assert plain(series) == naive(calls)


@given(CALLS)
def test_a_blob_gives_back_every_bit(calls: list[Any]) -> None:
    _, series = collect_series(encoded(calls))
    summaries = [each.summary() for each in series]
    blob = encode_blob(series, summaries)
    assert plain(unsealed(blob)) == naive(calls)
    assert encode_blob(list(series), list(summaries)) == blob


@given(CALLS)
def test_a_summary_says_what_the_points_say(calls: list[Any]) -> None:
    _, series = collect_series(encoded(calls))
    for each in series:
        points = naive(calls)[each.name.key, each.name.context]
        summary = each.summary()
        numbers = [number for (number,) in (struct.unpack("<d", point[2]) for point in points)]
        known = [number for number in numbers if not math.isnan(number)]
        greatest = max(point[0] for point in points)
        last = [point for point in points if point[0] == greatest][-1]
        assert summary.count == len(points)
        assert (summary.first_step, summary.last_step) == (min(point[0] for point in points), greatest)
        assert bits(summary.last) == last[2]
        if known:
            assert (summary.low, summary.high) == (min(known), max(known))
        else:
            assert math.isnan(summary.low)
            assert math.isnan(summary.high)


def test_metrics_that_are_logged_together_share_their_columns() -> None:
    generator = np.random.default_rng(1)
    names = [f"metric_{number}" for number in range(50)]
    rows = generator.random((1000, 50)).astype(np.float32).astype(float)
    calls = [
        encode_record((1.7e9 + step / 7, step, dict(zip(names, row.tolist(), strict=True))))
        for step, row in enumerate(rows)
    ]
    _, series = collect_series(calls)
    blob = encode_blob(series, [each.summary() for each in series])
    index = read_index(lambda start, length: blob[start : start + length]).index
    assert len({each.steps.offset for each in index.series}) == 1
    assert len({each.values.offset for each in index.series}) == 50
    assert len(blob) / rows.size < 6


@pytest.mark.parametrize("damage", ["start", "index", "column", "short", "count"])
def test_damage_is_named(damage: str) -> None:
    name = SeriesName("loss", "")
    ones = np.arange(100, dtype=np.int64)
    series = [Series(name, ones, ones + 5, ones / 3)]
    summaries = [each.summary() for each in series]
    if damage == "count":
        other = Series(name, ones[:9], ones[:9], ones[:9] / 3)
        blob = encode_blob(series, [other.summary()])
    else:
        blob = encode_blob(series, summaries)
    broken = {
        "start": b"x" + blob[1:],
        "index": blob[: len(MAGIC) + 8] + b"\0\0\0\0" + blob[len(MAGIC) + 12 :],
        "column": blob[:-10] + b"\0" * 10,
        "short": blob[:10],
        "count": blob,
    }
    with pytest.raises(Corrupt):
        unsealed(broken[damage])


def test_a_record_that_is_none_is_named() -> None:
    with pytest.raises(Corrupt, match="metric record"):
        collect_series([b"\xc1"])
