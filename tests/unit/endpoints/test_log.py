"""What was answered is found again: from open segments, from sealed ones, and in between."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
import numpy as np
import polars as pl
import pytest

from charkh.core.errors import Corrupt, Invalid, NotFound, Unavailable
from charkh.core.ids import new_id
from charkh.endpoints.log import LoggedRequest, PredictionLog
from charkh.endpoints.log_index import SealedSegments
from charkh.endpoints.prediction import PredictionId, parse_prediction_id
from charkh.endpoints.read import prediction, predictions
from charkh.endpoints.rest import infer, predict
from charkh.endpoints.route import Request, Work, asked_alone
from charkh.endpoints.seal import seal
from charkh.endpoints.servable import Servable
from charkh.lineage.index import HeldDigests, Walk
from charkh.ports.journal import DataHeader
from charkh.ports.projections import Describe
from charkh.ports.store import Store

Make = Callable[..., Servable]
RECORDS = [
    {"x": 1.0, "wind": None, "hour": 2, "origin": "JFK"},
    {"x": -5.0, "wind": 3.5, "hour": 1, "origin": None},
]


def ask(servable: Servable, records: list[dict[str, Any]] = RECORDS) -> list[dict[str, Any]]:
    return said(predict, servable, records)["predictions"]


def said(work: Work, servable: Servable, body: object) -> Any:
    answer = asked_alone(servable, work(servable, Request({}, msgspec.json.encode(body))))
    assert isinstance(answer, bytes)
    return msgspec.json.decode(answer)


def close(servable: Servable) -> None:
    assert servable.log is not None
    servable.log.close()


def test_records_are_answered_with_an_id_a_row(store: Store, servable: Make) -> None:
    made = servable()
    rows = ask(made)
    assert [row["score"] for row in rows] == [3.0, -4.0]
    assert [row["label"] for row in rows] == ["up", "down"]
    assert len(rows[0]["probability"]) == 2
    parsed = [parse_prediction_id(row["prediction_id"]) for row in rows]
    assert [(each.ordinal, each.row) for each in parsed] == [(0, 0), (0, 1)]
    assert made.log is not None
    assert {each.deployment for each in parsed} == {made.log.deployment}


def test_a_prediction_is_found_by_its_id_open_and_sealed(store: Store, servable: Make) -> None:
    made = servable()
    ask(made)
    identifier = ask(made)[1]["prediction_id"]
    opened = prediction(store, identifier)
    assert opened.model == made.subject
    assert opened.endpoint == "delay"
    assert opened.logged
    assert opened.inputs == {"x": -5.0, "wind": 3.5, "hour": 1, "origin": None}
    assert opened.outputs["score"] == -4.0
    assert opened.outputs["label"] == "down"
    close(made)
    assert seal(store) == 1
    assert store.journal.list_data() == []
    assert prediction(store, identifier) == opened
    assert msgspec.json.decode(msgspec.json.encode(opened))["inputs"]["x"] == -5.0


def test_predictions_are_one_table_over_open_and_sealed_segments(store: Store, servable: Make) -> None:
    first = servable()
    before = [row["prediction_id"] for row in ask(first)]
    close(first)
    seal(store)
    second = servable(version="4", model=f"model:{new_id()}")
    after = [row["prediction_id"] for row in ask(second, RECORDS[:1])]
    table = predictions(store, "delay")
    assert table["prediction_id"].to_list() == [*before, *after]
    said = ["prediction_id", "time", "deployment", "model", "version", "route", "request_id", "latency"]
    assert table.columns[:8] == said
    assert table["version"].to_list() == ["3", "3", "4"]
    assert table["model"].to_list() == [first.subject, first.subject, second.subject]
    assert table["wind"].to_list() == [None, 3.5, None]
    assert table["origin"].to_list() == ["JFK", None, "JFK"]
    assert table["score"].to_list() == [3.0, -4.0, 3.0]
    assert table["probability"].dtype == pl.Array(pl.Float64, 2)
    assert table["time"].dtype == pl.Datetime("us", "UTC")
    assert predictions(store, "other").height == 0


def test_a_range_of_time_is_read(store: Store, servable: Make) -> None:
    made = servable()
    ask(made)
    ask(made)
    times = predictions(store, "delay")["time"].dt.epoch("us").to_list()
    since = times[2] / 1e6
    close(made)
    for _ in range(2):
        assert predictions(store, "delay", since=since).height == 2
        assert predictions(store, "delay", until=since).height == 2
        assert predictions(store, "delay", since=since + 10).height == 0
        seal(store)


def test_a_request_id_is_kept_and_the_infer_route_says_the_ids(store: Store, servable: Make) -> None:
    made = servable()
    body = {
        "id": "mine",
        "inputs": [
            {"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2]},
            {"name": "hour", "shape": [2], "datatype": "INT64", "data": [1, 2]},
        ],
        "outputs": [{"name": "score"}],
    }
    answer = said(infer, made, body)
    assert answer["id"] == "mine"
    assert [output["name"] for output in answer["outputs"]] == ["score"]
    ids = answer["parameters"]["prediction_ids"]
    assert answer["parameters"]["prediction_id"] == ids[0]
    assert len(ids) == 2
    found = prediction(store, ids[1])
    assert found.request == "mine"
    assert found.outputs["label"] == "up", "every output is logged, whichever was asked for"


def test_names_that_are_taken_are_written_with_their_side(store: Store, servable: Make) -> None:
    log = PredictionLog(store.journal, endpoint="e", deployment=new_id(), model="model:m")
    log.record({"time": np.zeros(1), "x": np.zeros(1)}, {"x": np.ones(1), "model": np.ones(1)}, 1)
    table = predictions(store, "e")
    assert table.columns[8:] == ["input.time", "x", "output.x", "output.model"]


def test_requests_of_different_layouts_share_a_segment(store: Store) -> None:
    log = PredictionLog(store.journal, endpoint="e", deployment=new_id(), model="model:m")
    log.record({"n": np.array([1, 2])}, {"y": np.zeros(2, np.float16)}, 2)
    log.record({"n": np.array([np.nan])}, {"y": np.zeros(1, np.float16)}, 1)
    log.record({"n": np.array([b"a", "b"], object)}, {"y": np.zeros(2, ">f4")}, 2)
    with pytest.raises(pl.exceptions.PolarsError):
        predictions(store, "e")


def test_whole_numbers_with_gaps_and_without_are_one_column(store: Store) -> None:
    log = PredictionLog(store.journal, endpoint="e", deployment=new_id(), model="model:m")
    for values in ([1, 2], [3.0, np.nan], [4]):
        log.record({"n": np.array(values)}, {"y": np.zeros(len(values), np.float16)}, len(values))
    table = predictions(store, "e")
    assert table["n"].to_list() == [1.0, 2.0, 3.0, None, 4.0]
    log.close()
    seal(store)
    assert predictions(store, "e")["n"].to_list() == [1.0, 2.0, 3.0, None, 4.0]


def test_bytes_and_texts_are_one_column(store: Store) -> None:
    log = PredictionLog(store.journal, endpoint="e", deployment=new_id(), model="model:m")
    log.record({"n": np.array([b"\xff", "b", None, 3], object)}, {"y": np.array(["q"] * 4)}, 4)
    table = predictions(store, "e")
    assert table["n"].to_list() == [b"\xff", b"b", None, b"3"]
    assert table["y"].to_list() == ["q"] * 4


def test_sampling_takes_a_share_and_the_rest_still_traces(store: Store, servable: Make) -> None:
    none = servable("none", capture=0.0)
    for row in ask(none):
        found = prediction(store, row["prediction_id"])
        assert (found.logged, found.model, found.inputs) == (False, none.subject, {})
    assert store.journal.list_data() == []
    half = servable("half", capture=0.5)
    for _ in range(200):
        ask(half, RECORDS[:1])
    assert 50 < predictions(store, "half").height < 150


def test_a_segment_is_closed_when_it_is_large_or_old(store: Store) -> None:
    deployment = new_id()
    log = PredictionLog(store.journal, endpoint="e", deployment=deployment, model="model:m", rotate_bytes=100)
    for _ in range(4):
        log.record({"x": np.zeros(20)}, {"y": np.zeros(20)}, 20)
    assert len(store.journal.list_data()) == 4
    assert seal(store) == 3, "the one that is written is left alone"
    old = PredictionLog(store.journal, endpoint="o", deployment=deployment, model="model:m", rotate_seconds=-1)
    for _ in range(3):
        old.record({"x": np.zeros(1)}, {"y": np.zeros(1)}, 1)
    assert seal(store, "o") == 2
    assert predictions(store, "o").height == 3


def test_after_the_log_is_closed_requests_are_answered_and_not_logged(store: Store, servable: Make) -> None:
    made = servable()
    close(made)
    assert not parse_prediction_id(ask(made)[0]["prediction_id"]).logged


class FullJournal:
    """A journal whose disk is full."""

    def open_data(self, header: DataHeader) -> Any:
        raise Unavailable("the disk is full")


def test_a_full_disk_fails_no_request(caplog: pytest.LogCaptureFixture) -> None:
    journal: Any = FullJournal()
    log = PredictionLog(journal, endpoint="e", deployment=new_id(), model="model:m")
    for _ in range(3):
        where = log.record({"x": np.zeros(1)}, {"y": np.zeros(1)}, 1)
        assert isinstance(where, PredictionId)
        assert not where.logged
    assert [record.getMessage() for record in caplog.records] == [
        "predictions of endpoint:e are not logged: the disk is full"
    ]


def test_sealing_goes_on_where_it_was_cut_off(store: Store, servable: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = servable()
    identifier = ask(made)[0]["prediction_id"]
    close(made)
    with monkeypatch.context() as patch:
        patch.setattr(store.journal, "drop_data", lambda segment: (_ for _ in ()).throw(Unavailable("gone")))
        with pytest.raises(Unavailable):
            seal(store)
    assert len(store.journal.list_data()) == 1
    assert predictions(store, "delay").height == 2, "sealed and still there counts once"
    assert seal(store) == 0
    assert store.journal.list_data() == []
    assert len(store.queries.ask(SealedSegments(endpoint="delay"))) == 1
    assert prediction(store, identifier).logged


def test_a_segment_without_records_is_sealed_to_nothing(store: Store) -> None:
    header = DataHeader(segment=new_id(), content="predictions", subject="endpoint:e", labels={"deployment": new_id()})
    store.journal.open_data(header).close()
    points = DataHeader(segment=new_id(), content="points", subject="run:r")
    store.journal.open_data(points).close()
    assert seal(store) == 1
    assert [segment.header.content for segment in store.journal.list_data()] == ["points"]
    assert store.queries.ask(SealedSegments(endpoint="e")) == ()


def test_a_sealed_file_is_held_and_its_origin_is_known(store: Store, servable: Make) -> None:
    made = servable()
    ask(made)
    close(made)
    seal(store)
    (sealed,) = store.queries.ask(SealedSegments(endpoint="delay"))
    assert sealed.file is not None
    assert sealed.file.held in store.queries.ask(HeldDigests())
    assert (sealed.records, sealed.rows) == (1, 2)
    reached = store.queries.ask(Walk(subject=f"predictions:{sealed.segment}"))
    assert [(step.edge.relation, step.edge.target) for step in reached][-1] == ("serves", made.subject)
    shown = store.queries.ask(Describe(subject=f"predictions:{sealed.segment}"))
    assert shown is not None
    assert shown.title == "2 predictions of delay"


def test_what_is_not_here_is_said(store: Store, servable: Make) -> None:
    made = servable()
    assert made.log is not None
    with pytest.raises(Invalid):
        prediction(store, "nonsense")
    with pytest.raises(NotFound, match="not here"):
        prediction(store, str(PredictionId(deployment=made.log.deployment, segment=new_id())))
    with pytest.raises(NotFound, match="deployed"):
        prediction(store, str(PredictionId(deployment=new_id(), segment=new_id())))
    identifier = parse_prediction_id(ask(made)[0]["prediction_id"])
    with pytest.raises(NotFound):
        prediction(store, str(msgspec.structs.replace(identifier, ordinal=9)))


def test_a_foreign_record_is_named(store: Store) -> None:
    header = DataHeader(segment=new_id(), content="predictions", subject="endpoint:e")
    store.journal.open_data(header).append(b"\xc1")
    with pytest.raises(Corrupt, match="record 0"):
        predictions(store, "e")


def test_a_sealed_segment_of_many_rows_is_read_whole(store: Store) -> None:
    log = PredictionLog(store.journal, endpoint="e", deployment=new_id(), model="model:m")
    for start in range(0, 60_000, 15_000):
        log.record({"x": np.arange(start, start + 15_000)}, {"y": np.zeros(15_000)}, 15_000)
    log.close()
    seal(store)
    assert predictions(store, "e")["x"].to_list() == list(range(60_000))
    assert predictions(store, "e", failed=True).is_empty()


@pytest.mark.parametrize("order", ["C", "F"])
def test_long_tensors_are_logged_whole(store: Store, servable: Make, order: Literal["C", "F"]) -> None:
    made = servable()
    assert made.log is not None
    rows = np.array(np.arange(3000.0).reshape(100, 30), order=order)
    place = made.log.record({"x": rows}, {"y": rows[::2].astype(">f4")}, 100)
    made.log.close()
    (record,) = store.journal.read_data(place.segment)
    logged = msgspec.msgpack.decode(record.payload, type=LoggedRequest)
    (x,), (y,) = logged.inputs, logged.outputs
    assert isinstance(x.data, bytes)
    assert isinstance(y.data, bytes)
    assert np.frombuffer(x.data, "<f8").reshape(100, *x.shape).tolist() == rows.tolist()
    assert np.frombuffer(y.data, "<f4").reshape(50, *y.shape).tolist() == rows[::2].tolist()
