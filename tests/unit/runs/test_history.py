"""What a metric's history shows by default, and what it keeps."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import NotFound
from charkh.core.ids import new_id
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.journal import DataHeader
from charkh.ports.store import Store
from charkh.runs import history
from charkh.runs.find import by_id
from charkh.runs.history import metric_histories, metric_history, metric_names
from charkh.runs.index import PROJECTION
from charkh.runs.points import CONTENT, encode_record
from charkh.runs.seal import seal_ended
from charkh.runs.start import start
from charkh.testing.stores import memory_store

Points = list[tuple[int, float]]


def write(
    store: Store, run: str, writer: str, attempt: int, points: Points, *, live: bool = False, at: int = 0
) -> None:
    header = DataHeader(segment=new_id(), content=CONTENT, subject=f"run:{run}", writer=writer, attempt=attempt)
    data = store.journal.open_data(header)
    for number, (step, value) in enumerate(points):
        data.append(encode_record((1e9 + 1000 * at + number, step, {"loss": value})))
    if not live:
        data.close()


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, LINEAGE)


@pytest.fixture
def run(store: Store) -> str:
    started = start(store)
    started.end()
    return started.id


def shown(store: Store, run: str) -> Points:
    curve = metric_history(store, run, "loss")
    return list(zip(curve.steps.tolist(), curve.values.tolist(), strict=True))


def test_rank_0_shows_and_the_rest_is_kept(store: Store, run: str) -> None:
    write(store, run, "10", 1, [(0, 10.0)])
    write(store, run, "2", 1, [(0, 2.0)])
    assert shown(store, run) == [(0, 2.0)]
    write(store, run, "0.55", 1, [(0, 0.5), (1, 0.5)])
    assert shown(store, run) == [(0, 0.5), (1, 0.5)]
    write(store, run, "0", 1, [(0, 0.0)], live=True)
    assert shown(store, run) == [(0, 0.0)]
    assert by_id(store, run).metrics == {"loss": 0.0}
    seal_ended(store)
    assert shown(store, run) == [(0, 0.0)]
    assert by_id(store, run).metrics == {"loss": 0.0}
    assert [curve.writer for curve in metric_histories(store, run, "loss")] == ["0", "0.55", "2", "10"]


def test_of_steps_that_two_attempts_logged_the_later_shows(store: Store, run: str) -> None:
    write(store, run, "0", 1, [(0, 1.0), (1, 1.0), (2, 1.0), (2, 1.5)])
    write(store, run, "0", 2, [(1, 2.0), (3, 2.0)])
    write(store, run, "0", 3, [(1, 3.0), (1, 3.5)])
    assert shown(store, run) == [(0, 1.0), (1, 3.0), (1, 3.5), (2, 1.0), (2, 1.5), (3, 2.0)]
    (kept,) = metric_histories(store, run, "loss")
    assert len(kept) == 8
    assert [(point.step, point.attempt) for point in kept.points()][:4] == [(0, 1), (1, 1), (1, 2), (1, 3)]


def test_segments_of_one_attempt_are_one_curve(store: Store, run: str) -> None:
    write(store, run, "0", 1, [(0, 1.0), (1, 1.0)])
    write(store, run, "0", 1, [(1, 2.0), (2, 2.0)], at=1)
    assert shown(store, run) == [(0, 1.0), (1, 1.0), (1, 2.0), (2, 2.0)]


def test_equal_points_count_once(store: Store, run: str) -> None:
    write(store, run, "0", 1, [(0, 1.0), (0, 2.0), (1, float("nan"))])
    write(store, run, "0", 1, [(0, 1.0), (0, 2.0), (1, float("nan"))])
    np.testing.assert_array_equal(shown(store, run), [(0, 1.0), (0, 2.0), (1, float("nan"))])


def test_contexts_are_told_apart(store: Store) -> None:
    with start(store) as run:
        run.log({"loss": 1.0}, step=0, context="train")
        run.log({"loss": 2.0}, step=0, context="val")
    assert metric_history(store, run.id, "loss", context="val").values.tolist() == [2.0]
    assert by_id(store, run.id).metrics == {"loss[train]": 1.0, "loss[val]": 2.0}
    assert {each.name for each in metric_names(store, run.id)} == {"loss[train]", "loss[val]"}
    with pytest.raises(NotFound, match=r"no metric 'loss'") as caught:
        metric_history(store, run.id, "loss")
    assert "loss[train]" in caught.value.hint
    with pytest.raises(NotFound) as empty:
        metric_history(store, new_id(), "loss")
    assert "no metrics" in empty.value.hint


def test_of_a_large_blob_only_the_series_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "WHOLE_BYTES", 10)
    with start(store) as run:
        for step in range(2000):
            run.log({"loss": step / 7, "noise": (step * 7919 % 10007) / 10007}, step=step)
    asked: list[int] = []
    read = store.vault.read

    def counting(ref: Any, begin: int = 0, length: int | None = None) -> Any:
        assert length is not None
        asked.append(length)
        return read(ref, begin, length)

    monkeypatch.setattr(store.vault, "read", counting)
    curve = metric_history(store, run.id, "loss")
    assert curve.values.tolist() == [step / 7 for step in range(2000)]
    assert len(asked) == 5


def naive(parts: list[tuple[str, int, Points]]) -> Points:
    writers = sorted({writer for writer, _, points in parts if points}, key=int)
    if not writers:
        return []
    by_attempt: dict[int, Points] = {}
    for writer, attempt, points in parts:
        if writer == writers[0]:
            by_attempt.setdefault(attempt, []).extend(points)
    found: Points = []
    for attempt, points in by_attempt.items():
        later = {step for other, theirs in by_attempt.items() if other > attempt for step, _ in theirs}
        found += [point for point in points if point[0] not in later]
    return sorted(found, key=lambda point: point[0])


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["0", "1", "12"]),
            st.integers(1, 3),
            st.lists(st.tuples(st.integers(0, 6), st.integers(0, 10_000).map(float)), max_size=8),
        ),
        max_size=5,
    ),
    st.booleans(),
)
def test_the_rule_by_a_plain_loop(parts: list[tuple[str, int, Points]], sealed: bool) -> None:
    store = memory_store(PROJECTION, LINEAGE)
    started = start(store)
    started.end()
    # Values apart, so that no two points are equal by chance.
    parts = [
        (
            writer,
            attempt,
            [(step, value + 20_000.0 * number + 0.001 * place) for place, (step, value) in enumerate(points)],
        )
        for number, (writer, attempt, points) in enumerate(parts)
    ]
    for number, part in enumerate(parts):
        write(store, started.id, *part, at=number)
    expected = naive(parts)
    if sealed:
        seal_ended(store)
    if not expected:
        with pytest.raises(NotFound):
            shown(store, started.id)
        return
    assert shown(store, started.id) == expected
    (metric,) = by_id(store, started.id).metrics.values()
    assert metric == expected[-1][1]


@pytest.mark.parametrize("sealed", [False, True])
def test_steps_and_values_keep_every_bit(store: Store, run: str, sealed: bool) -> None:
    """Steps beyond what a float64 counts, and NaN that carries something."""
    (odd,) = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_DEAD_BEEF))
    points = [(2**53, 1.0), (2**53 + 1, odd), (2**62 - 1, float("inf")), (-(2**62) + 1, -0.0)]
    write(store, run, "0", 1, points)
    if sealed:
        seal_ended(store)
    curve = metric_history(store, run, "loss")
    logged = sorted(points, key=lambda point: point[0])
    assert curve.steps.tolist() == [step for step, _ in logged]
    assert curve.values.tobytes() == struct.pack("<4d", *(value for _, value in logged))
