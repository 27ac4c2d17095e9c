"""The rules: the real promtool takes them, and each alert fires when it should and not before."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from charkh.bridges.plain_yaml import yaml_text
from charkh.bridges.prometheus.discovery import targets
from charkh.bridges.prometheus.rules import rule_groups
from charkh.bridges.prometheus.scraping import scrape_configuration
from charkh.core.errors import Invalid
from charkh.core.metrics_settings import MetricsSettings

SETTINGS = MetricsSettings(owner="ann", runbook="https://runbooks.example/")
ASKED = 'charkh_inference_requests_total{job="charkh",model="delay",code="%s"}'
SECONDS = 'charkh_inference_duration_seconds_%s{job="charkh",model="delay"%s}'
GAUGE = '{job="charkh",instance="a:1",monitor="delay",endpoint="delay"}'


def promtool(*arguments: object) -> str:
    result = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def series(name: str, values: str) -> dict[str, str]:
    return {"series": name, "values": values}


def firing(name: str, at: str, labels: dict[str, str] | None, **annotations: str) -> dict[str, Any]:
    """What promtool expects: the alert with these labels, or, with None, no alert."""
    if labels is None:
        return {"eval_time": at, "alertname": name, "exp_alerts": []}
    told = {"runbook_url": f"https://runbooks.example/{name}", **annotations}
    return {"eval_time": at, "alertname": name, "exp_alerts": [{"exp_labels": labels, "exp_annotations": told}]}


def annotations_of(name: str, **labels: str) -> dict[str, str]:
    """The texts of an alert with its labels put in."""
    rules: list[dict[str, Any]] = [rule for group in rule_groups(SETTINGS)["groups"] for rule in group["rules"]]  # type: ignore[union-attr]
    found = next(rule["annotations"] for rule in rules if rule.get("alert") == name)
    texts = {key: str(text) for key, text in found.items()}
    for label, value in labels.items():
        texts = {key: text.replace("{{ $labels." + label + " }}", value) for key, text in texts.items()}
    return texts


def case(name: str, inputs: list[dict[str, str]], quiet: str, loud: str, labels: dict[str, str], severity: str) -> Any:
    expected = {"severity": severity, "owner": "ann", **labels}
    return {
        "interval": "1m",
        "input_series": inputs,
        "alert_rule_test": [
            firing(name, quiet, None),
            firing(name, loud, expected, **annotations_of(name, **labels)),
        ],
    }


MODEL = {"job": "charkh", "model": "delay"}
SERVER = {"job": "charkh", "instance": "a:1"}
CASES = [
    # 3 % of the requests fail from minute 10 on: 30 times the 0.1 % that are allowed.
    case(
        "CharkhErrorBudgetBurnsFast",
        [series(ASKED % 200, "0+97x90"), series(ASKED % 500, "0x10 3+3x80")],
        "9m",
        "60m",
        MODEL,
        "page",
    ),
    # 0.8 % fail: 8 times what is allowed.
    case(
        "CharkhErrorBudgetBurnsSlowly",
        [series(ASKED % 200, "0+992x90"), series(ASKED % 500, "0x10 8+8x80")],
        "9m",
        "80m",
        MODEL,
        "ticket",
    ),
    # From minute 10 on every request takes more than 100 ms.
    case(
        "CharkhLatencyBudgetBurnsFast",
        [
            series(SECONDS % ("bucket", ',le="0.1"'), "0+100x10 1000x80"),
            series(SECONDS % ("bucket", ',le="+Inf"'), "0+100x90"),
            series(SECONDS % ("count", ""), "0+100x90"),
        ],
        "9m",
        "40m",
        MODEL,
        "page",
    ),
    case("CharkhDown", [series('up{job="charkh",instance="a:1"}', "1x5 0x10")], "6m", "10m", SERVER, "page"),
    case(
        "CharkhNotReady", [series('charkh_workers_ready{job="charkh",instance="a:1"}', "2x5 0x10")], "5m", "9m", SERVER,
        "page",
    ),
    case(
        "CharkhModelNotLoaded",
        [series('charkh_model_loaded{job="charkh",instance="a:1",model="delay",version="3"}', "1x5 0x20")],
        "10m", "20m", {**SERVER, "model": "delay"}, "ticket",
    ),
    case("CharkhNoTraffic", [series(ASKED % 200, "0+100x30 3000x60")], "40m", "70m", MODEL, "ticket"),
    case(
        "CharkhOverloaded",
        [
            series('charkh_requests_refused_total{job="charkh",instance="a:1",reason="busy"}', "0x5 10+10x30"),
            series('charkh_inference_requests_total{job="charkh",instance="a:1",model="delay",code="200"}', "0+100x40"),
        ],
        "5m", "20m", SERVER, "page",
    ),
    case(
        "CharkhPredictionsLost",
        [series('charkh_predictions_lost_total{job="charkh",instance="a:1",model="delay",version="3"}', "0x5 10x20")],
        "4m", "10m", MODEL, "ticket",
    ),
    case(
        "CharkhInvalidInput",
        [
            series('charkh_input_invalid_total{job="charkh",model="delay",reason="tensor.shape"}', "0x5 20+20x60"),
            series(ASKED % 200, "0+80x70"),
        ],
        "10m", "45m", MODEL, "ticket",
    ),
    case(
        "CharkhWorkersRestart",
        [series('charkh_worker_start_time_seconds{job="charkh",instance="a:1"}', "0 0 0 60 120 180 240 300")],
        "3m", "7m", SERVER, "ticket",
    ),
    case(
        "CharkhDrift", [series("charkh_drift_detected" + GAUGE, "0x5 1x30")], "10m", "25m",
        {"job": "charkh", "monitor": "delay", "endpoint": "delay"}, "ticket",
    ),
    case(
        "CharkhMonitorCondition",
        [series("charkh_monitor_condition_met" + GAUGE[:-1] + ',condition="psi > 0.2"}', "0x5 1x5")], "5m", "7m",
        {"job": "charkh", "monitor": "delay", "endpoint": "delay", "condition": "psi > 0.2"}, "ticket",
    ),
    case(
        "CharkhLabelLag",
        [
            series("charkh_label_lag_seconds" + GAUGE, "60x5 4000x30"),
            series("charkh_label_lag_allowed_seconds" + GAUGE, "3600x40"),
        ],
        "10m", "25m", {"job": "charkh", "monitor": "delay"}, "ticket",
    ),
    case(
        "CharkhMissingValues",
        [
            series("charkh_feature_missing_ratio" + GAUGE[:-1] + ',feature="wind"}', "0.01x5 0.2x30"),
            series("charkh_feature_missing_reference_ratio" + GAUGE[:-1] + ',feature="wind"}', "0.01x40"),
        ],
        "10m", "25m", {"job": "charkh", "monitor": "delay", "feature": "wind"}, "ticket",
    ),
    case(
        "CharkhMonitorSilent",
        [
            series("charkh_monitor_collected_timestamp_seconds" + GAUGE, "0x120"),
            series("charkh_monitor_every_seconds" + GAUGE, "1800x120"),
        ],
        "55m", "80m", {"job": "charkh", "monitor": "delay"}, "ticket",
    ),
]  # fmt: skip


@pytest.mark.needs("prometheus")
def test_each_alert_fires_when_it_should_and_not_before(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(yaml_text(rule_groups(SETTINGS)))
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": CASES}
    (tmp_path / "tests.yml").write_text(yaml_text(tests))
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "tests.yml")


def test_every_alert_is_tried() -> None:
    rules: Any = [rule for group in rule_groups(SETTINGS)["groups"] for rule in group["rules"]]  # type: ignore[union-attr]
    tried = {each["alertname"] for one in CASES for each in one["alert_rule_test"]}
    # It differs from the other of its kind by the budget alone.
    assert {rule["alert"] for rule in rules if "alert" in rule} - tried == {"CharkhLatencyBudgetBurnsSlowly"}


@pytest.mark.needs("prometheus")
def test_promtool_takes_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "targets").mkdir()
    (tmp_path / "token").write_text("secret")
    (tmp_path / "targets" / "charkh.json").write_text(json.dumps(targets(["a:1"], {"workspace": 'f"l'})))
    (tmp_path / "rules" / "charkh.yml").write_text(yaml_text(rule_groups(SETTINGS)))
    document = scrape_configuration(token_file=str(tmp_path / "token"), secure=True)
    (tmp_path / "prometheus.yml").write_text(yaml_text(document))
    assert "29 rules found" in promtool("check", "config", tmp_path / "prometheus.yml")


@pytest.mark.parametrize("address", ["", "a", "a:", ":1", "http://a:1", "a:b", "a:1/metrics"])
def test_a_target_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(Invalid):
        targets([address], {})
