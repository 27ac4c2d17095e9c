"""The tools that only look: the verbs of the command line, with bounded answers."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from pydantic import Field

from charkh.bridges.mcp.shapes import (
    MAX_FIELDS,
    AlertsShape,
    ChecksShape,
    ComparisonShape,
    CurveShape,
    DataDiffShape,
    DatasetShape,
    DatasetsShape,
    ModelShape,
    ModelsShape,
    RowShape,
    RunShape,
    RunsShape,
    ServedShape,
    TraceShape,
    cell,
    dataset_shape,
    model_shape,
    run_shape,
    when,
)
from charkh.checks.document import parse_suite
from charkh.checks.find import find as find_check
from charkh.checks.suite import CheckSuite
from charkh.core.errors import Invalid
from charkh.datasets.diff import diff_files
from charkh.datasets.find import find as find_dataset
from charkh.datasets.index import Datasets
from charkh.models.find import find as find_model
from charkh.models.index import Models
from charkh.models.model import CHAMPION
from charkh.models.served import served_at
from charkh.monitors.alert_index import Alerts
from charkh.runs.compare import Row, compare, only_differing
from charkh.runs.find import find as find_run
from charkh.runs.history import metric_history
from charkh.runs.search import search
from charkh.webhooks.letter import plain
from charkh.workspace.tracing import render, trace_in
from charkh.workspace.workspace import Workspace

MOST = 100
"""Things in one answer."""
MOST_POINTS = 500
MOST_LINES = 300
MOST_COMPARED = 10
ROWS_FROM = 256 * 1024 * 1024
"""Bytes of a table from which rows are not compared and checks not run while somebody waits."""

Limit = Annotated[int, Field(ge=1, le=MOST, description="How many at most.")]
RunRef = Annotated[str, Field(description="A run: id, the begin of one, or its name.")]
DataRef = Annotated[str, Field(description="A version: flights@3, or flights for the newest.")]
ModelRef = Annotated[str, Field(description="A version: delay@3, delay@champion, delay@latest.")]

_SUITE = re.compile(r"[\w-]{1,100}")


class Reading:
    """The tools of one workspace.

    Args:
        workspace: that is asked.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store

    def tools(self) -> Sequence[Callable[..., Any]]:
        """All of them; name and docstring are what an assistant reads."""
        return (
            self.search_runs,
            self.show_run,
            self.compare_runs,
            self.metric_history,
            self.list_datasets,
            self.describe_dataset,
            self.diff_datasets,
            self.list_models,
            self.show_model,
            self.who_served,
            self.trace,
            self.list_alerts,
            self.run_checks,
        )

    def search_runs(self, query: str = "", order: str = "", limit: Limit = 20) -> RunsShape:
        """Find runs. `query` is such as `metrics.auc > 0.7 and params.rate <= 0.1 and tags.team = "flights"`, empty for
        all; `order` such as `metrics.auc desc`, newest first when empty."""
        found = search(self._store, query, order=order, limit=limit + 1)
        return RunsShape(runs=[run_shape(run) for run in found[:limit]], more=len(found) > limit)

    def show_run(self, run: RunRef) -> RunShape:
        """Show a run: params, last metrics, tags, status, error, commit."""
        return run_shape(find_run(self._store, run))

    def compare_runs(
        self, runs: Annotated[list[str], Field(min_length=2, max_length=MOST_COMPARED, description="Ids or names.")]
    ) -> ComparisonShape:
        """Say what differs between runs: params, metrics, code, environment, data."""
        found = compare(self._store, runs)
        parts = {name: getattr(found, name) for name in ("params", "metrics", "code", "environment", "data")}
        differing = {name: only_differing(rows) for name, rows in parts.items()}
        return ComparisonShape(
            runs=[run.id for run in found.runs],
            equal=sum(len(rows) - len(differing[name]) for name, rows in parts.items()),
            cut=any(len(rows) > MAX_FIELDS for rows in differing.values()),
            **{name: [_row(row) for row in rows[:MAX_FIELDS]] for name, rows in differing.items()},
        )

    def metric_history(
        self,
        run: RunRef,
        metric: str,
        context: str = "",
        points: Annotated[int, Field(ge=2, le=MOST_POINTS, description="How many at most.")] = 100,
    ) -> CurveShape:
        """The points of a metric, evenly thinned out where there are more than `points`."""
        found = find_run(self._store, run)
        curve = metric_history(self._store, found.id, metric, context=context)
        count = len(curve.steps)
        step = max(1, -(-count // points))
        places = list(range(0, count, step))
        if places and places[-1] != count - 1:
            places = [*places[: points - 1], count - 1]
        return CurveShape(
            run=found.id,
            metric=metric,
            count=count,
            steps=[int(curve.steps[place]) for place in places],
            values=[plain(float(curve.values[place])) for place in places],
            times=[when(float(curve.times[place])) or "" for place in places],
            sampled=step > 1,
        )

    def list_datasets(self, prefix: str = "", limit: Limit = 50) -> DatasetsShape:
        """List the datasets whose names begin with `prefix`, each by its newest version."""
        found = self._store.queries.ask(Datasets(prefix=prefix))
        listed = [dataset_shape(version) for each in found[:limit] for version in each.latest]
        return DatasetsShape(datasets=listed, more=len(found) > limit)

    def describe_dataset(self, dataset: DataRef) -> DatasetShape:
        """Describe a version of a dataset: columns and types, rows, files, who made it and why."""
        return dataset_shape(find_dataset(self._store, dataset))

    def diff_datasets(self, old: DataRef, new: DataRef) -> DataDiffShape:
        """Say what differs between two versions: files, and of small tables rows and cells."""
        before, after = find_dataset(self._store, old), find_dataset(self._store, new)
        files = diff_files(self._store, before, after)
        rows: dict[str, Any] | None = None
        small = max(before.made.tree.size, after.made.tree.size) < ROWS_FROM
        if before.made.kind == after.made.kind == "table" and small and not files.same:
            # Polars is loaded where rows are compared alone.
            from charkh.datasets.version_diff import diff_versions

            found = diff_versions(self._store, before, after, guess=True, cache=self._workspace.table_cache)
            rows = plain(msgspec.to_builtins(found.summary(5)))
        return DataDiffShape(
            old=before.ref,
            new=after.ref,
            files_added=[each.path for each in files.added[:MAX_FIELDS]],
            files_removed=[each.path for each in files.removed[:MAX_FIELDS]],
            files_changed=[each.path for each in files.changed[:MAX_FIELDS]],
            rows=rows,
        )

    def list_models(self, prefix: str = "", limit: Limit = 50) -> ModelsShape:
        """List the models whose names begin with `prefix`, with their aliases."""
        found = self._store.queries.ask(Models(prefix=prefix))
        listed = [
            {
                "name": each.name,
                "versions": each.versions,
                "latest": each.latest.ref if each.latest is not None else None,
                "aliases": each.aliases,
            }
            for each in found[:limit]
        ]
        return ModelsShape(models=listed, more=len(found) > limit)

    def show_model(self, model: ModelRef) -> ModelShape:
        """Show a version of a model: the run that made it, metrics, aliases, tags."""
        return model_shape(find_model(self._store, model))

    def who_served(
        self,
        name: Annotated[str, Field(description="Name of the model.")],
        alias: str = CHAMPION,
        at: Annotated[str, Field(description="ISO 8601, such as 2026-01-31T12:00; now by default.")] = "",
    ) -> ServedShape:
        """Say which version of a model held an alias at a time, since when, and who moved it there."""
        moment = _moment(at)
        holder = served_at(self._store, name, alias, moment)
        told = when(moment if moment is not None else datetime.now(UTC).timestamp()) or ""
        if holder is None or holder.version is None:
            return ServedShape(name=name, alias=alias, at=told, version=None)
        move = holder.move
        return ServedShape(
            name=name,
            alias=alias,
            at=told,
            version=model_shape(holder.version),
            since=when(move.at),
            moved_by=move.actor,
            reason=move.moved.reason,
        )

    def trace(self, what: Annotated[str, Field(description="A prediction's id, delay@3, run:ID.")]) -> TraceShape:
        """Walk back from a prediction, model, run or dataset to the run, params, data and raw rows it came from."""
        origins = trace_in(self._store, what)
        lines = render(origins)
        cut = origins.trace.cut or len(lines) > MOST_LINES
        return TraceShape(subject=origins.trace.subject, lines=[line[:400] for line in lines[:MOST_LINES]], cut=cut)

    def list_alerts(self, monitor: str = "", limit: Limit = 20) -> AlertsShape:
        """List the alerts of a monitor, or of all, the latest first."""
        found = self._store.queries.ask(Alerts(monitor=monitor))
        listed = [
            {
                "id": each.made.alert,
                "monitor": each.made.monitor,
                "endpoint": each.made.endpoint,
                "at": when(each.made.moment),
                "condition": each.made.condition,
                "reason": each.made.reason,
            }
            for each in found[:limit]
        ]
        return AlertsShape(alerts=listed, more=len(found) > limit)

    def run_checks(
        self,
        suite: Annotated[str, Field(description="Name of a suite: checks/NAME.toml, or one that was run before.")],
        dataset: DataRef,
    ) -> ChecksShape:
        """Check a version of a table and say which rules hold; nothing is recorded and no row is set aside for good."""
        from charkh.checks.run import run  # as above
        from charkh.datasets.read import read_table
        from charkh.workspace.check_context import context_for

        version = find_dataset(self._store, dataset)
        if version.made.tree.size > ROWS_FROM:
            raise Invalid(
                f"{version.ref} is too large to be checked while somebody waits",
                code="mcp.too_large",
                hint=f"Run: charkh check run checks/{suite}.toml {version.ref}",
            )
        rules, cache = self._suite(suite), self._workspace.table_cache
        context = context_for(self._store, rules, version, cache=cache)
        result = run(rules, read_table(self._store, version, cache=cache), context=context)
        return ChecksShape(
            suite=suite,
            dataset=version.ref,
            passed=all(each.status not in {"failed", "skipped"} for each in result.outcomes),
            rows=result.rows,
            set_aside=result.bad.height,
            rules=[
                {"rule": each.id, "status": each.status, "failed": each.failed, "message": each.message}
                for each in result.outcomes[:MAX_FIELDS]
            ],
        )

    def _suite(self, name: str) -> CheckSuite:
        """A suite by its name alone: an assistant names no path."""
        if not _SUITE.fullmatch(name):
            raise Invalid(
                f"{name[:80]!r} is no name of a suite", code="mcp.suite", hint="Letters, digits, _ and -, no path."
            )
        path = self._workspace.folder / "checks" / f"{name}.toml"
        if path.is_file():
            return parse_suite(path.read_text(encoding="utf-8"), path.name)
        check = find_check(self._store, name)
        return parse_suite(b"".join(self._store.vault.read(check.ran.document)).decode(), name)


def _row(row: Row) -> RowShape:
    return RowShape(name=row.name, values=[cell(value) for value in row.values])


def _moment(text: str) -> float | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise Invalid(f"{text[:60]!r} is no time", code="mcp.time", hint="Write 2026-01-31T12:00.") from error
