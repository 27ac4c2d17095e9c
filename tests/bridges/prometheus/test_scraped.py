"""A real Prometheus scrapes a real server: counts are exact over all workers, and every panel has data."""

import json
import os
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from charkh.bridges.grafana.dashboards import dashboards
from charkh.bridges.prometheus.rules import rule_groups
from charkh.core.metrics_settings import MetricsSettings
from charkh.monitors.collect import collect
from charkh.monitors.estimated.estimate import estimated
from functional.conftest import Charkh
from functional.test_server import Server, free_port
from workspaces import SETTINGS, make_workspace

ROWS = [{"hour": 23.0, "wind": 5.0}, {"hour": 1.0, "wind": 5.0}]
TRACED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
GOOD, BAD = 40, 5
pytestmark = pytest.mark.needs("prometheus")


class Scraped:
    """A server of two workers, a Prometheus that scrapes it, and how often it was asked."""

    def __init__(self, folder: Path) -> None:
        self.server = Server(folder, "up", "--workers", "2", "--every", "0s")
        written = folder / "prometheus"
        target = f"127.0.0.1:{self.server.port}"
        Charkh(folder)("export", "prometheus", "-o", written, "--target", target, "--interval", "1s")
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.prometheus = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={written / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
                "--log.level=error",
            ]
        )
        assert eventually(self.is_ready)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/-/ready"):
                return True
        except OSError:
            return False

    def query(self, expression: str) -> list[Any]:
        """What an instant query answers."""
        return self.ask("query", query=expression)["result"]

    def ask(self, what: str, **parameters: str) -> Any:
        with urllib.request.urlopen(f"{self.address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}") as answer:
            return json.load(answer)["data"]

    def value(self, expression: str) -> float:
        """The one number that it answers; NaN without any."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else float("nan")

    def counted(self, expression: str) -> float:
        """What a counter has come to: what was asked of the server before is scraped, and 0 where nothing was."""
        asked = time.time()
        assert eventually(lambda: self.value("min(timestamp(up))") > asked + 1)
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else 0.0

    def load(self, good: int, bad: int) -> None:
        """Ask so often, each over a connection of its own: the workers share them."""

        def one(number: int) -> int:
            rows = ROWS if number < good else [{"hour": "?"}]
            return self.server.ask("/predict/delay", rows, traceparent=TRACED)[0]

        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(one, range(good + bad)))
        assert statuses.count(200) == good
        assert statuses.count(400) == bad

    def workers(self) -> list[int]:
        """Process ids of the server's workers."""
        path = Path(f"/proc/{self.server.process.pid}/task/{self.server.process.pid}/children")
        return [int(each) for each in path.read_text().split()]


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    folder = tmp_path_factory.mktemp("scraped")
    collector = '[tracing]\nurl = "http://127.0.0.1:9/v1/traces"\nsample = 0.0\n[egress]\nprivate = ["127.0.0.1:9"]\n'
    with make_workspace(folder, SETTINGS + collector) as workspace:
        random = np.random.default_rng(3)
        rows = pl.DataFrame({"id": np.arange(400), "x": random.normal(0, 1, 400), "score": random.uniform(0, 1, 400)})
        truth = rows.select("id", late=(pl.col("score") > 0.5).cast(pl.Int64))
        collect(
            workspace.store,
            "punctual",
            endpoint="delay",
            reference=rows,
            live=rows,
            columns=["x"],
            truth=truth,
            key="id",
            target="late",
            score="score",
            alerts=["auc < 0.6"],
            estimated=estimated(rows.join(truth, on="id"), rows, target="late", score="score"),
        )
    made = Scraped(folder)
    yield made
    made.prometheus.terminate()
    made.prometheus.wait()
    made.server.stop()


def test_counts_are_exact_over_all_workers_and_after_one_was_killed(scraped: Scraped) -> None:
    asked = "sum(charkh_inference_requests_total)"
    counters = {
        "refused": 'sum(charkh_inference_requests_total{code="400"})',
        "rows": "charkh_inference_rows_total",
        "timed": "charkh_inference_duration_seconds_count",
        "invalid": "sum(charkh_input_invalid_total)",
    }
    before = scraped.counted(asked)
    earlier = {name: scraped.counted(expression) for name, expression in counters.items()}
    scraped.load(GOOD, BAD)
    assert eventually(lambda: scraped.value(asked) == before + GOOD + BAD)
    assert {name: scraped.value(expression) - earlier[name] for name, expression in counters.items()} == {
        "refused": BAD,
        "rows": GOOD * len(ROWS),
        "timed": GOOD + BAD,
        "invalid": BAD,
    }
    assert scraped.value("charkh_workers_ready") == 2
    os.kill(scraped.workers()[0], signal.SIGKILL)
    assert eventually(lambda: scraped.value("charkh_workers_ready") == 1, 5.0) or scraped.value(asked) > before
    assert eventually(lambda: scraped.value("charkh_workers_ready") == 2)
    scraped.load(GOOD, 0)
    assert eventually(lambda: scraped.value(asked) == before + 2 * GOOD + BAD)
    assert scraped.value("resets(charkh_inference_rows_total[5m])") == 0
    assert scraped.value("charkh_inflight_requests") == 0


def test_a_bucket_leads_to_a_prediction_and_to_the_callers_trace(scraped: Scraped) -> None:
    scraped.load(1, 0)

    def labels() -> list[dict[str, str]]:
        now = time.time()
        found = scraped.ask(
            "query_exemplars",
            query="charkh_inference_duration_seconds_bucket",
            start=str(now - 300),
            end=str(now + 1),
        )
        return [each["labels"] for series in found for each in series["exemplars"]]

    assert eventually(lambda: any("prediction_id" in each for each in labels()))
    told = next(each for each in labels() if "prediction_id" in each)
    assert told["trace_id"] == TRACED.split("-")[1]
    status, origin = scraped.server.ask(f"/api/trace?what={urllib.parse.quote(told['prediction_id'])}")
    assert status == 200
    assert "delay" in json.dumps(origin)


PANELS = [
    (uid, panel["title"], target["expr"])
    for uid, dashboard in dashboards(MetricsSettings()).items()
    for panel in dashboard["panels"]  # type: ignore[attr-defined]
    for target in panel.get("targets", ())
]


def test_every_panel_of_every_dashboard_has_data(scraped: Scraped) -> None:
    for _ in range(2):
        # A rate needs a scrape before the increase, and one after it.
        scraped.counted("sum(charkh_inference_requests_total)")
        scraped.load(3, 1)

    def empty() -> list[tuple[str, str, str]]:
        missing = []
        for uid, title, expression in PANELS:
            asked = expression.replace("$__rate_interval", "1m")
            for name in ("$job", "$model", "$monitor"):
                asked = asked.replace(name, ".*")
            values = [each["value"][1] for each in scraped.query(asked)]
            if not values or set(values) == {"NaN"}:
                missing.append((uid, title, asked))
        return missing

    assert eventually(lambda: not empty(), 15.0), empty()


def test_every_rule_can_be_evaluated_and_what_is_wrong_is_pending(scraped: Scraped) -> None:
    def states() -> dict[str, str]:
        known = [rule for group in scraped.ask("rules")["groups"] for rule in group["rules"]]
        assert not [rule for rule in known if rule["health"] == "err"]
        return {rule["name"]: rule.get("state", "") for rule in known if rule["health"] == "ok"}

    (groups,) = rule_groups(MetricsSettings()).values()
    written = [rule for group in groups for rule in group["rules"]]  # type: ignore[attr-defined]
    assert eventually(lambda: set(states()) == {rule.get("record") or rule["alert"] for rule in written})
    assert eventually(lambda: states()["CharkhDrift"] == "pending")
    assert states()["CharkhMonitorCondition"] == "firing"
    assert states()["CharkhDown"] == "inactive"


def test_the_page_asks_for_a_token_and_promtool_finds_nothing_wrong_with_it(scraped: Scraped) -> None:
    assert scraped.server.ask("/metrics", token="")[0] == 401
    request = urllib.request.Request(
        f"http://127.0.0.1:{scraped.server.port}/metrics", headers={"Authorization": f"Bearer {scraped.server.token}"}
    )
    with urllib.request.urlopen(request) as answer:
        page = answer.read()
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_servers_are_found_over_http(scraped: Scraped) -> None:
    status, found = scraped.server.ask("/api/prometheus/targets")
    assert (status, found[0]["targets"]) == (200, [f"127.0.0.1:{scraped.server.port}"])
