"""The points of a run that are not here yet, sealed at once: no segment is opened, and no point is looked at alone."""

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from charkh.bridges.mlflow.exchanged import KeyPoints
from charkh.bridges.mlflow.importing.report import Tally
from charkh.core.digests import digest_of
from charkh.core.errors import Invalid
from charkh.core.events import Draft
from charkh.ports.store import Store
from charkh.runs.history import metric_histories
from charkh.runs.index import SealedOf
from charkh.runs.live import open_segments, open_summaries
from charkh.runs.membership import CLIENT_WRITER
from charkh.runs.points import MAX_SECONDS, Series, SeriesName
from charkh.runs.points_log import MAX_STEP
from charkh.runs.run import SEALED_KIND, RunSealed
from charkh.runs.seal import MAX_SERIES
from charkh.runs.sealed_points import encode_blob
from charkh.runs.values import checked_key

CONTEXTS_TAG = "charkh.contexts"
"""Says which keys of an exported run are metrics with a context: JSON, `{"val/loss": ["loss", "val"]}`."""

MOST = 4_000_000
"""Points that are sealed together at most."""


def points_drafts(
    store: Store, run: str, points: Iterable[KeyPoints], contexts: Mapping[str, SeriesName], tally: Tally
) -> list[Draft]:
    """The facts that seal the points that the run has not; the bytes are put, and flushed by the caller.

    They belong to the writer `client`, as those that MLflow's clients send: equal ones count once.

    Args:
        store: where they go.
        run: id.
        points: every point that the source has.
        contexts: by key, the metrics that have a context.
        tally: is told how many are new.
    """
    counted = _counted(store, run)
    drafts: list[Draft] = []
    series: list[Series] = []
    waiting = 0
    for each in points:
        fitting = _fitting(each, run, tally)
        if fitting is None:
            continue
        size, name = fitting.steps.size, contexts.get(fitting.key, SeriesName(fitting.key, ""))
        if size == counted.get(name):
            tally.there("point", size)
            continue
        new = _new(store, run, name, fitting) if counted.get(name) else fitting
        tally.new("point", new.steps.size)
        tally.there("point", size - new.steps.size)
        if new.steps.size:
            series.append(Series(name, new.steps, new.times, new.values))
            waiting += new.steps.size
        if waiting > MOST:
            drafts.append(_sealed(store, run, series))
            series, waiting = [], 0
    if series:
        drafts.append(_sealed(store, run, series))
    return drafts


def contexts_in(tags: Mapping[str, str]) -> dict[str, SeriesName]:
    """By key, the metrics that have a context here: an export says in a tag which these are."""
    try:
        said = msgspec.json.decode(tags.get(CONTEXTS_TAG, "{}"), type=dict[str, tuple[str, str]])
    except msgspec.DecodeError:
        return {}
    return {key: SeriesName(*name) for key, name in said.items()}


def _counted(store: Store, run: str) -> dict[SeriesName, int]:
    """By metric, how many points of clients are sealed; -1 where others may be, so that they have to be compared."""
    found: dict[SeriesName, int] = {}
    for sealed in store.queries.ask(SealedOf(run=run)):
        for each in sealed.series:
            name = SeriesName(each.key, each.context)
            known = found.get(name, 0)
            found[name] = known + each.count if sealed.writer == CLIENT_WRITER and known >= 0 else -1
    for segment in open_segments(store).get(run, ()):
        found |= dict.fromkeys((SeriesName(each.key, each.context) for each in open_summaries(store, segment)), -1)
    return found


def _fitting(points: KeyPoints, run: str, tally: Tally) -> KeyPoints | None:
    try:
        checked_key(points.key, "metric")
    except Invalid as error:
        tally.tell(f"run {run}", error.message)
        return None
    steps, times = points.steps, points.times
    kept = (np.abs(steps) < MAX_STEP) & (np.abs(times) < int(MAX_SECONDS * 1e6))
    if kept.all():
        return points
    tally.tell(f"run {run}: {points.key}", f"{int((~kept).sum())} points have a step or time that nothing can hold")
    return KeyPoints(points.key, steps[kept], times[kept], points.values[kept])


def _new(store: Store, run: str, name: SeriesName, points: KeyPoints) -> KeyPoints:
    """The points that no writer of the run has logged."""
    known: set[tuple[int, int, int]] = set()
    for curve in metric_histories(store, run, name.key, context=name.context):
        # MLflow's times are whole milliseconds, and so are those of what was exported to it.
        times = np.rint(curve.times * 1e3).astype(np.int64)
        known.update(zip(curve.steps.tolist(), times.tolist(), _bits(curve.values), strict=True))
    mine = zip(points.steps.tolist(), (points.times // 1000).tolist(), _bits(points.values), strict=True)
    kept = np.fromiter((each not in known for each in mine), np.bool_, points.steps.size)
    return KeyPoints(points.key, points.steps[kept], points.times[kept], points.values[kept])


def _bits(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[int]:
    """Values as what can be compared: every NaN is the same."""
    return np.where(np.isnan(values), np.nan, values).view(np.int64).tolist()


def _sealed(store: Store, run: str, series: list[Series]) -> Draft:
    summaries = [each.summary(by_time=True) for each in series]
    blob = store.vault.put_bytes(encode_blob(series, summaries), "points.zst")
    count = sum(summary.count for summary in summaries)
    body = RunSealed(
        run=run,
        # Of equal points one segment: an import that was killed says the same again.
        segment=digest_of(f"mlflow\0{run}\0{blob.digest}".encode())[:32],
        writer=CLIENT_WRITER,
        attempt=0,
        blob=blob,
        records=count,
        points=count,
        series=tuple(summaries[:MAX_SERIES]),
    )
    return Draft(kind=SEALED_KIND, subject=f"run:{run}", body=body, holds=(blob.held,))
