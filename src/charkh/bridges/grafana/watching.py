"""What the dashboard of monitors shows: drift, late truth, and the conditions of charkh.toml."""

from charkh.bridges.grafana.panels import Panel, Question


def watching() -> list[Panel]:
    """What monitors found; their numbers move once a collection."""
    one = 'monitor=~"$monitor"'
    drifted = ((None, "green"), (1.0, "orange"))
    return [
        Panel(
            "stat",
            "Drifted columns",
            (Question(f"max by (monitor) (charkh_drifted_columns{{{one}}})", "{{monitor}}"),),
            "short",
            "Too far to be chance, and far enough to matter.",
            8,
            5,
            drifted,
        ),
        Panel(
            "stat",
            "Conditions met",
            (
                Question(
                    f"sum by (monitor) (max by (monitor, condition) (charkh_monitor_condition_met{{{one}}}))",
                    "{{monitor}}",
                ),
            ),
            "short",
            "Of those in charkh.toml.",
            8,
            5,
            ((None, "green"), (1.0, "red")),
        ),
        Panel(
            "stat",
            "Since the last collection",
            (
                Question(
                    f"time() - max by (monitor) (charkh_monitor_collected_timestamp_seconds{{{one}}})", "{{monitor}}"
                ),
            ),
            "s",
            "",
            8,
            5,
        ),
        Panel(
            "bargauge",
            "Distance by column (PSI)",
            (Question(f'topk(20, max by (feature) (charkh_drift_score{{{one}, test="psi"}}))', "{{feature}}"),),
            "short",
            "Population stability index of the twenty that moved most.",
            12,
            10,
            ((None, "green"), (0.1, "orange"), (0.25, "red")),
        ),
        Panel(
            "timeseries",
            "Distance over time (PSI)",
            (Question(f'topk(20, max by (feature) (charkh_drift_score{{{one}, test="psi"}}))', "{{feature}}"),),
            height=10,
        ),
        Panel(
            "timeseries",
            "Score against the late truth",
            (Question(f"max by (monitor, metric) (charkh_realized_performance{{{one}}})", "{{monitor}} {{metric}}"),),
            "short",
            "It is known only as far as the truth has come.",
        ),
        Panel(
            "timeseries",
            "Score expected before the truth comes",
            (Question(f"max by (monitor, metric) (charkh_estimated_performance{{{one}}})", "{{monitor}} {{metric}}"),),
            "short",
            "Where a monitor says `estimate = true`.",
        ),
        Panel(
            "timeseries",
            "Truth that has come",
            (Question(f"max by (monitor) (charkh_label_coverage_ratio{{{one}}})", "{{monitor}}"),),
            "percentunit",
        ),
        Panel(
            "timeseries",
            "Missing values beyond the training data",
            (
                Question(
                    f"topk(20, max by (feature) (charkh_feature_missing_ratio{{{one}}}"
                    f" - charkh_feature_missing_reference_ratio{{{one}}}))",
                    "{{feature}}",
                ),
            ),
            "percentunit",
        ),
        Panel(
            "timeseries",
            "Rows a collection",
            (Question(f"max by (monitor) (charkh_monitor_rows{{{one}}})", "{{monitor}}"),),
        ),
        Panel(
            "table",
            "Conditions",
            (Question(f"max by (monitor, endpoint, condition) (charkh_monitor_condition_met{{{one}}})"),),
            width=24,
        ),
    ]
