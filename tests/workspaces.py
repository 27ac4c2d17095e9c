"""A small workspace in which every noun has happened once, and one text that is hostile to pages and terminals."""

from pathlib import Path

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression

from charkh.core.events import Draft
from charkh.core.gates import Verdict
from charkh.core.ids import new_id
from charkh.datasets.add import add_table
from charkh.evaluations.score import evaluate
from charkh.loops.loop import DECIDED_KIND, Decided
from charkh.models.alias import move_alias
from charkh.models.register import register
from charkh.monitors.collect import collect
from charkh.runs.start import start
from charkh.workspace.workspace import Workspace, open_workspace

HOSTILE = "<script>alert('pwned')</script><img src=//evil.test/x onerror=alert(1)>\"'&"
SETTINGS = """\
[endpoint.delay]
model = "delay@champion"

[endpoint.later]
model = "not_registered_yet@champion"

[monitor.delay]
alert = ["psi > 0.2"]

[gate.champion]
require = ["auc >= 0.6"]

[loop.delay]
on = "monitor:delay"
run = "flights"
"""


def make_workspace(folder: Path, settings: str = SETTINGS) -> Workspace:
    """A workspace with a dataset, a run, a model and its champion, an evaluation, an alert and a decision."""
    (folder / "charkh.toml").write_text(settings)
    workspace = open_workspace(folder, create=True)
    store = workspace.store
    random = np.random.default_rng(7)
    rows = pl.DataFrame({"hour": random.integers(0, 24, 300).astype(float), "wind": random.normal(5, 2, 300)})
    late = (rows["hour"] + random.normal(0, 6, 300) > 14).to_numpy().astype(int)
    data = add_table(store, "flights", rows.with_columns(late=pl.Series(late)), message=HOSTILE)
    with start(store, name=f"train {HOSTILE}", params={"rate": 0.1, "note": HOSTILE}) as run:
        run.use(data.subject)
        for step in range(3):
            run.log({"auc": 0.7 + step / 50}, step=step)
    estimator = LogisticRegression().fit(rows, late)
    model = register(
        store,
        "delay",
        estimator,
        runtimes=workspace.runtimes,
        example=rows[:5],
        run=run.id,
        datasets=[data.id],
        description=HOSTILE,
    )
    move_alias(store, model.ref, "champion", reason=HOSTILE)
    evaluate(
        store,
        about=model.subject,
        truth=late,
        scores=estimator.predict_proba(rows)[:, 1],
        on=data.subject,
        rounds=50,
        model="delay",
    )
    collect(store, "delay", reference=rows, live=rows + 30, alerts=["psi > 0.2"], sources=[model.subject])
    decided = Decided(
        loop="delay",
        decision=new_id(),
        outcome="refused",
        reason=HOSTILE,
        moment=1.75e9,
        model="delay",
        candidate=model.id,
        judged_on=data.subject,
        looks=1,
        verdicts=(Verdict(condition="auc >= 0.99", met=False, reason="auc is 0.8"),),
    )
    store.record(Draft(kind=DECIDED_KIND, subject=f"loop:{decided.decision}", body=decided, about=model.subject))
    return workspace
