"""A user looks at what a monitor found, and why it raised an alert."""

from typing import Any

COLLECT = """
import numpy as np
import polars as pl
from charkh.monitors.collect import collect
from charkh.monitors.estimated.estimate import estimated
from charkh.monitors.multivariate.judge import multivariate
from charkh.workspace.workspace import open_workspace

random = np.random.default_rng(1)
def rows(shift):
    late = random.random(1000) < 0.3
    return pl.DataFrame({"id": np.arange(1000), "wind": random.normal(shift, 1, 1000), "late": late,
                         "score": np.clip(late * 0.2 + random.random(1000) * 0.8, 0, 1)})
with open_workspace() as workspace:
    reference = rows(0)
    for month, shift in enumerate([0, 2]):
        live = rows(shift)
        collect(workspace.store, "delay", endpoint="delay", reference=reference, live=live.drop("late"),
                columns=["wind"], truth=live.select("id", "late"), key="id", target="late", score="score",
                estimated=estimated(reference, live.drop("late"), target="late", score="score"),
                multivariate=multivariate(reference, live, columns=["wind"], rounds=199),
                alerts=["psi > 0.2", "auc < 0.5", "mae > 1"], moment=1e9 + month * 2_592_000)
"""


def test_from_a_collection_to_its_alert(charkh: Any) -> None:
    assert charkh.json("monitor", "list") == []
    assert charkh.json("monitor", "alerts") == []
    charkh.python(COLLECT)
    (summary,) = charkh.json("monitor", "list")
    assert (summary["name"], summary["collections"], summary["alerts"]) == ("delay", 2, 1)
    assert summary["latest"]["facts"]["psi"] > 0.2
    assert "delay" in charkh("monitor", "list")
    (alert,) = charkh.json("monitor", "alerts", "delay")
    assert alert["made"]["condition"] == "psi > 0.2"
    assert "psi > 0.2" in charkh("monitor", "alerts")
    shown = charkh("monitor", "show", "delay")
    assert "ALERT    psi > 0.2" in shown
    assert "quiet    auc < 0.5" in shown
    assert "unknown  mae > 1: no fact" in shown
    without, together = (
        next(line for line in shown.splitlines() if line.startswith(name)) for name in ("auc\t", "mmd\t")
    )
    assert float(without.split("\t")[2]) < float(without.split("\t")[1]) < float(without.split("\t")[3])
    assert together.endswith("yes")
    assert charkh.json("monitor", "show", "delay")["latest"]["drift"]["columns"][0]["column"] == "wind"
    assert "has not collected" in charkh.fails(13, "monitor", "show", "nothing")
