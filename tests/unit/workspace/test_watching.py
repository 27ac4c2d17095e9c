"""Watching an endpoint of a real workspace: drift since the last look, and truth that comes late."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from charkh.core.errors import Invalid, NotFound
from charkh.core.rollout_settings import RolloutSettings
from charkh.datasets.add import add_table
from charkh.endpoints.read import predictions
from charkh.endpoints.rest import infer
from charkh.endpoints.rollouts.move import begin_rollout
from charkh.endpoints.route import Request, asked_alone
from charkh.endpoints.servable import Servable
from charkh.endpoints.truth import Truth
from charkh.models.find import find
from charkh.monitors.collect import Report, kept_reference
from charkh.monitors.index import LatestCollection
from charkh.workspace.ambient import use
from charkh.workspace.masking import taker_of
from charkh.workspace.serving import Serving
from charkh.workspace.tables import add
from charkh.workspace.training import model, register
from charkh.workspace.watching import due, watch
from charkh.workspace.workspace import Workspace, open_workspace

SETTINGS = """
[endpoint.late]
model = "late@1"
key = "trip"
[monitor.late]
truth = "truth on trip within 30d"
target = "late"
alert = ["psi > 0.2"]
every = "1h"
[monitor.other]
endpoint = "late"
[monitor.expected]
endpoint = "late"
truth = "truth on trip"
target = "late"
estimate = true
multivariate = ["mmd", "domain"]
alert = ["estimated.auc < 0.5", "mmd > 0"]
[monitor.told]
endpoint = "late"
truth = "posted within 2d"
target = "late"
estimate = true
[monitor.dated]
endpoint = "late"
truth = "truth on trip within 30d"
target = "late"
predicted_at = "trip"
known_at = "known"
[monitor.held]
endpoint = "late"
target = "late"
estimate = true
held_out = "fresh"
"""

NUMBERS = """
[endpoint.minutes]
model = "minutes@1"
[monitor.minutes]
target = "minutes"
estimate = true
held_out = "fresh"
"""


def trips(start: int, rows: int, shift: float = 0.0) -> pl.DataFrame:
    """Trips with an id, of which longer ones are late more often."""
    draw = np.random.default_rng(start)
    distance = draw.normal(shift, 1, rows)
    late = draw.random(rows) < 1 / (1 + np.exp(-2 * distance))
    return pl.DataFrame({"trip": np.arange(start, start + rows) * 1.0, "distance": distance, "late": late})


def ask(servable: Servable, rows: pl.DataFrame) -> None:
    """One inference request with all the rows."""
    shape = [rows.height]
    inputs = [
        {"name": name, "datatype": "FP64", "shape": shape, "data": rows[name].to_list()}
        for name in ("trip", "distance")
    ]
    asked_alone(servable, infer(servable, Request({}, json.dumps({"inputs": inputs}).encode())))
    assert servable.log is not None
    servable.log.flush()


def number(report: Report, fact: str) -> float:
    value = report.facts[fact]
    assert isinstance(value, float)
    return value


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "charkh.toml").write_text(SETTINGS)
    with open_workspace(tmp_path) as opened, use(opened):
        known = add("trips", trips(0, 2000))
        features = known.frame.select("trip", "distance")
        estimator: Any = LogisticRegression()
        estimator.fit(features, known.frame["late"])
        register("late", model(estimator, example=features.head(3), data=known))
        yield opened


def test_nothing_was_asked(workspace: Workspace) -> None:
    Serving(workspace)()
    with pytest.raises(Invalid, match="nobody has asked late yet"):
        watch(workspace, "late")
    with pytest.raises(NotFound, match="no monitor 'lat'"):
        watch(workspace, "lat")


def test_requests_that_all_failed_are_not_told_as_silence(workspace: Workspace) -> None:
    (servable,) = Serving(workspace)()
    with pytest.raises(Invalid) as error:
        request = Request({}, b'{"inputs": [{"name": "trip", "datatype": "FP64", "shape": [1], "data": [1.0]}]}')
        asked_alone(servable, infer(servable, request))
    assert servable.log is not None
    servable.log.failed(error.value)  # as the application does that answers it
    servable.log.flush()
    with pytest.raises(Invalid, match="late has answered nobody yet: 1 requests failed") as refused:
        watch(workspace, "late")
    assert "--failed" in (refused.value.hint or "")


def test_drift_is_of_the_requests_since_the_last_look(workspace: Workspace) -> None:
    (servable,) = Serving(workspace)()
    assert due(workspace, 0.0) == ["late"]
    ask(servable, trips(0, 1000))
    calm = watch(workspace, "late")
    ask(servable, trips(3000, 1000, shift=2.0))
    moved = watch(workspace, "late")
    by_name = {column.column: column for column in moved.drift.columns}
    assert not next(column for column in calm.drift.columns if column.column == "distance").drifted
    assert by_name["distance"].drifted
    assert [alert.condition for alert in moved.alerts] == ["psi > 0.2"]
    assert moved.facts["rows"] == 1000
    assert due(workspace, 0.0) == []


def test_truth_meets_the_predictions_that_waited_for_it_and_no_others(workspace: Workspace) -> None:
    (servable,) = Serving(workspace)()
    first, second, third = trips(5000, 500), trips(6000, 500), trips(7000, 500)
    ask(servable, first)
    assert watch(workspace, "late").performance is None
    add_table(workspace.store, "truth", first.select("trip", "late"), file="1.parquet")
    ask(servable, second)
    one = watch(workspace, "late").performance
    assert one is not None
    assert (one.predictions, one.matched) == (500, 500)
    assert one.metrics["auc"] > 0.75
    add_table(workspace.store, "truth", second.select("trip", "late").head(300), file="2.parquet", append=True)
    ask(servable, third)
    two = watch(workspace, "late").performance
    assert two is not None
    assert (two.predictions, two.matched) == (500, 300)


def test_truth_that_was_sent_is_joined_by_id_and_by_key_with_how_late_it_came(workspace: Workspace) -> None:
    (servable,) = Serving(workspace)()
    rows = trips(5000, 600)
    ask(servable, rows)
    assert watch(workspace, "told").lateness is None
    ids = predictions(workspace.store, "late")["prediction_id"].to_list()
    later = time.time() + 3600
    answers = list(zip(ids, rows["trip"], rows["late"], strict=True))
    said = [Truth(prediction_id=each, truth=late, known_at=later) for each, _, late in answers[:300]]
    said += [Truth(key=trip, truth=late, known_at=later) for _, trip, late in answers[300:500]]
    assert taker_of(workspace).take("late", said) == 500
    ask(servable, trips(6000, 100))
    report = watch(workspace, "told")
    assert report.performance is not None and report.lateness is not None
    assert (report.performance.predictions, report.performance.matched) == (600, 500)
    assert report.performance.metrics["auc"] > 0.75
    assert report.lateness.lags["p50"] == pytest.approx(3600, rel=0.02)
    assert report.facts["lag.p99"] == pytest.approx(3600, rel=0.02)
    assert sum(day.predictions for day in report.lateness.days) == 700
    assert sum(day.matched for day in report.lateness.days) == 500
    assert not any(day.settled for day in report.lateness.days)
    assert report.estimated is not None
    assert (report.estimated.reference_rows, report.estimated.matched) == (500, {})
    assert number(report, "estimated.auc") > 0.75
    ask(servable, trips(8000, 10))
    after = watch(workspace, "told")
    assert after.performance is None


def test_lags_of_the_past_are_told_as_of_the_moment_that_is_replayed(workspace: Workspace) -> None:
    (servable,) = Serving(workspace)()
    rows, day = trips(5000, 500), 86_400.0
    ask(servable, rows)
    watch(workspace, "dated", moment=6 * day)
    known = rows.select("trip", "late", known=pl.col("trip") + day)
    add_table(workspace.store, "truth", known.head(400), file="1.parquet")
    ask(servable, trips(9000, 10))
    soon = watch(workspace, "dated", moment=8 * day).lateness
    ask(servable, trips(9500, 10))
    late = watch(workspace, "dated", moment=40 * day).lateness
    assert soon is not None and late is not None
    assert soon.lags["p90"] == pytest.approx(day, rel=0.02)
    assert [each.settled for each in soon.days] == [False], "more may come within 30 days"
    assert [each.settled for each in late.days] == [True]


def test_a_shadow_is_not_what_was_answered(workspace: Workspace) -> None:
    known = trips(100, 400)
    estimator: Any = LogisticRegression()
    estimator.fit(known.select("trip", "distance"), ~known["late"])
    register("late", model(estimator, example=known.select("trip", "distance").head(3), data=add("wrong", known)))
    store, serving = workspace.store, Serving(workspace)
    serving()
    begin_rollout(store, "late", find(store, "late@2").subject, settings=RolloutSettings(way="shadow"))
    rows = trips(5000, 500)
    for servable in serving():
        ask(servable, rows)
    assert sorted(predictions(store, "late")["route"].unique()) == ["candidate", "champion"]
    assert watch(workspace, "late").facts["rows"] == 500
    add_table(store, "truth", rows.select("trip", "late"))
    ask(serving()[0], trips(9000, 10))
    report = watch(workspace, "late")
    assert report.performance is not None
    assert (report.performance.predictions, report.performance.matched) == (500, 500)
    assert report.performance.metrics["auc"] > 0.75, "the shadow says the opposite"


def test_a_large_reference_is_read_once_and_its_sketch_is_kept(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charkh.workspace.watching.EXACT", 100)
    (servable,) = Serving(workspace)()
    found = list[Report]()
    for start in (0, 3000):
        ask(servable, trips(start, 1000))
        found.append(watch(workspace, "late"))
        last = workspace.store.queries.ask(LatestCollection(monitor="late"))
        assert last is not None
        assert last.made.reference is not None
        assert kept_reference(workspace.store, "late", last.made.reference_key) is not None
        assert kept_reference(workspace.store, "late", "of another model") is None
    assert [report.drift.reference_rows for report in found] == [2000, 2000]
    assert [report.quality.missing for report in found] == [(), ()]
    first, second = ({each.column: each for each in report.drift.columns} for report in found)
    assert first["distance"].missing_reference == second["distance"].missing_reference == 0.0
    assert 0 < second["distance"].ks_error < 0.01
    assert found[1].odd is not None
    assert found[1].odd.rows == 1000


def test_performance_is_expected_before_its_truth_and_columns_are_compared_together(workspace: Workspace) -> None:
    (servable,) = Serving(workspace)()
    first, second, third = trips(5000, 800), trips(6000, 800), trips(7000, 800, shift=1.0)
    ask(servable, first)
    start = watch(workspace, "expected")
    assert start.estimated is not None
    assert start.estimated.refused == "no prediction of this model has a known truth yet"
    assert "estimated.auc" not in start.facts
    add_table(workspace.store, "truth", first.select("trip", "late"), file="1.parquet")
    ask(servable, second)
    calm = watch(workspace, "expected")
    assert calm.estimated is not None
    assert calm.estimated.reference_rows == 800
    assert number(calm, "estimated.auc.low") < number(calm, "estimated.auc") < number(calm, "estimated.auc.high")
    assert calm.estimated.matched == {}, "there was no truth from before to judge the first by"
    add_table(workspace.store, "truth", second.select("trip", "late"), file="2.parquet", append=True)
    ask(servable, third)
    moved = watch(workspace, "expected")
    assert moved.estimated is not None
    assert moved.performance is not None
    low, high = (number(moved, f"estimated.matched.auc.{side}") for side in ("low", "high"))
    assert low <= moved.performance.metrics["auc"] <= high
    assert moved.multivariate is not None
    assert moved.multivariate.columns == ("trip", "distance")
    assert number(moved, "mmd") > 0
    assert number(moved, "domain.auc") > 0.6
    assert number(moved, "mmd.p") == pytest.approx(0.001)
    assert [alert.condition for alert in moved.alerts] == ["mmd > 0"]


def test_a_dataset_that_the_model_was_not_fitted_to_teaches_before_any_truth_comes(workspace: Workspace) -> None:
    (servable,) = Serving(workspace)()
    ask(servable, trips(5000, 400))
    with pytest.raises(NotFound):
        watch(workspace, "held")
    add_table(workspace.store, "fresh", trips(9000, 1500), file="1.parquet")
    found = watch(workspace, "held").estimated
    assert found is not None
    assert (found.method, found.rows, found.reference_rows) == ("cbpe", 400, 1500)
    assert 0.75 < found.metrics["auc"] < 0.95


def test_errors_of_a_number_are_expected_from_its_inputs(workspace: Workspace) -> None:
    def journeys(start: int, middle: float) -> pl.DataFrame:
        draw = np.random.default_rng(start)
        far = draw.normal(middle, 1, 1200)
        minutes = 10 * far + (1 + np.abs(far)) * draw.normal(0, 1, 1200)
        return pl.DataFrame({"trip": np.arange(1200.0), "distance": far, "minutes": minutes})

    known = add("journeys", journeys(1, 0.0))
    features = known.frame.select("trip", "distance")
    estimator: Any = LinearRegression()
    estimator.fit(features, known.frame["minutes"])
    register("minutes", model(estimator, example=features.head(3), data=known))
    add_table(workspace.store, "fresh", journeys(2, 0.0), file="1.parquet")
    (workspace.folder / "charkh.toml").write_text(NUMBERS)
    live = journeys(3, 1.0)
    with open_workspace(workspace.folder) as again:
        (servable,) = Serving(again)()
        ask(servable, live)
        found = watch(again, "minutes").estimated
    assert found is not None
    assert (found.method, found.rows, found.reference_rows) == ("dle", 1200, 1200)
    real = (live["minutes"] - 10 * live["distance"]).abs().mean()
    assert found.metrics["mae"] == pytest.approx(real, rel=0.15)
    assert found.metrics["mae"] > 1.1 * found.realised["mae"]


def test_a_dataset_that_the_model_was_fitted_to_teaches_nothing_about_it(workspace: Workspace) -> None:
    name = "charkh.toml"
    text = (workspace.folder / name).read_text()
    (workspace.folder / name).write_text(text.replace('held_out = "fresh"', 'held_out = "trips"'))
    with open_workspace(workspace.folder) as again:
        servable = next(each for each in Serving(again)() if each.name == "late")
        ask(servable, trips(5000, 300))
        with pytest.raises(Invalid, match="was trained on 'trips'"):
            watch(again, "held")
