"""A value of the wrong kind is refused in words, and the SDK's own values say what they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

import charkh
from charkh.core.errors import Invalid
from charkh.workspace.ambient import use
from charkh.workspace.workspace import open_workspace

ROWS = pl.DataFrame({"x": [float(number % 7) for number in range(40)], "late": [number % 2 for number in range(40)]})
ANYTHING: Any = 5
PANDAS: Any = pd.DataFrame({"x": [1]})
FRAME: Any = ROWS


@pytest.fixture(autouse=True)
def opened(tmp_path: Path) -> Any:
    (tmp_path / "r.json").write_text('{"recipe": 1, "steps": []}')
    (tmp_path / "c.toml").write_text('[[rule]]\ncheck = "rows"\n')
    with open_workspace(tmp_path, create=True) as workspace, use(workspace):
        yield


@pytest.mark.parametrize(
    ("call", "said", "hint"),
    [
        (lambda: charkh.add("x", PANDAS), "charkh.add takes", "pl.from_pandas"),
        (lambda: charkh.add("x", ANYTHING), "not int", "pl.DataFrame"),
        (lambda: charkh.split(FRAME, target="late", time="x"), "not polars.DataFrame", "charkh.Table(frame)"),
        (lambda: charkh.recipe("r.json")(FRAME), "takes a charkh.Table", "charkh.add"),
        (lambda: charkh.check("c.toml")(FRAME), "takes a charkh.Table", "charkh.add"),
        (lambda: charkh.dataset(ANYTHING), "charkh.dataset takes a reference", "Name"),
        (lambda: charkh.register("late", ANYTHING), "charkh.register takes a charkh.Model", "charkh.model("),
        (lambda: charkh.evaluate(ANYTHING, ANYTHING), "charkh.evaluate takes a charkh.Model", "charkh.model("),
        (lambda: charkh.tune(ANYTHING, 1, space=ANYTHING, maximize="auc"), "takes charkh.Params", "class"),
    ],
)
def test_a_value_of_the_wrong_kind(call: Callable[[], object], said: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        call()
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_what_a_notebook_shows() -> None:
    with charkh.run("first") as run:
        assert repr(run) == f"<charkh run:{run.id}>"
    assert repr(run) == f"<charkh run:{run.id}, ended>"
    table = charkh.add("rows", ROWS)
    estimator: Any = LogisticRegression()
    estimator.fit(ROWS.select("x"), ROWS["late"])
    candidate = charkh.model(estimator, example=ROWS.select("x").head(3), data=table)
    assert repr(candidate) == "<charkh model of sklearn, takes x>"
    registered = charkh.register("late", candidate)
    assert repr(registered) == "<charkh model late@1, registered>"
    assert repr(charkh.load("late@1")) == "<charkh model late@1, takes x>"
    traced = repr(charkh.trace("late@1"))
    assert traced.startswith("late@1 (model:")
    assert "└─ trained_on rows@1 (dataset:" in traced


@pytest.mark.parametrize("rows", [ROWS.select("x").to_pandas(), ROWS.select("x").to_numpy()], ids=["pandas", "numpy"])
def test_a_model_of_another_librarys_rows(rows: Any) -> None:
    estimator: Any = LogisticRegression()
    estimator.fit(rows, ROWS["late"].to_numpy())
    registered = charkh.register("late", charkh.model(estimator, example=rows[:3]))
    assert not any(spec.optional for spec in registered.version.made.signature.inputs)
    said = charkh.load("late@1").predict(rows)
    assert said["predict"].tolist() == estimator.predict(rows).tolist()
