"""A user looks at what a loop decided and why, and turns it by hand."""

from typing import Any

FLOWS = """
import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression

import charkh

rows = pl.DataFrame({"x": np.linspace(-1, 1, 200)})
late = pl.Series((np.linspace(-1, 1, 200) + np.sin(np.arange(200)) > 0).astype(int))


@charkh.step
def train(data: charkh.Table) -> charkh.Model:
    return charkh.model(LogisticRegression().fit(data.frame.select("x"), data.frame["late"]), example=rows[:3])


@charkh.pipeline
def flights():
    data = charkh.dataset("flights")
    return charkh.register("delay", train(data))
"""
SETTINGS = """
pipelines = "flows.py"

[gate.champion]
require = ["auc >= 0.6"]

[loop.delay]
on = "dataset:flights"
run = "flights"
cooldown = "7d"
"""
DECIDE = """
from charkh.core.events import Draft
from charkh.core.gates import Verdict
from charkh.core.ids import new_id
from charkh.loops.loop import DECIDED_KIND, Decided
from charkh.workspace.workspace import open_workspace

with open_workspace() as workspace:
    for outcome in ("promoted", "refused"):
        decided = Decided(loop="delay", decision=new_id(), outcome=outcome, reason=f"it was {outcome}", moment=1.75e9,
                          model="delay", candidate="ab" * 16, looks=2, trigger_reason="flights@2 is new",
                          verdicts=(Verdict(condition="auc >= 0.6", met=outcome == "promoted", reason="auc is 0.5"),))
        workspace.store.record(Draft(kind=DECIDED_KIND, subject=f"loop:{decided.decision}", body=decided))
"""


def test_a_loop_and_its_decisions(charkh: Any) -> None:
    assert charkh.json("loop", "list") == []
    charkh.write("charkh.toml", SETTINGS)
    charkh.write("flows.py", FLOWS)
    (listed,) = charkh.json("loop", "list")
    assert (listed["name"], listed["settings"]["on"], listed["newest"]) == ("delay", "dataset:flights", None)
    assert "has decided nothing yet" in charkh.fails(13, "loop", "show", "delay")
    assert "there is no loop 'other'" in charkh.fails(13, "loop", "show", "other")
    assert "no loop 'other'" in charkh.fails(13, "loop", "turn", "other")

    charkh.python(DECIDE)
    assert charkh.json("loop", "list")[0]["newest"]["decided"]["outcome"] == "refused"
    assert "refused" in charkh("loop", "list")
    newest, _oldest = charkh.json("loop", "show", "delay")
    assert newest["decided"]["looks"] == 2
    shown = charkh("loop", "show", "delay", "--limit", "1")
    assert "NOT met  auc >= 0.6: auc is 0.5" in shown
    assert "flights@2 is new" in shown
    assert "promoted" not in shown

    turned = charkh.json("loop", "turn", "delay")
    assert turned["decided"]["outcome"] == "failed", "there is no such dataset yet"
    assert "flights" in turned["decided"]["reason"]
    assert "braked" in charkh("loop", "turn", "delay"), "the failed one has begun the cooldown"
