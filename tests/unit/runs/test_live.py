"""Segments that grow while others look: what was read is not read again, and adds up to the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charkh.core.ids import new_id
from charkh.ports.journal import DataHeader, DataSegment, Record
from charkh.ports.store import Store
from charkh.runs import live
from charkh.runs.history import metric_history, metric_names
from charkh.runs.membership import CLIENT_WRITER, MAIN_WRITER
from charkh.runs.points import CONTENT, collect_series, encode_record
from charkh.runs.search import search
from charkh.runs.start import start
from charkh.workspace.workspace import open_workspace

POINTS = st.lists(
    st.tuples(
        st.integers(0, 5).map(float),
        st.integers(-2, 3),
        st.dictionaries(st.sampled_from("ab"), st.floats(allow_nan=False, width=16), min_size=1),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_workspace(tmp_path_factory.mktemp("live"), create=True).store


def segment_of(store: Store, header: DataHeader) -> DataSegment:
    return next(each for each in store.journal.list_data() if each.header.segment == header.segment)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(points=POINTS, cut=st.integers(0, 12), name=st.sampled_from([MAIN_WRITER, CLIENT_WRITER]))
def test_two_looks_see_what_one_sees(
    store: Store, points: list[tuple[float, int, dict[str, float]]], cut: int, name: str
) -> None:
    header = DataHeader(segment=new_id(), content=CONTENT, subject=f"run:{new_id()}", writer=name)
    writer = store.journal.open_data(header)
    payloads = [encode_record(point) for point in points]
    writer.append_many(payloads[:cut])
    live.open_summaries(store, segment_of(store, header))
    writer.append_many(payloads[cut:])
    seen = live.open_summaries(store, segment_of(store, header))
    whole = [each.summary(by_time=name == CLIENT_WRITER) for each in collect_series(payloads)[1]]
    assert sorted(seen, key=lambda each: each.key) == sorted(whole, key=lambda each: each.key)
    writer.close()
    store.journal.drop_data(header.segment)


def test_only_what_was_added_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    header = DataHeader(segment=new_id(), content=CONTENT, subject=f"run:{new_id()}", writer=CLIENT_WRITER)
    writer = store.journal.open_data(header)
    writer.append_many([encode_record((1.0, step, {"a": float(step)})) for step in range(100)])
    live.open_summaries(store, segment_of(store, header))
    read: list[Record] = []
    real = store.journal.read_data

    def noted(segment: str, start: int = 0) -> Iterator[Record]:
        for record in real(segment, start):
            read.append(record)
            yield record

    monkeypatch.setattr(store.journal, "read_data", noted)
    writer.append(encode_record((2.0, 7, {"a": 0.5})))
    (seen,) = live.open_summaries(store, segment_of(store, header))
    assert (seen.count, seen.last_step, seen.last) == (101, 99, 99.0)
    assert [record.ordinal for record in read] == [100]
    assert live.open_summaries(store, segment_of(store, header)) == (seen,)
    assert len(read) == 1
    writer.close()


def test_clients_points_show_by_step_then_time_then_value(tmp_path: Path) -> None:
    store = open_workspace(tmp_path, create=True).store
    header = DataHeader(segment=new_id(), content=CONTENT, subject=f"run:{new_id()}", writer=CLIENT_WRITER)
    writer = store.journal.open_data(header)
    for moment, value in ((5.0, 1.0), (9.0, 2.0), (9.0, 3.0), (9.0, 2.5), (7.0, 8.0)):
        writer.append(encode_record((moment, 4, {"a": value})))
        live.open_summaries(store, segment_of(store, header))
    (seen,) = live.open_summaries(store, segment_of(store, header))
    assert seen.last == 3.0
    writer.close()


@pytest.mark.parametrize("look", ["history", "names", "search"])
def test_a_segment_that_is_sealed_while_it_is_looked_at_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    store = open_workspace(tmp_path, create=True).store
    run = start(store)
    run.log({"a": 4.0})
    real = store.journal.read_data

    def sealed_before(segment: str, begin: int = 0) -> Iterator[Record]:
        run.end()
        return real(segment, begin)

    monkeypatch.setattr(store.journal, "read_data", sealed_before)
    if look == "history":
        assert metric_history(store, run.id, "a").values.tolist() == [4.0]
    elif look == "names":
        assert [each.last for each in metric_names(store, run.id)] == [4.0]
    else:
        (found,) = search(store, "metrics.a > 3")
        assert found.metrics == {"a": 4.0}
    assert run.ended
