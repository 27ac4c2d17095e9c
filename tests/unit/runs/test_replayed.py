"""Whether two runs came to the same, and by how much they did not."""

import math
from collections.abc import Mapping

import pytest

from charkh.runs.find import find
from charkh.runs.index import PROJECTION
from charkh.runs.replayed import compare_outcomes
from charkh.runs.run import Run
from charkh.runs.start import start
from charkh.testing.stores import memory_store

STORE = memory_store(PROJECTION)


def made(values: Mapping[str, float], files: Mapping[str, bytes] | None = None, **params: object) -> Run:
    with start(STORE, params=params) as run:
        run.log(values)
        for path, content in (files or {}).items():
            run.add_artifact(path, content)
    return find(STORE, run.id)


def told(first: Run, second: Run, tolerance: float = 0.0) -> list[tuple[str, str, float | None]]:
    found = compare_outcomes(STORE, first, second, tolerance=tolerance)
    return [(each.what, each.name, each.absolute) for each in found.differences]


def test_equal_to_the_last_bit_and_nan_is_nan() -> None:
    first = made({"loss": 0.1 + 0.2, "nan": math.nan, "inf": math.inf}, {"a.txt": b"a"}, rate=1)
    assert told(first, made({"loss": 0.1 + 0.2, "nan": math.nan, "inf": math.inf}, {"a.txt": b"a"}, rate=1)) == []
    assert [each[1] for each in told(first, made({"loss": 0.3, "nan": 1.0, "inf": 1.0}, {"a.txt": b"a"}, rate=1))] == [
        "inf",
        "loss",
        "nan",
    ]


def test_a_tolerance_is_a_share_of_the_greater() -> None:
    first, second = made({"loss": 100.0, "zero": 0.0}), made({"loss": 101.0, "zero": 0.0})
    assert told(first, second, 0.01) == []
    assert told(first, second, 0.009) == [("metric", "loss", pytest.approx(1.0))]


def test_what_one_has_not_differs() -> None:
    first = made({"loss": 1.0}, {"a.txt": b"a", "b.txt": b"b"}, rate=1, depth=None)
    second = made({"auc": 1.0}, {"a.txt": b"other"}, rate=2)
    assert {each[:2] for each in told(first, second, 1.0)} == {
        ("metric", "loss"),
        ("metric", "auc"),
        ("file", "a.txt"),
        ("file", "b.txt"),
        ("param", "rate"),
        ("param", "depth"),
    }
