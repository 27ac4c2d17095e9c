"""The dashboards: all endpoints of a job, one model, and what monitors found. Their uids never change."""

from collections.abc import Sequence

from charkh.bridges.grafana.panels import Panel, Question, laid_out
from charkh.core.metrics_settings import MetricsSettings, latency_of

SERVING, MODEL, WATCHING = "charkh-serving", "charkh-model", "charkh-watching"
SCHEMA = 39
"""Version of Grafana's dashboard model; later ones read it and bring it up to date by themselves."""

_ALL = 'job=~"$job"'
_ONE = 'job=~"$job", model=~"$model"'
_REQUESTS = "charkh_inference_requests_total"
_SECONDS = "charkh_inference_duration_seconds"


def dashboards(settings: MetricsSettings) -> dict[str, dict[str, object]]:
    """Every dashboard by its uid."""
    return {
        SERVING: _dashboard(SERVING, "charkh: serving", "All endpoints.", serving(settings), ("job",)),
        MODEL: _dashboard(MODEL, "charkh: one model", "An endpoint in depth.", model(settings), ("job", "model")),
        WATCHING: _dashboard(
            WATCHING, "charkh: watching", "Drift, late truth and alerts.", watching(), ("monitor",), since="now-7d"
        ),
    }


def serving(settings: MetricsSettings) -> list[Panel]:
    """How the whole service does."""
    latency, allowed = latency_of(settings), 1 - settings.availability
    slow = ((None, "green"), (latency, "red"))
    failing = ((None, "green"), (allowed, "orange"), (10 * allowed, "red"))
    return [
        Panel(
            "stat", "Requests", (Question(f"sum(rate({_REQUESTS}{{{_ALL}}}[$__rate_interval]))"),), "reqps", width=4,
            height=4,
        ),
        Panel(
            "stat", "Failing", (Question(_ratio(_ALL, "")),), "percentunit",
            "Requests that failed on the server's side.", 4, 4, failing,
        ),
        Panel("stat", "p99", (Question(_quantile(0.99, _ALL, "")),), "s", "", 4, 4, slow),
        Panel("stat", "Under way", (Question(f"sum(charkh_inflight_requests{{{_ALL}}})"),), width=4, height=4),
        Panel("stat", "Workers", (Question(f"sum(charkh_workers_ready{{{_ALL}}})"),), width=4, height=4),
        Panel("stat", "Models", (Question(f"sum(charkh_model_loaded{{{_ALL}}})"),), width=4, height=4),
        Panel(
            "timeseries", "Requests by model",
            (Question(f"sum by (model) (rate({_REQUESTS}{{{_ALL}}}[$__rate_interval]))", "{{model}}"),), "reqps",
        ),
        Panel(
            "timeseries", "Failing by model", (Question(_ratio(_ALL, "by (model)"), "{{model}}"),), "percentunit",
            f"The service level allows {allowed:.3%}.",
        ),
        Panel(
            "timeseries", "p99 by model",
            (Question(_quantile(0.99, _ALL, "model, "), "{{model}}", exemplars=True),), "s",
            f"The service level asks for {latency:g} s; a point is a request that can be traced.",
        ),
        Panel(
            "timeseries", "Rows predicted",
            (Question(f"sum by (model) (rate(charkh_inference_rows_total{{{_ALL}}}[$__rate_interval]))", "{{model}}"),),
        ),
        Panel("row", "The servers"),
        Panel(
            "timeseries", "Turned away",
            (
                Question(
                    f"sum by (reason) (rate(charkh_requests_refused_total{{{_ALL}}}[$__rate_interval]))", "{{reason}}"
                ),
            ),
            "reqps", "Before a model was asked: 429 and 503 with Retry-After, or no token.", 8,
        ),
        Panel(
            "timeseries", "Processors",
            (
                Question(
                    f"sum by (instance) (rate(charkh_process_cpu_seconds_total{{{_ALL}}}[$__rate_interval]))",
                    "{{instance}}",
                ),
            ),
            "short", "How many are busy, over all workers.", 8,
        ),
        Panel(
            "timeseries", "Memory",
            (Question(f"sum by (instance) (charkh_process_resident_memory_bytes{{{_ALL}}})", "{{instance}}"),),
            "bytes", "Over all workers.", 8,
        ),
        Panel(
            "table", "What is loaded", (Question(f"charkh_model_info{{{_ALL}}}"),), width=24,
        ),
    ]  # fmt: skip


def model(settings: MetricsSettings) -> list[Panel]:
    """One endpoint, version by version."""
    latency = latency_of(settings)
    return [
        Panel(
            "timeseries", "Requests by version and route",
            (
                Question(
                    f"sum by (version, route) (rate({_REQUESTS}{{{_ONE}}}[$__rate_interval]))", "{{version}} {{route}}"
                ),
            ),
            "reqps", "A canary and its champion are two lines; `shadow` answers nobody.",
        ),
        Panel(
            "timeseries", "Requests by status",
            (Question(f"sum by (code) (rate({_REQUESTS}{{{_ONE}}}[$__rate_interval]))", "{{code}}"),), "reqps",
        ),
        Panel(
            "timeseries", "Time to answer",
            tuple(
                Question(_quantile(quantile, _ONE, ""), f"p{quantile * 100:g}", exemplars=quantile == 0.99)
                for quantile in (0.5, 0.95, 0.99)
            ),
            "s", f"The service level asks for {latency:g} s.",
        ),
        Panel(
            "timeseries", "The model's own time",
            tuple(
                Question(_quantile(quantile, _ONE, "version, ", "charkh_inference_compute_seconds"),
                         f"{{{{version}}}} p{quantile * 100:g}")
                for quantile in (0.5, 0.99)
            ),
            "s", "What is left of the time to answer is decoding, waiting and encoding.",
        ),
        Panel(
            "heatmap", "Time to answer, all of it",
            (Question(f"sum by (le) (increase({_SECONDS}_bucket{{{_ONE}}}[$__rate_interval]))", "{{le}}", True),),
            "short", "", 24,
        ),
        Panel(
            "timeseries", "Late beyond the service level",
            (
                Question(
                    f'1 - sum(rate({_SECONDS}_bucket{{{_ONE}, le="{latency!r}"}}[$__rate_interval]))'
                    f" / sum(rate({_SECONDS}_count{{{_ONE}}}[$__rate_interval]))",
                    f"over {latency:g} s",
                ),
            ),
            "percentunit", f"{1 - settings.latency_ratio:.2%} are allowed.",
        ),
        Panel(
            "timeseries", "Input that does not fit",
            (
                Question(
                    f"sum by (reason) (rate(charkh_input_invalid_total{{{_ONE}}}[$__rate_interval]))"
                    f" or 0 * sum(rate({_REQUESTS}{{{_ONE}}}[$__rate_interval]))",
                    "{{reason}}",
                ),
            ),
            "reqps", "Refused with what is wrong; a rise is a client or a source that has changed.",
        ),
        Panel(
            "timeseries", "Rows a request",
            (
                Question(
                    f"sum(rate(charkh_inference_rows_total{{{_ONE}}}[$__rate_interval]))"
                    f" / sum(rate({_REQUESTS}{{{_ONE}}}[$__rate_interval]))",
                    "rows",
                ),
            ),
        ),
        Panel(
            "bargauge", "Time to load",
            (Question(f"charkh_model_load_duration_seconds{{{_ONE}}}", "{{version}}"),), "s",
        ),
    ]  # fmt: skip


def watching() -> list[Panel]:
    """What monitors found; their numbers move once a collection."""
    one = 'monitor=~"$monitor"'
    drifted = ((None, "green"), (1.0, "orange"))
    return [
        Panel(
            "stat", "Drifted columns", (Question(f"charkh_drifted_columns{{{one}}}", "{{monitor}}"),), "short",
            "Too far to be chance, and far enough to matter.", 8, 5, drifted,
        ),
        Panel(
            "stat", "Conditions met",
            (Question(f"sum by (monitor) (charkh_monitor_condition_met{{{one}}})", "{{monitor}}"),), "short",
            "Of those in charkh.toml.", 8, 5, ((None, "green"), (1.0, "red")),
        ),
        Panel(
            "stat", "Since the last collection",
            (Question(f"time() - charkh_monitor_collected_timestamp_seconds{{{one}}}", "{{monitor}}"),), "s", "", 8, 5,
        ),
        Panel(
            "bargauge", "Distance by column (PSI)",
            (Question(f'topk(20, charkh_drift_score{{{one}, test="psi"}})', "{{feature}}"),), "short",
            "Population stability index of the twenty that moved most.", 12, 10,
            ((None, "green"), (0.1, "orange"), (0.25, "red")),
        ),
        Panel(
            "timeseries", "Distance over time (PSI)",
            (Question(f'topk(20, charkh_drift_score{{{one}, test="psi"}})', "{{feature}}"),), height=10,
        ),
        Panel(
            "timeseries", "Score against the late truth",
            (Question(f"charkh_realized_performance{{{one}}}", "{{monitor}} {{metric}}"),), "short",
            "It is known only as far as the truth has come.",
        ),
        Panel(
            "timeseries", "Truth that has come",
            (Question(f"charkh_label_coverage_ratio{{{one}}}", "{{monitor}}"),), "percentunit",
        ),
        Panel(
            "timeseries", "Missing values beyond the training data",
            (
                Question(
                    f"topk(20, charkh_feature_missing_ratio{{{one}}}"
                    f" - charkh_feature_missing_reference_ratio{{{one}}})",
                    "{{feature}}",
                ),
            ),
            "percentunit",
        ),
        Panel("timeseries", "Rows a collection", (Question(f"charkh_monitor_rows{{{one}}}", "{{monitor}}"),)),
        Panel("table", "Conditions", (Question(f"charkh_monitor_condition_met{{{one}}}"),), width=24),
    ]  # fmt: skip


def _ratio(series: str, by: str) -> str:
    """The share of requests that failed on the server's side; 0 rather than nothing where none did."""
    whole = f"sum {by} (rate({_REQUESTS}{{{series}}}[$__rate_interval]))".replace("  ", " ")
    failed = f'sum {by} (rate({_REQUESTS}{{{series}, code=~"5.."}}[$__rate_interval]))'.replace("  ", " ")
    return f"({failed} or 0 * {whole}) / {whole}"


def _quantile(quantile: float, series: str, by: str, name: str = _SECONDS) -> str:
    return f"histogram_quantile({quantile:g}, sum by ({by}le) (rate({name}_bucket{{{series}}}[$__rate_interval])))"


def _dashboard(
    uid: str, title: str, description: str, panels: Sequence[Panel], variables: Sequence[str], *, since: str = "now-1h"
) -> dict[str, object]:
    links = [other for other in (SERVING, MODEL, WATCHING) if other != uid]
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["charkh"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": since, "to": "now"},
        "templating": {"list": [_SOURCES, *(_variable(name) for name in variables)]},
        "annotations": {"list": list[object]()},
        "links": [_link(other) for other in links],
        "panels": laid_out(panels),
    }


_SOURCES: dict[str, object] = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
    "hide": 0,
    "refresh": 1,
    "multi": False,
    "includeAll": False,
    "regex": "",
    "skipUrlSync": False,
}
_KNOWN_BY = {"job": "charkh_workers_ready", "model": _REQUESTS, "monitor": "charkh_monitor_rows"}


def _variable(name: str) -> dict[str, object]:
    query = f"label_values({_KNOWN_BY[name]}, {name})"
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "regex": "",
        "skipUrlSync": False,
    }


def _link(uid: str) -> dict[str, object]:
    return {
        "title": uid.removeprefix("charkh-"),
        "type": "link",
        "url": f"/d/{uid}",
        "icon": "dashboard",
        "tooltip": "",
        "tags": list[str](),
        "asDropdown": False,
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
    }
