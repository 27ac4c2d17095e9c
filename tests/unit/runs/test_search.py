"""Search: the catalog's SQL and the plain reading of a condition agree, live and sealed alike."""

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.store import Store
from charkh.runs import search_sql
from charkh.runs.find import find
from charkh.runs.index import PROJECTION
from charkh.runs.live import with_segments
from charkh.runs.query import matches, parse_condition
from charkh.runs.search import search
from charkh.runs.start import ActiveRun, start
from charkh.runs.tag import tag
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


def build(store: Store, *, live: bool) -> list[ActiveRun]:
    runs: list[ActiveRun] = []
    for number, (params, metrics, tags) in enumerate(zip(PARAMS, METRICS, TAGS, strict=True)):
        run = start(store, name=f"run {number}" if number % 2 else "", params=params, tags=tags)
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
METRIC_FIELDS = st.sampled_from(["metrics.auc", "min(metrics.auc)", "max(metrics.auc)"])
OWN_NUMBERS = st.sampled_from(["created", "ended", "duration", "lost_records"])
OWN_TEXTS = st.sampled_from(["name", "status", "group", "error", "tags.stage", "tags.none"])
FIELDS = PARAM_FIELDS | METRIC_FIELDS | OWN_NUMBERS | OWN_TEXTS
NUMBERS = st.sampled_from(["1", "2.5", "0.7", "0", "-1"])
TEXTS = st.sampled_from(["'forest'", "'one'", "''", "'draft'", "'finished'", "'run 1'", "'o'", "'%'"])
ORDERING = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
OPERATORS = ORDERING | st.just("~")


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    field = draw(FIELDS)
    shape = draw(st.sampled_from(["compare", "in", "null"]))
    if shape == "null":
        return f"{field} is {draw(st.sampled_from(['null', 'not null']))}"
    values = st.one_of(NUMBERS, TEXTS, st.just("true")) if field.startswith("params") else NUMBERS
    if field.startswith("tags") or field in {"name", "status", "group", "error"}:
        values = TEXTS
    if shape == "in":
        listed = ", ".join(draw(st.lists(values, min_size=1, max_size=3)))
        return f"{field} {draw(st.sampled_from(['in', 'not in']))} ({listed})"
    value = draw(values)
    operator = draw(OPERATORS if value.startswith("'") else ORDERING)
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
    everything = {run.id: with_segments(store, run, ()) for run in search(store)}
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
]
ORDERS: list[tuple[str, list[int]]] = [
    ("", [7, 6, 5, 4, 3, 2, 1, 0]),
    ("created", [0, 1, 2, 3, 4, 5, 6, 7]),
    ("metrics.auc desc", [4, 7, 6, 0, 2, 5, 3, 1]),
    ("metrics.auc", [2, 6, 0, 7, 4, 5, 3, 1]),
    ("max(metrics.auc) desc", [4, 0, 7, 6, 2, 5, 3, 1]),
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


def test_status_is_that_of_the_moment() -> None:
    assert names(SEALED, "status = 'failed'") == [2]
    assert names(LIVE, "status = 'running'") == [7, 5, 4, 2, 1]
    assert names(LIVE, "status = 'finished'") == [6, 3, 0]
    assert names(LIVE, "ended is not null") == [6, 3, 0]


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
