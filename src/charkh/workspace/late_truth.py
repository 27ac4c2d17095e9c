"""The truth that a monitor waits for, joined with the predictions of an endpoint, a segment of the log at a time."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from charkh.core.errors import NotFound
from charkh.core.monitor_settings import MonitorSettings
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.diff import diff_files
from charkh.datasets.find import find as find_dataset
from charkh.datasets.index import DatasetById
from charkh.datasets.read import read_table, scan_table
from charkh.endpoints.masks import canonical
from charkh.endpoints.read import predictions, scan_predictions
from charkh.endpoints.truth import scan_truths
from charkh.monitors.lateness import DAY, Lateness, LateTruth
from charkh.monitors.truth import PREDICTION, TruthSource, parse_truth
from charkh.workspace.masking import masks_of
from charkh.workspace.predicted import SCORE, requests, score_name
from charkh.workspace.serving import Prepare
from charkh.workspace.workspace import Workspace

HISTORY = 30 * DAY
"""Of predictions that wait for no truth any more, the last so many seconds are shown by day all the same."""
TRUTH = "@truth"
LABEL = "@label"
BLOCK = "@block"
KNOWN_AT = "@known_at"
IS_NEW = "@new"
AT = "@at"
KEY = "@key"


class Late(NamedTuple):
    """The truth that came since the last look.

    Attributes:
        new: the truths, with the keys and the target; None where nothing is new.
        waiting: the predictions that waited for it, with keys, score, block and segments.
        keys: columns that both share.
        lateness: of all truth that is known; None where none is.
    """

    new: pl.DataFrame | None = None
    waiting: pl.DataFrame | None = None
    keys: tuple[str, ...] = ()
    lateness: Lateness | None = None


class _Known(NamedTuple):
    """What is known: `join` adds the truth's columns to scored predictions; `new` is what came since the last look."""

    join: Callable[[pl.DataFrame], pl.DataFrame]
    new: pl.DataFrame | None


def late_truth(
    workspace: Workspace,
    settings: MonitorSettings,
    endpoint: str,
    prepare: Prepare,
    since: float,
    *,
    moment: float | None = None,
) -> Late:
    """Join the truth of a monitor with the predictions that were logged.

    The log is read in segments; what is kept of it are the keys and scores of predictions that still wait, and counts.

    Args:
        workspace: whose monitor it is.
        settings: of the monitor.
        endpoint: whose predictions.
        prepare: what its recipes make of rows.
        since: seconds since the epoch of the last look; younger predictions wait for the next one.
        moment: seconds since the epoch for which it is said, where the requests themselves say when they were; now
            by default.
    """
    if not settings.truth:
        return Late()
    source = parse_truth(settings.truth)
    known = _known(workspace, settings, source, endpoint, since)
    if known is None:
        return Late(keys=source.keys)
    now = time.time()
    begin = now - source.within if source.within else 0.0
    counted = LateTruth(moment if moment is not None and settings.predicted_at else now, source.within)
    waiting, came = list[pl.DataFrame](), list[pl.DataFrame]()
    kept = dict.fromkeys((*source.keys, SCORE, settings.block, *settings.segments))
    first = begin - HISTORY if source.within else None
    for part in scan_predictions(workspace.store, endpoint, since=first, shadows=False):
        rows = scored(part, prepare, settings.score)
        rows = known.join(rows.with_columns(_moments(rows, part, settings.predicted_at).alias(AT)))
        counted.add(*(_numbers(rows[name]) for name in (AT, SCORE, TRUTH, KNOWN_AT)))
        logged_at = part["time"].dt.epoch("us") / 1e6
        # What was sent about a younger one is not met again at the next look, unlike a dataset's newest version.
        earlier = logged_at <= since
        looked_at = earlier if source.dataset else earlier | rows[TRUTH].is_not_null()
        waits = looked_at & (logged_at >= begin) & rows[IS_NEW].fill_null(True)
        waiting.append(rows.filter(waits).select(name for name in kept if name in rows.columns))
        if not source.dataset:
            told = rows.filter(waits & rows[TRUTH].is_not_null())
            came.append(told.select(PREDICTION, pl.col(TRUTH).alias(settings.target or TRUTH)))
    lateness = counted.found(predictions(workspace.store, endpoint, since=first, failed=True).height)
    asked = pl.concat(waiting, how="diagonal_relaxed") if waiting else pl.DataFrame()
    new = known.new if source.dataset else (pl.concat(came) if came else None)
    if new is None or new.is_empty() or asked.is_empty():
        return Late(keys=source.keys, lateness=lateness)
    if settings.block and settings.block in asked.columns and settings.block in new.columns:
        asked = asked.drop(settings.block)
    return Late(new, asked, source.keys, lateness)


def scored(logged: pl.DataFrame, prepare: Prepare, score: str = "") -> pl.DataFrame:
    """Logged predictions with what their recipes made of them, and `score`: one number a row.

    Args:
        logged: predictions.
        prepare: what their recipes make of rows.
        score: output that is the score; without, probabilities, or else predictions.
    """
    outputs = logged[score_name(logged.columns, score)]
    return prepare(requests(logged, outputs.name)).with_columns(
        logged["prediction_id"], logged["version"], _score(outputs).alias(SCORE)
    )


def known_truth(
    workspace: Workspace, settings: MonitorSettings, endpoint: str, since: float
) -> Callable[[pl.DataFrame], pl.DataFrame] | None:
    """A way to add what is known to predictions with their keys, missing where nothing is; None without any truth.

    It adds `LABEL`, the truth as it stands, `BLOCK`, where the truth says it, and `IS_NEW`.

    Args:
        workspace: whose monitor it is.
        settings: of the monitor.
        endpoint: whose predictions.
        since: seconds since the epoch of the last look; what came later is new.
    """
    known = _known(workspace, settings, parse_truth(settings.truth), endpoint, since)
    if known is None:
        return None

    def join(rows: pl.DataFrame) -> pl.DataFrame:
        joined = known.join(rows)
        return joined if LABEL in joined.columns else joined.with_columns(pl.col(TRUTH).alias(LABEL))

    return join


def _known(
    workspace: Workspace, settings: MonitorSettings, source: TruthSource, endpoint: str, since: float
) -> _Known | None:
    if source.dataset:
        return _of_dataset(workspace, settings, source, endpoint)
    return _posted(workspace, endpoint, since)


def _of_dataset(workspace: Workspace, settings: MonitorSettings, source: TruthSource, endpoint: str) -> _Known | None:
    try:
        version = find_dataset(workspace.store, source.dataset)
    except NotFound:
        return None
    before, new = _truth_by_age(workspace, version)
    keys = list(source.keys)
    masks = masks_of(workspace, endpoint)
    hashed = [key for key in keys if masks is not None and key in masks.columns and masks.columns[key].way == "hash"]
    if masks is not None and hashed:
        digests = [pl.col(key).map_elements(masks.digest, return_dtype=pl.String) for key in hashed]
        new = new.with_columns(digests)
        before = None if before is None else before.with_columns(digests)
    parts = [
        table.select(
            *keys,
            (pl.col(settings.target) if settings.target in table.columns else pl.lit(None))
            .cast(pl.Float64, strict=False)
            .alias(TRUTH),
            *(
                pl.col(name).alias(told)
                for name, told in ((settings.target, LABEL), (settings.block, BLOCK))
                if name in table.columns
            ),
            _known_at(table, settings.known_at, version.created if is_new else None).alias(KNOWN_AT),
            pl.lit(is_new).alias(IS_NEW),
        )
        for table, is_new in ((before, False), (new, True))
        if table is not None
    ]
    every = pl.concat(parts, how="diagonal_relaxed").drop_nulls(keys)
    # A key that was known before is not waited for, whatever else is said of it now.
    last = every.group_by(keys, maintain_order=True).agg(pl.exclude(IS_NEW).last(), pl.col(IS_NEW).min())

    def join(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.join(last, on=keys, how="left", maintain_order="left")

    return _Known(join, new)


def _posted(workspace: Workspace, endpoint: str, since: float) -> _Known | None:
    told = list(scan_truths(workspace.store, endpoint))
    if not told:
        return None
    every = pl.concat(told).sort("known_at", maintain_order=True).drop_nulls("number")
    said = (
        pl.col("number").alias(TRUTH),
        pl.col("known_at").alias(KNOWN_AT),
        (pl.col("received") > since).alias(IS_NEW),
    )
    by_id, by_key = (
        every.drop_nulls(name).unique(name, keep="last", maintain_order=True).select(pl.col(name), *said)
        for name in (PREDICTION, "key")
    )
    settings = workspace.settings.endpoint.get(endpoint)
    column = "" if settings is None else settings.key

    def join(rows: pl.DataFrame) -> pl.DataFrame:
        joined = rows.join(by_id, on=PREDICTION, how="left", maintain_order="left")
        if not column or column not in rows.columns or by_key.is_empty():
            return joined
        joined = joined.with_columns(_key_text(rows[column]).alias(KEY))
        joined = joined.join(by_key, left_on=KEY, right_on="key", how="left", maintain_order="left", suffix=".key")
        return joined.with_columns(pl.coalesce(name, f"{name}.key").alias(name) for name in (TRUTH, KNOWN_AT, IS_NEW))

    return _Known(join, None)


def _truth_by_age(workspace: Workspace, version: DatasetVersion) -> tuple[pl.DataFrame | None, pl.DataFrame]:
    """The rows that the version before had, and those that this one added."""
    store = workspace.store
    parent = store.queries.ask(DatasetById(version=version.made.parent)) if version.made.parent else None
    if parent is None:
        return None, read_table(store, version)
    added = [change.path for change in diff_files(store, parent, version).added]
    return read_table(store, parent), scan_table(store, version, files=added).collect()


def _known_at(table: pl.DataFrame, column: str, otherwise: float | None) -> pl.Expr:
    if column and column in table.columns:
        return _seconds(table, column)
    return pl.lit(otherwise, pl.Float64)


def _moments(rows: pl.DataFrame, logged: pl.DataFrame, column: str) -> pl.Series:
    """When each prediction was made, in seconds since the epoch."""
    if column and column in rows.columns:
        return rows.select(_seconds(rows, column).alias(AT))[AT]
    return logged["time"].dt.epoch("us") / 1e6


def _seconds(table: pl.DataFrame, column: str) -> pl.Expr:
    said, dtype = pl.col(column), table.schema[column]
    if dtype == pl.String:
        said, dtype = said.str.to_datetime(strict=False), pl.Datetime("us")
    if dtype == pl.Date:
        said = said.cast(pl.Datetime("us"))
    return said.dt.epoch("us") / 1e6 if dtype.is_temporal() else said.cast(pl.Float64)


def _key_text(column: pl.Series) -> pl.Series:
    """Keys as truths name them."""
    if column.dtype.is_integer():
        return column.cast(pl.String)
    said = (canonical(value) for value in column.to_list())
    return pl.Series([None if each is None else each.decode("utf-8", "replace") for each in said], dtype=pl.String)


def _numbers(column: pl.Series) -> Any:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _score(outputs: pl.Series) -> pl.Series:
    if isinstance(outputs.dtype, pl.List | pl.Array):
        rows: Any = np.asarray(outputs.to_list(), dtype=np.float64)
        return pl.Series(SCORE, rows[:, -1])
    return outputs.cast(pl.Float64)
