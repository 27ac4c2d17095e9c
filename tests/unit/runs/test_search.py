"""Search: the catalog's SQL and the plain reading of a condition agree, live and sealed alike."""

import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Invalid, NotFound
from charkh.datasets.add import add_files
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import PROJECTION as DATASETS
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.store import Store
from charkh.runs import search_sql
from charkh.runs.find import find
from charkh.runs.index import PROJECTION
from charkh.runs.live import with_many
from charkh.runs.machine import this_machine
from charkh.runs.project import project_id
from charkh.runs.projects import ensure_project
from charkh.runs.provenance import Provenance
from charkh.runs.query import Field, matches
from charkh.runs.query_parser import parse_condition
from charkh.runs.search import filled, find_runs, search, search_page
from charkh.runs.start import ActiveRun, start
from charkh.runs.tag import tag
from charkh.runs.version_control import CodeState
from charkh.stores.catalog import Catalog
from charkh.stores.sql_engine import postgres_engine
from charkh.testing.stores import memory_store

PARAMS: list[dict[str, Any]] = [
    {"x": 1, "kind": "forest"},
    {"x": 2.5, "kind": "Linear", "flag": True},
    {"x": "one", "flag": False},
    {"x": math.nan, "kind": "forest 2"},
    {"x": None},
    {"x": [1]},
    {},
    {"x": True, "kind": ""},
]
METRICS: list[list[float]] = [[0.5, 0.9, 0.7], [math.nan], [0.6], [], [math.inf], [-1.0, math.nan], [0.7], [0.8]]
TAGS: list[dict[str, str | None]] = [{"stage": "draft"}, {"stage": "Final"}, {}, {"stage": "x"}, {}, {}, {}, {"a": "b"}]
PROVENANCE = Provenance(
    code=None,
    script="",
    started_in="",
    command=("python", "train.py"),
    environment="numpy==2.0\n",
    variables={},
    machine=this_machine(),
)


def build(store: Store, *, live: bool) -> list[ActiveRun]:
    runs: list[ActiveRun] = []
    project = ensure_project(store, "flights/delay").id
    for number, (params, metrics, tags) in enumerate(zip(PARAMS, METRICS, TAGS, strict=True)):
        code = CodeState(commit="c0ffee", dirty=number % 2 == 0) if number < 3 else None
        run = start(
            store,
            name=f"run {number}" if number % 2 else "",
            params=params,
            tags=tags,
            project=project if number in {2, 5} else "",
            provenance=msgspec.structs.replace(PROVENANCE, code=code, program=f"train{number}.py"),
        )
        if number % 3 == 1:
            run.add_artifact("a", b"x")
            run.add_artifact("a/b.txt", b"x")
            run.use(f"dataset:d{number}")
            run.made("model:forest")
        for value in metrics:
            run.log({"auc": value})
        if number == 3:
            run.set_tags({"stage": None})
        if not live or number % 3 == 0:
            run.end("failed" if number == 2 else "finished")
        runs.append(run)
    return runs


SEALED, LIVE = memory_store(PROJECTION, LINEAGE), memory_store(PROJECTION, LINEAGE)
RUNS = {id(SEALED): build(SEALED, live=False), id(LIVE): build(LIVE, live=True)}
PARAM_FIELDS = st.sampled_from(["params.x", "params.kind", "params.flag", "params.none"])
METRIC_FIELDS = st.sampled_from([f"{aspect}(metrics.auc)" for aspect in ("last", "min", "max", "first", "count")])
OWN_NUMBERS = st.sampled_from(["created", "ended", "duration", "lost_records"])
TEXT_FIELDS = [
    *["text(params.x)", "text(params.kind)"],
    "name",
    "status",
    "group",
    "error",
    "project",
    "user",
    "script",
    "tags.stage",
    "tags.none",
]
SETS = ["artifact", "text", "used"]
FIELDS = PARAM_FIELDS | METRIC_FIELDS | OWN_NUMBERS | st.sampled_from([*TEXT_FIELDS, *SETS, "dirty"])
NUMBERS = st.sampled_from(["1", "2.5", "0.7", "0", "-1"])
PLAIN_TEXTS = ["'forest'", "'one'", "''", "'draft'", "'finished'", "'run 1'", "'o'", "'1'", "'true'", "'flights/delay'"]
ODD_TEXTS = ["'%'", "'*'", "'f?rest'", "'*1'", "'fl*/*'", "'%o%'", "'_un%'", "'a/b.txt'", "'[a-z]*'", "'dataset:*'"]
TEXTS = st.sampled_from([*PLAIN_TEXTS, *ODD_TEXTS])
ORDERING = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
PATTERNS = st.sampled_from(["~", "like", "ilike"])


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    field = draw(FIELDS)
    shape = draw(st.sampled_from(["compare", "in", "null"]))
    if shape == "null":
        return f"{field} is {draw(st.sampled_from(['null', 'not null']))}"
    values = st.one_of(NUMBERS, TEXTS, st.just("true")) if field.startswith("params") else NUMBERS
    if field in {*TEXT_FIELDS, *SETS}:
        values = TEXTS
    if field == "dirty":
        return f"dirty {draw(st.sampled_from(['=', '!=']))} {draw(st.sampled_from(['true', 'false']))}"
    if shape == "in":
        listed = ", ".join(draw(st.lists(values, min_size=1, max_size=3)))
        return f"{field} {'in' if field in SETS else draw(st.sampled_from(['in', 'not in']))} ({listed})"
    value = draw(values)
    operators = st.just("=") if field in SETS else ORDERING
    operator = draw(operators | PATTERNS if value.startswith("'") else operators)
    return f"{field} {operator} {value}"


CONDITIONS = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        inner.map(lambda text: f"not ({text})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
        ),
    ),
    max_leaves=4,
)


@settings(max_examples=120)
@given(CONDITIONS, st.sampled_from([SEALED, LIVE]), st.sampled_from([1, 2000]))
def test_sql_and_a_plain_reading_agree(text: str, store: Store, few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_sql, "FEW", few)
        agree(text, store)


def agree(text: str, store: Store) -> None:
    condition = parse_condition(text)
    runs = search(store)
    named = [Field("run", "project"), Field("used", ""), Field("artifact", "")]
    everything = {known.run.id: known for known in filled(store, with_many(store, runs, {}), named)}
    if store is LIVE:
        # What is open is laid over by the search itself; the sealed ones are read plainly here.
        everything = {identifier: known for identifier, known in everything.items() if known.run.over}
    expected = [identifier for identifier, known in everything.items() if matches(condition, known.lookup)]
    found = [run.id for run in search(store, text) if run.id in everything]
    assert found == expected


def names(store: Store, text: str = "", **more: Any) -> list[int]:
    numbers = {run.id: number for number, run in enumerate(RUNS[id(store)])}
    return [numbers[run.id] for run in search(store, text, **more)]


SEARCHES: list[tuple[str, list[int]]] = [
    ("params.x >= 1", [1, 0]),
    ("params.x = 'one' or params.flag = true", [2, 1]),
    ("params.kind ~ 'FOREST'", [3, 0]),
    ("params.kind != 'forest'", [7, 3, 1]),
    ("params.kind is null", [6, 5, 4, 2]),
    ("metrics.auc >= 0.7", [7, 6, 4, 0]),
    ("metrics.auc is not null", [7, 6, 5, 4, 2, 1, 0]),
    ("max(metrics.auc) > 0.8", [4, 0]),
    ("min(metrics.auc) < 0.55", [5, 0]),
    ("tags.stage in ('draft', 'Final')", [1, 0]),
    ("tags.stage is null", [7, 6, 5, 4, 3, 2]),
    ("name = 'run 1'", [1]),
    ("not params.x > 0 and metrics.auc < 0.65", [2]),
    ("created > '2020-01-01' and group is null", [7, 6, 5, 4, 3, 2, 1, 0]),
    ("created > '2120-01-01'", []),
    ("created = today or created = yesterday", [7, 6, 5, 4, 3, 2, 1, 0]),
    ("created >= -1h", [7, 6, 5, 4, 3, 2, 1, 0]),
    ("created < -1h", []),
    ("project = 'flights/delay'", [5, 2]),
    ("project ~ 'FLIGHTS/*' and not params.x is null", [5, 2]),
    ("project = 'Default' and name is not null", [7, 3, 1]),
    ("project is null", []),
    ("artifact = 'a/b.txt'", [7, 4, 1]),
    ("artifact ~ '*.TXT' and dirty = false", [1]),
    ("artifact like '%.TXT'", []),
    ("artifact is null and dirty = true", [2, 0]),
    ("used = 'dataset:d1'", [1]),
    ("used ~ 'model:*'", []),
    ("script = 'train3.py' or commit = 'c0ffee'", [3, 2, 1, 0]),
    ("text ~ 'draft'", [0]),
    ("text ~ 'RUN 1'", [1]),
    ("text is null", [6, 4, 2]),
    ("text(params.x) = '2.5' or text(params.flag) = 'false'", [2, 1]),
    ("text(params.x) like '[%'", [5]),
    ("params.kind like 'f%'", [3, 0]),
    ("params.kind like 'F%'", []),
    ("params.kind ilike 'F_rest'", [0]),
    ("first(metrics.auc) = 0.5", [0]),
    ("count(metrics.auc) = 3", [0]),
    ("count(metrics.auc) > 1", [5, 0]),
    ("best(metrics.auc) > 0.8", [4, 0]),
    ("user = 'ann' and lost_records = 0", [7, 6, 5, 4, 3, 2, 1, 0]),
]
ORDERS: list[tuple[str, list[int]]] = [
    ("", [7, 6, 5, 4, 3, 2, 1, 0]),
    ("created", [0, 1, 2, 3, 4, 5, 6, 7]),
    ("metrics.auc desc", [4, 7, 6, 0, 2, 5, 3, 1]),
    ("metrics.auc", [2, 6, 0, 7, 4, 5, 3, 1]),
    ("max(metrics.auc) desc", [4, 0, 7, 6, 2, 5, 3, 1]),
    ("best(metrics.auc) desc", [4, 0, 7, 6, 2, 5, 3, 1]),
    ("first(metrics.auc)", [5, 0, 2, 6, 7]),
    ("count(metrics.auc) desc", [0, 5]),
    ("text(params.x) desc", [7, 2, 5, 3, 1, 0]),
    ("project desc, created", [2, 5, 0]),
    ("params.x", [0, 1, 2]),
    ("params.x desc, created", [1, 0, 2]),
    ("tags.stage desc", [0, 1]),
    ("name desc", [7, 5, 3, 1, 6, 4, 2, 0]),
    ("params.kind, metrics.auc desc", [7, 1, 0, 3, 4, 6, 2, 5]),
]


@pytest.mark.parametrize("store", [SEALED, LIVE], ids=["sealed", "live"])
@pytest.mark.parametrize(
    ("text", "expected"),
    SEARCHES,
)
def test_a_search_finds(store: Store, text: str, expected: list[int]) -> None:
    assert names(store, text) == expected


@pytest.mark.parametrize("store", [SEALED, LIVE], ids=["sealed", "live"])
@pytest.mark.parametrize(
    ("order", "first"),
    ORDERS,
)
def test_an_order_is_kept(store: Store, order: str, first: list[int]) -> None:
    found = names(store, order=order)
    assert found[: len(first)] == first
    assert sorted(found) == list(range(8))
    assert names(store, order=order, limit=3) == first[:3] or len(first) < 3


@pytest.mark.parametrize("store", [SEALED, LIVE], ids=["sealed", "live"])
def test_without_an_order_the_newest_comes_first(store: Store) -> None:
    assert [run.id for run in find_runs(store, None, ())] == [run.id for run in search(store)]


def test_status_is_that_of_the_moment() -> None:
    assert names(SEALED, "status = 'failed'") == [2]
    assert names(LIVE, "status = 'running'") == [7, 5, 4, 2, 1]
    assert names(LIVE, "status = 'finished'") == [6, 3, 0]
    assert names(LIVE, "ended is not null") == [6, 3, 0]


def test_a_part_of_an_answer() -> None:
    for store in (SEALED, LIVE):
        assert names(store, order="created", limit=3, offset=2) == [2, 3, 4]
        assert names(store, "metrics.auc > 0", order="metrics.auc desc", limit=2, offset=1) == [7, 6]
        assert names(store, limit=3, offset=100) == []
        assert names(store, projects=[project_id("flights/delay")]) == [5, 2]


@pytest.mark.parametrize("order", ["", "metrics.auc desc", "name"])
def test_pages_make_up_the_answer_and_new_runs_move_nothing(order: str) -> None:
    store = memory_store(PROJECTION, LINEAGE)
    build(store, live=True)
    whole = search(store, "params.x is not null or metrics.auc is not null", order=order)
    found: list[str] = []
    token = ""
    while True:
        page = search_page(store, "params.x is not null or metrics.auc is not null", order=order, limit=3, token=token)
        found += [run.id for run in page.runs]
        time.sleep(0.002)
        start(store, name="later", params={"x": 1})
        token = page.next
        if not token:
            break
    assert found == [run.id for run in whole]
    for wrong in ("?", "abc", search_page(store, limit=1).next):
        with pytest.raises(Invalid, match="no page of this search"):
            search_page(store, "name = 'x'", token=wrong)


def test_names_that_no_run_has_are_told_of() -> None:
    page = search_page(SEALED, "metrics.acu > 0.5 and params.kind = 'forest'", order="tags.stag")
    assert page.runs == ()
    assert page.hints == (
        "no run has a metric 'acu': did you mean auc?",
        "no run has a tag 'stag': did you mean stage?",
    )
    assert search_page(SEALED, "metrics.auc > 0.5").hints == ()
    assert search_page(memory_store(PROJECTION, LINEAGE), "metrics.x > 1").hints == ("no run has a metric 'x'",)


def test_the_best_is_what_was_declared() -> None:
    store = memory_store(PROJECTION, LINEAGE)
    with start(store, goals={"score": "max", "cost": "min"}) as run:
        run.log({"score": 1.0, "cost": 5.0, "other": 1.0, "val/rmse": 3.0})
        run.log({"score": 0.5, "cost": 9.0, "other": 1.0, "val/rmse": 4.0})
    assert search(store, "best(metrics.score) = 1 and best(metrics.cost) = 5 and best(metrics.val/rmse) = 3")
    with pytest.raises(Invalid, match="nobody said whether more of it") as caught:
        search(store, order="best(metrics.other)")
    assert 'charkh.run(goals={"other": "max"})' in caught.value.hint
    start(store, goals={"score": "min"}).end()
    with pytest.raises(Invalid, match="both more and less"):
        search(store, "best(metrics.score) > 0")
    with pytest.raises(Invalid, match="'max' or 'min'"):
        start(store, goals={"score": "up"})


def test_runs_are_found_by_the_data_that_they_used(tmp_path: Path) -> None:
    store = memory_store(PROJECTION, LINEAGE, DATASETS)

    def made(name: str, content: str) -> DatasetVersion:
        (tmp_path / "a.txt").write_text(content)
        return add_files(store, name, [tmp_path / "a.txt"])

    first, second, other = made("flights", "1"), made("flights", "2"), made("weather", "3")
    for number, version in enumerate((first, second, other, None)):
        with start(store, name=str(number)) as run:
            if version is not None:
                run.use(version.subject)

    def found(text: str) -> list[str]:
        return [run.name for run in search(store, text, order="created")]

    assert found("data = 'flights@1'") == ["0"]
    assert found("data = 'flights@latest'") == ["1"]
    assert found("data = 'flights'") == ["0", "1"]
    assert found("data ~ 'fl' or data in ('weather@1')") == ["0", "1", "2"]
    assert found("data is null") == ["3"]
    assert found("not data ~ 'flights'") == ["2", "3"]
    assert found(f"data = '{first.subject}'") == ["0"]
    with pytest.raises(NotFound, match="there is no dataset 'flihgts'") as caught:
        found("data = 'flihgts'")
    assert "flights" in caught.value.hint


def test_a_mistake_is_pointed_at() -> None:
    with pytest.raises(Invalid, match="cannot read the search"):
        search(SEALED, "params.x >")
    with pytest.raises(Invalid, match="a field was expected"):
        search(SEALED, order="auc desc")


@pytest.mark.needs("postgresql")
def test_postgresql_answers_alike(postgres_url: str) -> None:
    memory = memory_store(PROJECTION, LINEAGE)
    engine = postgres_engine(postgres_url)
    catalog = Catalog(engine, memory.journal, (PROJECTION, LINEAGE), memory.clock, memory.actor)
    store = dataclasses.replace(memory, commands=catalog, queries=catalog)
    RUNS[id(store)] = build(store, live=False)
    for text, expected in SEARCHES:
        assert names(store, text) == expected, text
    for order, first in ORDERS:
        assert names(store, order=order)[: len(first)] == first, order
    tag(store, RUNS[id(store)][0].id, {"stage": "new"})
    assert names(store, "tags.stage = 'new'") == [0]
    assert find(store, "run 1").metrics["auc"] != find(store, "run 1").metrics["auc"]
    engine.dispose()
