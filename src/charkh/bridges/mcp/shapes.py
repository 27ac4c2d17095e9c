"""What the tools answer: plain, bounded shapes, from which the SDK makes the schemas that an assistant reads.

Dataclasses, because the SDK reads their types; charkh's own structs are not for its schemas.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from charkh.datasets.dataset import DatasetVersion
from charkh.models.model import ModelVersion
from charkh.runs.run import LargeValue, Run
from charkh.webhooks.letter import plain

MAX_FIELDS = 100
"""Params, metrics, tags, columns in one answer."""
MAX_TEXT = 500
"""Characters of one value."""


@dataclass(frozen=True, kw_only=True)
class RunShape:
    """A run: times are ISO 8601 in UTC; `cut` says that it has more params, metrics or tags than are shown."""

    id: str
    name: str
    status: str
    started: str
    ended: str | None
    actor: str
    params: dict[str, Any]
    metrics: dict[str, Any]
    tags: dict[str, str]
    group: str = ""
    parent: str = ""
    error: str = ""
    commit: str = ""
    cut: bool = False


@dataclass(frozen=True, kw_only=True)
class RunsShape:
    """Runs in the order asked for; `more` says that the limit left some out."""

    runs: list[RunShape]
    more: bool


@dataclass(frozen=True, kw_only=True)
class RowShape:
    """One thing that differs: a value of each run, in order, null where one has none."""

    name: str
    values: list[Any]


@dataclass(frozen=True, kw_only=True)
class ComparisonShape:
    """What differs between runs; what is equal is left out."""

    runs: list[str]
    params: list[RowShape]
    metrics: list[RowShape]
    code: list[RowShape]
    environment: list[RowShape]
    data: list[RowShape]
    equal: int
    cut: bool


@dataclass(frozen=True, kw_only=True)
class CurveShape:
    """Points of a metric; of `count` points, every n-th and the last where there are more than were asked for."""

    run: str
    metric: str
    count: int
    steps: list[int]
    values: list[Any]
    times: list[str]
    sampled: bool


@dataclass(frozen=True, kw_only=True)
class DatasetShape:
    """A version of a dataset; `columns` are names with Polars types."""

    ref: str
    id: str
    kind: str
    created: str
    author: str
    message: str
    files: int
    bytes: int
    rows: int | None
    columns: dict[str, str]
    cut: bool = False


@dataclass(frozen=True, kw_only=True)
class DatasetsShape:
    """The newest version of each dataset."""

    datasets: list[DatasetShape]
    more: bool


@dataclass(frozen=True, kw_only=True)
class DataDiffShape:
    """What differs between two versions; rows and cells where both are tables, with the first few of each."""

    old: str
    new: str
    files_added: list[str]
    files_removed: list[str]
    files_changed: list[str]
    rows: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """A version of a model."""

    ref: str
    id: str
    created: str
    author: str
    runtime: str
    run: str
    aliases: list[str]
    metrics: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class ModelsShape:
    """Models by name: how many versions, the latest, and who holds which alias."""

    models: list[dict[str, Any]]
    more: bool


@dataclass(frozen=True, kw_only=True)
class ServedShape:
    """Who held an alias; `version` is null where nobody did."""

    name: str
    alias: str
    at: str
    version: ModelShape | None
    since: str | None = None
    moved_by: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class TraceShape:
    """A walk back to the data: one line a thing, indented by distance."""

    subject: str
    lines: list[str]
    cut: bool


@dataclass(frozen=True, kw_only=True)
class AlertsShape:
    """Alerts, the latest first."""

    alerts: list[dict[str, Any]]
    more: bool


@dataclass(frozen=True, kw_only=True)
class ChecksShape:
    """What a suite came to on a version; nothing was recorded."""

    suite: str
    dataset: str
    passed: bool
    rows: int
    set_aside: int
    rules: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class DoneShape:
    """What was written, and about what."""

    subject: str
    done: str


def when(moment: float | None) -> str | None:
    """Seconds since the epoch as ISO 8601 in UTC."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def run_shape(run: Run) -> RunShape:
    """A run, bounded."""
    counted = max(len(run.params), len(run.metrics), len(run.tags))
    return RunShape(
        id=run.id,
        name=run.name,
        status=run.status,
        started=when(run.created) or "",
        ended=when(run.ended),
        actor=run.actor,
        params={name: _value(value) for name, value in list(run.params.items())[:MAX_FIELDS]},
        metrics={name: plain(value) for name, value in list(run.metrics.items())[:MAX_FIELDS]},
        tags={name: value[:MAX_TEXT] for name, value in list(run.tags.items())[:MAX_FIELDS]},
        group=run.started.group,
        parent=run.started.parent,
        error=run.error,
        commit=run.provenance.commit if run.provenance is not None else "",
        cut=counted > MAX_FIELDS,
    )


def dataset_shape(version: DatasetVersion) -> DatasetShape:
    """A version of a dataset, bounded."""
    made = version.made
    return DatasetShape(
        ref=version.ref,
        id=version.id,
        kind=made.kind,
        created=when(version.created) or "",
        author=version.actor,
        message=made.message,
        files=made.tree.files,
        bytes=made.tree.size,
        rows=made.rows,
        columns={column.name: column.dtype for column in made.schema[:MAX_FIELDS]},
        cut=len(made.schema) > MAX_FIELDS,
    )


def model_shape(version: ModelVersion) -> ModelShape:
    """A version of a model, bounded."""
    return ModelShape(
        ref=version.ref,
        id=version.id,
        created=when(version.created) or "",
        author=version.actor,
        runtime=version.made.runtime,
        run=version.made.run,
        aliases=list(version.aliases),
        metrics={name: plain(value) for name, value in list(version.metrics.items())[:MAX_FIELDS]},
        tags={name: value[:MAX_TEXT] for name, value in list(version.tags.items())[:MAX_FIELDS]},
    )


def cell(value: object) -> Any:
    """A value in a row of a comparison."""
    return _value(value)


def _value(value: object) -> Any:
    if isinstance(value, LargeValue):
        return f"[{value.file.size} bytes of JSON]"
    shown = plain(value)
    text = shown if isinstance(shown, str) else str(shown)
    return shown if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
