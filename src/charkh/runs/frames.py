"""Runs as tables: one row a run with a column for each param, metric and tag; and the points of their metrics."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from charkh.ports.store import Store
from charkh.runs.columns import COLUMNS, Name, RunRows
from charkh.runs.find import by_id
from charkh.runs.history import metric_history, metric_names
from charkh.runs.index import ArtifactsOf, LinksOf, RunsByIds
from charkh.runs.live import Known, open_segments, with_many
from charkh.runs.projects import list_projects
from charkh.runs.run import LargeValue, Run, json_text
from charkh.runs.search import search

TIME = pl.Datetime("us", "UTC")
MOST_RUNS = 1_000_000
OWN = ("run", "name", "project", "group", "parent", "status", "user", "created", "ended", "commit", "branch", "error")
"""The columns that every table of runs has."""

_TYPES: Mapping[str, Mapping[str, Any]] = {
    "runs": {
        **dict.fromkeys(COLUMNS["runs"], pl.String),
        "created": pl.Float64,
        "ended": pl.Float64,
        "dirty": pl.Boolean,
    },
    "params": {**dict.fromkeys(COLUMNS["params"], pl.String), "number": pl.Float64},
    "metrics": {"run": pl.String, "name": pl.String, **dict.fromkeys(("last", "min", "max"), pl.Float64)},
    "tags": dict.fromkeys(COLUMNS["tags"], pl.String),
    "artifacts": {"run": pl.String, "path": pl.String, "added": pl.Float64},
    "used": dict.fromkeys(COLUMNS["used"], pl.String),
}
_TIMES = {"runs": ("created", "ended"), "artifacts": ("added",)}
_POINTS = {
    "run": pl.String,
    "key": pl.String,
    "context": pl.String,
    "step": pl.Int64,
    "time": TIME,
    "value": pl.Float64,
}


def runs_frame(store: Store, text: str = "", *, order: str = "", limit: int = MOST_RUNS) -> pl.DataFrame:
    """The runs that meet `text`, one row each: `OWN`, `duration` in seconds, `params.X`, `metrics.X` and `tags.X`.

    A param that is a number in every run that has it is a column of numbers; any other is text, as it shows.

    Raises:
        Invalid: `text` or `order` is not of the grammar.
    """
    found = search(store, text, order=order, limit=limit)
    names = {each.id: each.name for each in list_projects(store, deleted=None)}
    own = {column: pl.Series(column, [_own(run, names)[column] for run in found]) for column in OWN}
    frame = pl.DataFrame(
        {**own, "duration": pl.Series([run.seconds for run in found], dtype=pl.Float64)},
    ).with_columns(
        _moment("created"), _moment("ended"), pl.col(OWN[:7]).cast(pl.String), pl.col(OWN[9:]).cast(pl.String)
    )
    columns = [
        *_family("params", [run.params for run in found], _param_column),
        *_family("metrics", [run.metrics for run in found], _numbers),
        *_family("tags", [run.tags for run in found], _texts),
    ]
    return frame.with_columns(columns)


def history_frame(store: Store, runs: Sequence[str], keys: Sequence[str] = ()) -> pl.DataFrame:
    """The points that show by default of some runs' metrics: run, key, context, step, time and value.

    Args:
        store: where they are.
        runs: ids.
        keys: of the metrics; all when empty.

    Raises:
        NotFound: there is no such run.
        Corrupt: sealed points are not what their digest says.
    """
    parts: list[pl.DataFrame] = []
    for run in runs:
        series = dict.fromkeys((each.key, each.context) for each in metric_names(store, by_id(store, run).id))
        for key, context in sorted(series):
            if keys and key not in keys:
                continue
            curve = metric_history(store, run, key, context=context)
            micros = pl.Series(curve.times * 1e6).round().cast(pl.Int64)
            points = pl.DataFrame({"step": curve.steps, "time": micros.cast(TIME), "value": curve.values})
            named = [pl.lit(text).alias(name) for name, text in (("run", run), ("key", key), ("context", context))]
            parts.append(points.select(*named, pl.all()))
    return pl.concat(parts) if parts else pl.DataFrame(schema=_POINTS)


def table_frame(store: Store, table: Name) -> pl.DataFrame:
    """One of the tables that `COLUMNS` describes, of every run that is not deleted; what open segments say included."""
    now = time.time()
    segments = open_segments(store)
    unsettled = tuple(sorted(segments))
    rows = store.queries.ask(RunRows(table=table, now=now, without=unsettled))
    if unsettled:
        present = [run for run in store.queries.ask(RunsByIds(runs=unsettled, now=now)) if run.deleted is None]
        names = {each.id: each.name for each in list_projects(store, deleted=None)}
        for known in with_many(store, present, segments):
            rows = [*rows, *_rows_of(store, known, table, names)]
    frame = pl.DataFrame(rows, schema=dict(_TYPES[table]), orient="row")
    if table == "tags":
        # Of several values that were set apart the latest shows.
        frame = frame.unique(["run", "name"], keep="last", maintain_order=True)
    return frame.with_columns(_moment(name) for name in _TIMES.get(table, ()))


def _rows_of(store: Store, known: Known, table: Name, names: Mapping[str, str]) -> list[tuple[Any, ...]]:
    run = known.run
    if table == "runs":
        own = _own(run, names)
        return [tuple(own[column] for column in COLUMNS["runs"])]
    if table == "params":
        return [(run.id, name, _number(value), _text(value), _told(value)) for name, value in run.params.items()]
    if table == "metrics":
        return [(run.id, name, last, known.low[name], known.high[name]) for name, last in run.metrics.items()]
    if table == "tags":
        return [(run.id, name, value) for name, value in run.tags.items()]
    if table == "artifacts":
        return [(run.id, each.path, each.at) for each in store.queries.ask(ArtifactsOf(run=run.id))]
    edges = store.queries.ask(LinksOf(run=run.id))
    return [(run.id, edge.relation, edge.target) for edge in edges if edge.source == run.subject]


def _own(run: Run, names: Mapping[str, str]) -> dict[str, Any]:
    code = run.provenance
    return {
        "run": run.id,
        "name": run.name or None,
        "project": names.get(run.project),
        "group": run.started.group or None,
        "parent": run.started.parent or None,
        "status": run.status,
        "user": run.user or None,
        "created": run.created,
        "ended": run.ended,
        "commit": (code.commit or None) if code is not None else None,
        "branch": (code.branch or None) if code is not None else None,
        "dirty": code.dirty if code is not None else None,
        "script": (code.program or None) if code is not None else None,
        "error": run.error or None,
    }


def _moment(name: str) -> pl.Expr:
    """Seconds since the epoch as a moment."""
    return (pl.col(name).cast(pl.Float64) * 1e6).round().cast(pl.Int64).cast(TIME)


def _family(
    family: str, rows: Sequence[Mapping[str, Any]], column: Callable[[Sequence[Any]], pl.Series]
) -> list[pl.Series]:
    names = sorted({name for row in rows for name in row})
    return [column([row.get(name) for row in rows]).alias(f"{family}.{name}") for name in names]


def _numbers(values: Sequence[Any]) -> pl.Series:
    return pl.Series(values, dtype=pl.Float64)


def _texts(values: Sequence[Any]) -> pl.Series:
    return pl.Series(values, dtype=pl.String)


def _param_column(values: Sequence[Any]) -> pl.Series:
    given = [value for value in values if value is not None]
    if given and all(isinstance(value, bool) for value in given):
        return pl.Series(values, dtype=pl.Boolean)
    if not given or any(_number(value) is None for value in given):
        return _texts([None if value is None else _told(value) for value in values])
    whole = all(isinstance(value, int) and abs(value) < 1 << 63 for value in given)
    return pl.Series(values, dtype=pl.Int64) if whole else _numbers([_number(value) for value in values])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _told(value: Any) -> str:
    if isinstance(value, LargeValue):
        return f"{value.file.size} bytes"
    return value if isinstance(value, str) else json_text(value)
