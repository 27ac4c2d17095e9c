"""The meters of a workspace's server, and what its monitors found last as gauges: drift, late truth, conditions.

The numbers are read from the catalog when somebody scrapes; the report of a collection is read once and kept.
"""

import math
from collections.abc import Iterable, Mapping
from importlib.metadata import version

import msgspec

from charkh.core.quantities import parse_duration
from charkh.endpoints.instruments import Instruments
from charkh.endpoints.metrics_page import MetricsPage
from charkh.endpoints.tracing import Tracer
from charkh.endpoints.watch import Watch
from charkh.monitors.index import Monitors
from charkh.monitors.monitor import Collection
from charkh.monitors.truth import parse_truth
from charkh.ports.meters import Family, Sample
from charkh.stores.meters_file import FileMeters, open_table
from charkh.workspace.workspace import Workspace

TESTS = ("psi", "js", "ks", "wasserstein")
METRICS = ("auc", "log_loss", "brier", "rmse", "mae")
MAX_FEATURES = 500
"""Columns of a monitor that have series of their own: those that drifted most."""


class _Column(msgspec.Struct, frozen=True):
    """What is read of a column's drift; a report says more."""

    column: str
    psi: float = 0.0
    js: float = 0.0
    ks: float | None = None
    wasserstein: float | None = None
    missing: float = 0.0
    missing_reference: float = 0.0
    drifted: bool = False


class _Drift(msgspec.Struct, frozen=True):
    columns: tuple[_Column, ...] = ()


class _Verdict(msgspec.Struct, frozen=True):
    condition: str
    met: bool


class _Report(msgspec.Struct, frozen=True):
    drift: _Drift = _Drift()
    verdicts: tuple[_Verdict, ...] = ()


_decode = msgspec.json.Decoder(_Report).decode
_HELP = {
    "charkh_drift_score": "How far a column's live values are from the training data, by test.",
    "charkh_feature_drifted": "1 where a column's distance is neither chance nor too small to matter.",
    "charkh_feature_missing_ratio": "Share of a column's live values that are missing.",
    "charkh_feature_missing_reference_ratio": "Share of a column's values that are missing in the training data.",
    "charkh_drift_detected": "1 where any column has drifted.",
    "charkh_drifted_columns": "Columns that have drifted.",
    "charkh_monitor_rows": "Live rows of the last collection.",
    "charkh_monitor_value": "Any number that a monitor published, by name.",
    "charkh_monitor_condition_met": "1 where a condition of charkh.toml is met.",
    "charkh_monitor_collected_timestamp_seconds": "When the last collection was made, since the epoch.",
    "charkh_monitor_every_seconds": "Time in which the monitor should collect once.",
    "charkh_realized_performance": "A score against the late truth, by metric.",
    "charkh_estimated_performance": "A score that is expected before the truth comes, by metric.",
    "charkh_label_coverage_ratio": "Share of the predictions whose truth is known.",
    "charkh_label_lag_seconds": "Median time from a prediction to its truth.",
    "charkh_label_lag_allowed_seconds": "Time in which the truth is to come.",
    "charkh_build_info": "The version of charkh.",
}


def meter_table() -> int:
    """A table of meters for the workers of one server, as the descriptor that they inherit."""
    return open_table()


def watch_of(workspace: Workspace, *, table: int | None = None, tracer: Tracer | None = None) -> Watch:
    """What looks on while a server of this workspace answers.

    Args:
        workspace: whose endpoints are served.
        table: of `meter_table`, that other workers of the same server share.
        tracer: keeps spans; without one nothing is traced.

    Raises:
        Unavailable: more workers share the table than it has room for.
    """
    meters = FileMeters(table)
    return Watch(Instruments(meters), MetricsPage(meters, [MonitorMeters(workspace)]), tracer)


class MonitorMeters:
    """A collector (`charkh.ports.meters.Collector`) over the monitors of a workspace.

    Args:
        workspace: whose monitors they are.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._reports: dict[str, tuple[str, _Report]] = {}

    def __call__(self) -> Iterable[Family]:
        """The gauges of the latest collection of each monitor."""
        found: dict[str, list[Sample]] = {}
        for each in self._workspace.store.queries.ask(Monitors()):
            for name, labels, value in self._numbers(each.latest):
                if math.isfinite(value):
                    found.setdefault(name, []).append(Sample("", labels, value))
        found["charkh_build_info"] = [Sample("", {"version": version("charkh")}, 1.0)]
        return [Family(name, "gauge", _HELP[name], samples) for name, samples in found.items()]

    def _numbers(self, latest: Collection) -> Iterable[tuple[str, Mapping[str, str], float]]:
        monitor = latest.made.monitor
        labels = {"monitor": monitor, "endpoint": latest.made.endpoint}
        yield "charkh_monitor_collected_timestamp_seconds", labels, latest.at
        yield "charkh_monitor_rows", labels, float(latest.made.rows)
        for fact, value in latest.facts.items():
            if isinstance(value, str) or fact.startswith("slice("):
                continue
            yield "charkh_monitor_value", {**labels, "fact": fact}, float(value)
            if fact in METRICS:
                yield "charkh_realized_performance", {**labels, "metric": fact}, float(value)
            metric = fact.removeprefix("estimated.")
            if metric != fact and metric in METRICS:
                yield "charkh_estimated_performance", {**labels, "metric": metric}, float(value)
        for name, fact in (
            ("charkh_drift_detected", "drifted"),
            ("charkh_drifted_columns", "drifted_columns"),
            ("charkh_label_coverage_ratio", "coverage"),
            ("charkh_label_lag_seconds", "lag"),
        ):
            value = latest.facts.get(fact)
            if value is not None and not isinstance(value, str):
                yield name, labels, float(value)
        yield from self._expected(monitor, labels)
        yield from _of_report(self._report(latest), labels)

    def _expected(self, monitor: str, labels: Mapping[str, str]) -> Iterable[tuple[str, Mapping[str, str], float]]:
        settings = self._workspace.settings.monitor.get(monitor)
        if settings is None:
            return
        if settings.every:
            yield "charkh_monitor_every_seconds", labels, parse_duration(settings.every)
        within = parse_truth(settings.truth).within if settings.truth else 0.0
        if within:
            yield "charkh_label_lag_allowed_seconds", labels, within

    def _report(self, latest: Collection) -> _Report:
        monitor = latest.made.monitor
        known = self._reports.get(monitor)
        if known is None or known[0] != latest.id:
            report = _decode(b"".join(self._workspace.store.vault.read(latest.made.details)))
            known = self._reports[monitor] = (latest.id, report)
        return known[1]


def _of_report(report: _Report, labels: Mapping[str, str]) -> Iterable[tuple[str, Mapping[str, str], float]]:
    for verdict in report.verdicts:
        yield "charkh_monitor_condition_met", {**labels, "condition": verdict.condition}, float(verdict.met)
    worst = sorted(report.drift.columns, key=lambda each: (not each.drifted, -each.psi))
    for column in worst[:MAX_FEATURES]:
        named = {**labels, "feature": column.column}
        for test in TESTS:
            score = getattr(column, test)
            if score is not None:
                yield "charkh_drift_score", {**named, "test": test}, score
        yield "charkh_feature_drifted", named, float(column.drifted)
        yield "charkh_feature_missing_ratio", named, column.missing
        yield "charkh_feature_missing_reference_ratio", named, column.missing_reference
