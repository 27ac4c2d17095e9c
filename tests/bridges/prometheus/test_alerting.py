"""Load, scrape, a rule that fires, Alertmanager, its webhook back into charkh, the loop that runs: all of them real."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functional.test_server import Server, free_port
from workspaces import make_workspace

SETTINGS = """\
pipelines = "flows.py"

[endpoint.delay]
model = "delay@champion"

[gate.champion]
require = ["auc >= 0.6"]

[loop.delay]
on = ["dataset:flights2", "alert:BadRequests"]
run = "flights"
"""
FLOWS = """
import polars as pl
from sklearn.linear_model import LogisticRegression

import charkh


@charkh.step
def prepare(data: charkh.Table) -> charkh.Split:
    days = pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 12, 31), "1d", eager=True)[: data.frame.height]
    return charkh.split(data.having(data.frame.with_columns(day=days)), target="late", time="day", test=0.3)


@charkh.step
def train(parts: charkh.Split) -> charkh.Model:
    fitted = LogisticRegression(C=0.3).fit(parts.train.X, parts.train.y)
    return charkh.model(fitted, example=parts.train.X[:3], data=parts)


@charkh.pipeline
def flights():
    parts = prepare(charkh.dataset("flights"))
    best = train(parts)
    return charkh.register("delay", best, charkh.evaluate(best, parts.test))
"""
PROMETHEUS = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{folder}/rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
scrape_configs:
  - job_name: charkh
    authorization: {{credentials_file: {token}}}
    static_configs: [{{targets: ["127.0.0.1:{charkh}"]}}]
"""
RULES = """\
groups:
  - name: charkh
    rules:
      - alert: BadRequests
        expr: sum by (model) (charkh_input_invalid_total) > 3
        labels: {severity: page}
        annotations: {summary: "many requests do not fit {{ $labels.model }}"}
"""
ALERTMANAGER = """\
route: {{receiver: charkh, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: charkh
    webhook_configs:
      - url: http://127.0.0.1:{charkh}/api/alerts/webhook
        http_config: {{authorization: {{credentials_file: {token}}}}}
"""


def eventually(found: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = found()
        if answer:
            return answer
        time.sleep(0.3)
    raise AssertionError("it did not come to that")


@pytest.mark.needs("prometheus", "prometheus-alertmanager")
def test_a_rule_that_fires_turns_the_loop(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "flows.py").write_text(FLOWS)
    make_workspace(work, SETTINGS).close()
    server = Server(work, "up", "--every", "1s")
    ports = {"charkh": server.port, "alertmanager": free_port(), "prometheus": free_port()}
    token = work / ".charkh" / "token"
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS.format(folder=tmp_path, token=token, **ports))
    (tmp_path / "alertmanager.yml").write_text(ALERTMANAGER.format(token=token, **ports))
    started = [
        subprocess.Popen(
            [
                "prometheus-alertmanager",
                f"--config.file={tmp_path}/alertmanager.yml",
                f"--storage.path={tmp_path}/am",
                f"--web.listen-address=127.0.0.1:{ports['alertmanager']}",
                "--cluster.listen-address=",
            ],
            stderr=subprocess.DEVNULL,
        ),
        subprocess.Popen(
            [
                "prometheus",
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/tsdb",
                f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
                "--log.level=error",
            ]
        ),
    ]
    try:
        for _ in range(5):
            assert server.ask("/predict/delay", [{"hour": "late"}])[0] == 400

        def decided() -> Any:
            _, history = server.ask("/api/loops/history?name=delay")
            return [each for each in history if each["decided"]["trigger"].startswith("notification:")]

        (decision, *_) = eventually(decided)
        assert decision["decided"]["trigger_reason"] == "alert BadRequests: many requests do not fit delay"
        assert decision["decided"]["outcome"] in {"promoted", "refused"}, decision["decided"]["reason"]
        assert decision["decided"]["candidate"]
        with urllib.request.urlopen(f"http://127.0.0.1:{ports['alertmanager']}/api/v2/alerts") as answer:
            assert [alert["labels"]["alertname"] for alert in json.load(answer)] == ["BadRequests"]
    finally:
        for each in started:
            each.kill()
            each.wait()
        server.stop()
