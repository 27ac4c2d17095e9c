"""What the dashboards of endpoints show: how the whole service does, and one model in depth."""

from charkh.bridges.grafana.panels import Panel, Question
from charkh.core.metrics_settings import MetricsSettings, latency_of

_ALL = 'job=~"$job"'
_ONE = 'job=~"$job", model=~"$model"'
REQUESTS = "charkh_inference_requests_total"
_SECONDS = "charkh_inference_duration_seconds"


def serving(settings: MetricsSettings) -> list[Panel]:
    """How the whole service does."""
    latency, allowed = latency_of(settings), 1 - settings.availability
    slow = ((None, "green"), (latency, "red"))
    failing = ((None, "green"), (allowed, "orange"), (10 * allowed, "red"))
    return [
        Panel(
            "stat",
            "Requests",
            (Question(f"sum(rate({REQUESTS}{{{_ALL}}}[$__rate_interval]))"),),
            "reqps",
            width=4,
            height=4,
        ),
        Panel(
            "stat",
            "Failing",
            (Question(_ratio(_ALL, "")),),
            "percentunit",
            "Requests that failed on the server's side.",
            4,
            4,
            failing,
        ),
        Panel("stat", "p99", (Question(_quantile(0.99, _ALL, "")),), "s", "", 4, 4, slow),
        Panel("stat", "Under way", (Question(f"sum(charkh_inflight_requests{{{_ALL}}})"),), width=4, height=4),
        Panel("stat", "Workers", (Question(f"sum(charkh_workers_ready{{{_ALL}}})"),), width=4, height=4),
        Panel("stat", "Models", (Question(f"sum(charkh_model_loaded{{{_ALL}}})"),), width=4, height=4),
        Panel(
            "timeseries",
            "Requests by model",
            (Question(f"sum by (model) (rate({REQUESTS}{{{_ALL}}}[$__rate_interval]))", "{{model}}"),),
            "reqps",
        ),
        Panel(
            "timeseries",
            "Failing by model",
            (Question(_ratio(_ALL, "by (model)"), "{{model}}"),),
            "percentunit",
            f"The service level allows {allowed:.3%}.",
        ),
        Panel(
            "timeseries",
            "p99 by model",
            (Question(_quantile(0.99, _ALL, "model, "), "{{model}}", exemplars=True),),
            "s",
            f"The service level asks for {latency:g} s; a point is a request that can be traced.",
        ),
        Panel(
            "timeseries",
            "Rows predicted",
            (Question(f"sum by (model) (rate(charkh_inference_rows_total{{{_ALL}}}[$__rate_interval]))", "{{model}}"),),
        ),
        Panel("row", "The servers"),
        Panel(
            "timeseries",
            "Turned away",
            (
                Question(
                    f"sum by (reason) (rate(charkh_requests_refused_total{{{_ALL}}}[$__rate_interval]))", "{{reason}}"
                ),
            ),
            "reqps",
            "Before a model was asked: 429 and 503 with Retry-After, or no token.",
            8,
        ),
        Panel(
            "timeseries",
            "Processors",
            (
                Question(
                    f"sum by (instance) (rate(charkh_process_cpu_seconds_total{{{_ALL}}}[$__rate_interval]))",
                    "{{instance}}",
                ),
            ),
            "short",
            "How many are busy, over all workers.",
            8,
        ),
        Panel(
            "timeseries",
            "Memory",
            (Question(f"sum by (instance) (charkh_process_resident_memory_bytes{{{_ALL}}})", "{{instance}}"),),
            "bytes",
            "Over all workers.",
            8,
        ),
        Panel(
            "table",
            "What is loaded",
            (Question(f"charkh_model_info{{{_ALL}}}"),),
            width=24,
        ),
    ]


def model(settings: MetricsSettings) -> list[Panel]:
    """One endpoint, version by version."""
    latency = latency_of(settings)
    return [
        Panel(
            "timeseries",
            "Requests by version and route",
            (
                Question(
                    f"sum by (version, route) (rate({REQUESTS}{{{_ONE}}}[$__rate_interval]))", "{{version}} {{route}}"
                ),
            ),
            "reqps",
            "A canary and its champion are two lines; `shadow` answers nobody.",
        ),
        Panel(
            "timeseries",
            "Requests by status",
            (Question(f"sum by (code) (rate({REQUESTS}{{{_ONE}}}[$__rate_interval]))", "{{code}}"),),
            "reqps",
        ),
        Panel(
            "timeseries",
            "Time to answer",
            tuple(
                Question(_quantile(quantile, _ONE, ""), f"p{quantile * 100:g}", exemplars=quantile == 0.99)
                for quantile in (0.5, 0.95, 0.99)
            ),
            "s",
            f"The service level asks for {latency:g} s.",
        ),
        Panel(
            "timeseries",
            "The model's own time",
            tuple(
                Question(
                    _quantile(quantile, _ONE, "version, ", "charkh_inference_compute_seconds"),
                    f"{{{{version}}}} p{quantile * 100:g}",
                )
                for quantile in (0.5, 0.99)
            ),
            "s",
            "What is left of the time to answer is decoding, waiting and encoding.",
        ),
        Panel(
            "heatmap",
            "Time to answer, all of it",
            (Question(f"sum by (le) (increase({_SECONDS}_bucket{{{_ONE}}}[$__rate_interval]))", "{{le}}", True),),
            "short",
            "",
            24,
        ),
        Panel(
            "timeseries",
            "Late beyond the service level",
            (
                Question(
                    f'1 - sum(rate({_SECONDS}_bucket{{{_ONE}, le="{latency!r}"}}[$__rate_interval]))'
                    f" / sum(rate({_SECONDS}_count{{{_ONE}}}[$__rate_interval]))",
                    f"over {latency:g} s",
                ),
            ),
            "percentunit",
            f"{1 - settings.latency_ratio:.2%} are allowed.",
        ),
        Panel(
            "timeseries",
            "Input that does not fit",
            (
                Question(
                    f"sum by (reason) (rate(charkh_input_invalid_total{{{_ONE}}}[$__rate_interval]))"
                    f" or 0 * sum(rate({REQUESTS}{{{_ONE}}}[$__rate_interval]))",
                    "{{reason}}",
                ),
            ),
            "reqps",
            "Refused with what is wrong; a rise is a client or a source that has changed.",
        ),
        Panel(
            "timeseries",
            "Rows a request",
            (
                Question(
                    f"sum(rate(charkh_inference_rows_total{{{_ONE}}}[$__rate_interval]))"
                    f" / sum(rate({REQUESTS}{{{_ONE}}}[$__rate_interval]))",
                    "rows",
                ),
            ),
        ),
        Panel(
            "bargauge",
            "Time to load",
            (Question(f"charkh_model_load_duration_seconds{{{_ONE}}}", "{{version}}"),),
            "s",
        ),
    ]


def _ratio(series: str, by: str) -> str:
    """The share of requests that failed on the server's side; 0 rather than nothing where none did."""
    whole = f"sum {by} (rate({REQUESTS}{{{series}}}[$__rate_interval]))".replace("  ", " ")
    failed = f'sum {by} (rate({REQUESTS}{{{series}, code=~"5.."}}[$__rate_interval]))'.replace("  ", " ")
    return f"({failed} or 0 * {whole}) / {whole}"


def _quantile(quantile: float, series: str, by: str, name: str = _SECONDS) -> str:
    return f"histogram_quantile({quantile:g}, sum by ({by}le) (rate({name}_bucket{{{series}}}[$__rate_interval])))"
