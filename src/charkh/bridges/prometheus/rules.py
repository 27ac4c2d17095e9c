"""Recording and alerting rules over charkh's metrics, for the service level that the settings name.

Error budgets burn at two speeds: 14.4 times the allowed ratio over an hour (a page), 6 times over six hours (a
ticket), each confirmed by a short window so that an alert ends soon after its cause ("The Site Reliability Workbook",
chapter 5). Names of recorded series follow `level:metric:operation`.
"""

from typing import NamedTuple

from charkh.core.metrics_settings import MetricsSettings, latency_of

REQUESTS = "charkh_inference_requests_total"
BUCKETS = "charkh_inference_duration_seconds_bucket"
COUNT = "charkh_inference_duration_seconds_count"
WINDOWS = ("5m", "30m", "1h", "6h")
FAST, SLOW = 14.4, 6.0
"""How many times faster than allowed a budget burns when somebody is woken, and when a ticket is written."""


class Alert(NamedTuple):
    """One alerting rule.

    Attributes:
        name: in camel case, beginning with Charkh.
        when: the expression.
        lasting: how long it must hold.
        severity: `page`, `ticket` or `info`.
        summary: one sentence, with the labels of the series.
        description: what it means and what to look at.
    """

    name: str
    when: str
    lasting: str
    severity: str
    summary: str
    description: str


def rule_groups(settings: MetricsSettings) -> dict[str, list[dict[str, object]]]:
    """The document of a rules file."""
    return {
        "groups": [
            {"name": "charkh-recording", "rules": recording_rules(settings)},
            {"name": "charkh-serving", "rules": [_rule(each, settings) for each in serving_alerts(settings)]},
            {"name": "charkh-watching", "rules": [_rule(each, settings) for each in watching_alerts()]},
        ]
    }


def recording_rules(settings: MetricsSettings) -> list[dict[str, object]]:
    """What dashboards and alerts read instead of computing it again."""
    bound = repr(latency_of(settings))
    rules: list[dict[str, object]] = [
        {
            "record": "model:charkh_inference_requests:rate5m",
            "expr": f"sum by (job, model) (rate({REQUESTS}[5m]))",
        }
    ]
    for window in WINDOWS:
        all_of_them = f"sum by (job, model) (rate({REQUESTS}[{window}]))"
        failed = f'sum by (job, model) (rate({REQUESTS}{{code=~"5.."}}[{window}]))'
        rules.append(
            {
                "record": f"model:charkh_inference_errors:ratio_rate{window}",
                "expr": f"({failed} or 0 * {all_of_them}) / ({all_of_them} > 0)",
            }
        )
        rules.append(
            {
                "record": f"model:charkh_inference_slow:ratio_rate{window}",
                "expr": f'1 - sum by (job, model) (rate({BUCKETS}{{le="{bound}"}}[{window}]))'
                f" / (sum by (job, model) (rate({COUNT}[{window}])) > 0)",
            }
        )
    for quantile in (50, 95, 99):
        rules.append(
            {
                "record": f"model:charkh_inference_duration_seconds:p{quantile}_5m",
                "expr": f"histogram_quantile(0.{quantile}, sum by (job, model, le) (rate({BUCKETS}[5m])))",
            }
        )
    return rules


def serving_alerts(settings: MetricsSettings) -> list[Alert]:
    """What can go wrong while endpoints answer."""
    errors, slow = 1 - settings.availability, 1 - settings.latency_ratio
    return [
        *_burning("CharkhErrorBudget", "errors", errors, "{{ $labels.model }} fails too many requests"),
        *_burning("CharkhLatencyBudget", "slow", slow, "{{ $labels.model }} answers too many requests late"),
        Alert(
            "CharkhDown",
            'up{job=~"charkh.*"} == 0',
            "2m",
            "page",
            "{{ $labels.instance }} cannot be scraped",
            "The server is gone, or the token that Prometheus shows is not good any more.",
        ),
        Alert(
            "CharkhNotReady",
            "charkh_workers_ready == 0",
            "1m",
            "page",
            "no worker of {{ $labels.instance }} takes requests",
            "Its models are not loaded yet, or it is being drained.",
        ),
        Alert(
            "CharkhModelNotLoaded",
            "max by (job, instance, model) (charkh_model_loaded) == 0",
            "10m",
            "ticket",
            "{{ $labels.model }} is loaded nowhere on {{ $labels.instance }}",
            "It was let go for the memory of others, or its file was refused: the log says which.",
        ),
        Alert(
            "CharkhNoTraffic",
            f"sum by (job, model) (rate({REQUESTS}[15m])) == 0 and sum by (job, model) (rate({REQUESTS}[6h])) > 0.01",
            "15m",
            "ticket",
            "nobody has asked {{ $labels.model }} for a quarter of an hour",
            "It was asked before: look at what calls it.",
        ),
        Alert(
            "CharkhOverloaded",
            'sum by (job, instance) (rate(charkh_requests_refused_total{reason=~"busy|deadline|loading"}[5m]))'
            f" / (sum by (job, instance) (rate({REQUESTS}[5m]) ) > 0) > 0.05",
            "5m",
            "page",
            "{{ $labels.instance }} turns requests away",
            "More comes in than its workers answer: add workers, or let clients wait.",
        ),
        Alert(
            "CharkhPredictionsLost",
            "sum by (job, model) (increase(charkh_predictions_lost_total[15m])) > 0",
            "0s",
            "ticket",
            "predictions of {{ $labels.model }} are not logged",
            "The disk of its server is full, or refuses: its log says which file. Requests are answered all the same.",
        ),
        Alert(
            "CharkhInvalidInput",
            "sum by (job, model) (rate(charkh_input_invalid_total[15m]))"
            f" / (sum by (job, model) (rate({REQUESTS}[15m])) > 0) > 0.05",
            "15m",
            "ticket",
            "{{ $labels.model }} is sent what does not fit its signature",
            "A client or a source upstream has changed: `reason` says what does not fit.",
        ),
        Alert(
            "CharkhWorkersRestart",
            "changes(charkh_worker_start_time_seconds[15m]) > 3",
            "0m",
            "ticket",
            "workers of {{ $labels.instance }} die again and again",
            "Each was started anew: its last words are in the log of the server.",
        ),
    ]


def watching_alerts() -> list[Alert]:
    """What monitors find; their numbers move once a collection, and every server of a workspace tells the same."""
    return [
        Alert(
            "CharkhDrift",
            "max by (job, monitor, endpoint) (charkh_drift_detected) == 1",
            "15m",
            "ticket",
            "{{ $labels.monitor }}: live rows have drifted from the training data",
            "`charkh monitor show {{ $labels.monitor }}` names the columns, what chance would give, and since when.",
        ),
        Alert(
            "CharkhMonitorCondition",
            "max by (job, monitor, endpoint, condition) (charkh_monitor_condition_met) == 1",
            "0m",
            "ticket",
            "{{ $labels.monitor }}: {{ $labels.condition }}",
            "A condition of charkh.toml is met: `charkh monitor alerts {{ $labels.monitor }}` has the numbers.",
        ),
        Alert(
            "CharkhLabelLag",
            "max by (job, monitor) (charkh_label_lag_seconds)"
            " > max by (job, monitor) (charkh_label_lag_allowed_seconds)",
            "15m",
            "ticket",
            "{{ $labels.monitor }}: the truth comes later than was agreed",
            "What is known about the model's quality grows old: look at the source of the truth.",
        ),
        Alert(
            "CharkhMissingValues",
            "max by (job, monitor, feature)"
            " (charkh_feature_missing_ratio - charkh_feature_missing_reference_ratio) > 0.05",
            "15m",
            "ticket",
            "{{ $labels.feature }} of {{ $labels.monitor }} is missing more often than in the training data",
            "A source upstream has changed, or a join fails.",
        ),
        Alert(
            "CharkhMonitorSilent",
            "time() - max by (job, monitor) (charkh_monitor_collected_timestamp_seconds)"
            " > 2 * max by (job, monitor) (charkh_monitor_every_seconds)",
            "15m",
            "ticket",
            "{{ $labels.monitor }} has not collected when it should have",
            "`charkh up` collects it: look whether it runs, and what its log says.",
        ),
    ]


def _burning(name: str, what: str, budget: float, summary: str) -> list[Alert]:
    series = f"model:charkh_inference_{what}:ratio_rate"
    return [
        Alert(
            f"{name}BurnsFast",
            f"{series}5m > {FAST * budget:.6g} and {series}1h > {FAST * budget:.6g}",
            "2m",
            "page",
            summary,
            f"More than {FAST:g} times the {budget:.3%} that are allowed, over the last hour.",
        ),
        Alert(
            f"{name}BurnsSlowly",
            f"{series}30m > {SLOW * budget:.6g} and {series}6h > {SLOW * budget:.6g}",
            "15m",
            "ticket",
            summary,
            f"More than {SLOW:g} times the {budget:.3%} that are allowed, over the last six hours.",
        ),
    ]


def _rule(alert: Alert, settings: MetricsSettings) -> dict[str, object]:
    labels = {"severity": alert.severity, **({"owner": settings.owner} if settings.owner else {})}
    annotations = {"summary": alert.summary, "description": alert.description}
    if settings.runbook:
        annotations["runbook_url"] = f"{settings.runbook.rstrip('/')}/{alert.name}"
    return {
        "alert": alert.name,
        "expr": alert.when,
        "for": alert.lasting,
        "labels": labels,
        "annotations": annotations,
    }
