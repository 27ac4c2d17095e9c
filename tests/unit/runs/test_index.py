"""The catalog of runs is a function of the set of events."""

import math
from pathlib import Path

from charkh.core.events import Draft
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.store import Store
from charkh.runs.delete import delete_run
from charkh.runs.index import (
    PROJECTION,
    ArtifactsOf,
    ChildRuns,
    FindRuns,
    LinksOf,
    ParamConflicts,
    RunsByIds,
    RunsLike,
    SealedOf,
    TagEvents,
    TrashedRuns,
    WerePurged,
)
from charkh.runs.points_log import PointsLog
from charkh.runs.project import project_id
from charkh.runs.project_index import AllProjects, made_draft
from charkh.runs.projects import (
    create_project,
    delete_project,
    ensure_project,
    rename_project,
    restore_project,
    tag_project,
)
from charkh.runs.purge import purge_runs
from charkh.runs.query_parser import parse_condition, parse_order
from charkh.runs.rename import rename_run
from charkh.runs.restore import restore_run
from charkh.runs.run import STARTED_KIND, RunStarted
from charkh.runs.seal import seal_ended
from charkh.runs.start import start
from charkh.runs.tag import tag
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store


def told(store: Store) -> list[str]:
    """Runs with everything that can be said about them, contradictions included; their ids."""
    ids: list[str] = []
    for number in range(3):
        with start(store, name=f"run {number}", params={"x": number, "nested": {"y": "a"}}, tags={"a": "1"}) as run:
            ids.append(run.id)
            run.log({"loss": 0.5 + number, "nan": math.nan}, step=1)
            run.set_params({"x": number + 10, "long": "z" * 2000})
            run.set_tags({"a": "2", "b": "3"})
            run.add_artifact("a.txt", b"old")
            run.add_artifact("a.txt", b"new")
            run.use("dataset:d")
            rank = PointsLog(store.journal, run.id, "1")
            rank.log({"loss": 99.0, "other": 1.0}, 9, "", None)
            rank.close()
    again = RunStarted(run=ids[0], name="taken up again")
    store.record(Draft(kind=STARTED_KIND, subject=f"run:{ids[0]}", body=again))
    child = start(store, parent=ids[1], folder=Path.cwd())
    child.end("failed", error="it broke")
    tag(store, ids[1], {"a": None, "c": "4"})
    seal_ended(store)
    delete_run(store, ids[2])
    rename_run(store, ids[1], "other")
    for _ in range(2):
        delete_run(store, ids[0])
        restore_run(store, ids[0])
    gone = start(store, project=ensure_project(store, "flights/old").id)
    gone.end("killed")
    delete_run(store, gone.id)
    purge_runs(store, refs=[gone.id])
    project = create_project(store, "flights/delay", tags={"team": "red"})
    start(store, project=project.id).end()
    tag_project(store, project.id, {"team": None, "a": "b"})
    rename_project(store, project.id, "flights/late")
    delete_project(store, project.id)
    restore_project(store, project.id)
    delete_project(store, "flights/old")
    for _ in range(2):
        store.record(made_draft(project_id("flights/delay"), "flights/delay", "s3://elsewhere"))
    delete_project(store, project.id)
    return [*ids, child.id, gone.id]


def test_any_order_and_batching_of_events_gives_one_catalog() -> None:
    store = memory_store(PROJECTION, LINEAGE)
    ids = told(store)
    now = 4e9
    finding = FindRuns(
        where=parse_condition("metrics.loss > 0 and not params.x > 100"),
        order=parse_order("metrics.loss desc"),
        limit=10,
        now=now,
    )
    queries = [
        RunsByIds(runs=tuple(ids), now=now),
        RunsLike(prefix=ids[0][:4]),
        ChildRuns(parent=ids[1]),
        finding,
        *(query(run=ids[0]) for query in (ArtifactsOf, LinksOf, ParamConflicts, TagEvents)),
        *(SealedOf(run=each) for each in ids if each),
    ]
    more = [TrashedRuns(moment=now), WerePurged(runs=tuple(ids)), AllProjects()]
    payloads = payloads_of(store)
    # NaN is equal to nothing, so that the runs which have one are compared by their text.
    tables = assert_order_free([PROJECTION, LINEAGE], payloads, [*queries[1:3], *queries[4:8], *more], rounds=8)
    assert len(tables["run"]) == 6
    assert len(tables["run_project"]) == 2
    assert len(tables["run_metric"]) == 9
    first, *_ = store.queries.ask(RunsByIds(runs=(ids[0],), now=now))
    assert (first.name, first.status, first.params["x"]) == ("run 0", "lost", 0)
    assert [run.metrics["loss"] for run in store.queries.ask(finding)] == [1.5, 0.5]
