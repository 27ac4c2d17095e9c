"""A user compares a candidate with the champion, slice by slice, and asks why it was promoted."""

from typing import Any

STORY = """
import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from charkh.evaluations.score import Rival, evaluate
from charkh.datasets.add import add_table
from charkh.models.register import register
from charkh.workspace.workspace import open_workspace

generator = np.random.default_rng(1)
rows = 600
signal = generator.normal(size=rows)
frame = pl.DataFrame({
    "signal": signal,
    "noise": generator.normal(size=rows),
    "day": np.arange(rows) // 30,
    "origin": np.where(np.arange(rows) % 3, "JFK", "LGA"),
    "late": (generator.random(rows) < 1 / (1 + np.exp(-2 * signal))).astype(int),
})
with open_workspace() as workspace:
    store = workspace.store
    june = add_table(store, "june", frame)

    def made(column):
        X = frame.select(column)
        model = LogisticRegression().fit(X.to_numpy(), frame["late"].to_numpy())
        example = {column: X[column].to_numpy()[:5]}
        version = register(
            store, "delay", model, runtimes=workspace.runtimes, example=example, datasets=[june.id]
        )
        return version, model.predict_proba(X.to_numpy())[:, 1]

    (old, poor), (new, good) = made("noise"), made("signal")
    for version, scores, champion in ((old, poor, None), (new, good, Rival(old.subject, poor))):
        evaluate(
            store, about=version.subject, truth=frame["late"], scores=scores, on=june.subject, blocks=frame["day"],
            slices={"origin": frame["origin"]}, champion=champion, model="delay", rounds=200, min_rows=250,
        )
"""


UNSCORED = """
import numpy as np
from sklearn.linear_model import LogisticRegression
from charkh.models.register import register
from charkh.workspace.workspace import open_workspace

with open_workspace() as workspace:
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    register(workspace.store, "price", model, runtimes=workspace.runtimes, example={"x": np.array([0.5])})
"""


def test_an_evaluation_is_listed_shown_and_compared_and_lineage_says_why(charkh: Any) -> None:
    charkh.python(STORY)
    newest, oldest = charkh.json("evaluation", "list")
    assert newest["made"]["champion"] == oldest["made"]["about"]
    assert [each["made"]["about"] for each in charkh.json("evaluation", "list", "delay@1")] == [oldest["made"]["about"]]
    listed = charkh("evaluation", "list", "delay")
    assert "delay@2\tjune@1\t600\tauc" in listed

    shown = charkh("evaluation", "show", "delay@2")
    assert "200 resamples of 20 blocks" in shown
    assert "2 evaluations of 2 versions on this truth" in shown
    assert "origin\tJFK\t400\t" in shown
    assert "fewer than 250" in shown
    assert "note: 1 of 2 slices" in shown
    identifier = newest["made"]["evaluation"]
    details = charkh.json("evaluation", "show", identifier[:-4])["details"]
    assert details["comparisons"][0]["win_probability"] == 1.0
    assert len(details["blocks"]) == 20

    compared = charkh("evaluation", "compare", "delay@2", "delay@1")
    auc = next(line for line in compared.splitlines() if line.startswith("auc\t")).split("\t")
    assert (auc[4], auc[6]) == ("first", "1")
    assert "both scored the same rows" in compared

    reasons = charkh("lineage", "why", "delay@2")
    assert "auc.win_probability = 1, stated by evaluation of delay" in reasons
    touched = charkh("lineage", "impact", "june@1", "--details")
    assert "rows: 600" in touched
    assert "trained_on delay@1" in touched
    assert "trained_on delay@2" in touched


def test_what_is_not_there_is_said(charkh: Any) -> None:
    charkh.fails(13, "evaluation", "show", "0123")
    charkh.fails(2, "lineage", "why", "delay")
    charkh.python(UNSCORED)
    assert "was not evaluated" in charkh.fails(13, "evaluation", "show", "price@1")
