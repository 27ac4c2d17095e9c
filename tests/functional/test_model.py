"""A user looks at registered models, moves an alias, regrets it, and deletes a version."""

from typing import Any

MODELS = """
import polars as pl
from sklearn.linear_model import LogisticRegression
from charkh.models.register import register
from charkh.workspace.workspace import open_workspace

rows = pl.DataFrame({"hour": [1.0, 9.0, 17.0, 22.0], "wind": [3.5, 2.0, 1.0, 2.0]})
with open_workspace() as workspace:
    for late in ([0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]):
        model = LogisticRegression().fit(rows.to_numpy(), late)
        example = {name: rows[name].to_numpy() for name in rows.columns}
        metrics = {"auc": sum(late) / 4}
        register(workspace.store, "delay", model, runtimes=workspace.runtimes, example=example, metrics=metrics)
"""


def test_from_the_list_to_a_rollback_and_a_deletion(charkh: Any) -> None:
    assert charkh.json("model", "list") == []
    assert "model list" in charkh.fails(13, "model", "show", "delay@1")
    charkh.python(MODELS)
    (summary,) = charkh.json("model", "list")
    assert (summary["name"], summary["versions"], summary["aliases"]) == ("delay", 3, {})
    assert charkh.json("model", "alias", "delay@1", "champion", "--expect", "nobody", "--reason", "the first") == {
        "model": "delay",
        "alias": "champion",
        "version": "delay@1",
    }
    charkh.fails(14, "model", "alias", "delay@2", "champion", "--expect", "nobody")
    charkh.fails(2, "model", "alias", "delay@2", "latest")
    assert "delay@2" in charkh("model", "alias", "delay@2", "champion", "--expect", "delay@1", "--reason", "better")
    assert charkh.json("model", "list", "del")[0]["aliases"] == {"champion": 2}
    assert "delay@1" in charkh("model", "rollback", "delay", "--reason", "psi")
    shown = charkh("model", "show", "delay@champion")
    assert "input\thour\tFP64[-1]\tno" in shown
    assert "output\tpredict_proba\tFP64[-1, 2]\tno" in shown
    assert "scikit-learn" in shown
    history = [line.split("\t") for line in shown.splitlines() if line.startswith("champion\t")]
    assert [(row[1], row[4]) for row in history] == [("1", "rollback: psi"), ("2", "better"), ("1", "the first")]
    assert "champion" in charkh.fails(14, "model", "delete", "delay@1")
    assert "charkh model delete delay@3" in charkh.fails(2, "model", "delete", "delay"), "no version is named"
    assert charkh.json("model", "delete", "delay@2", "--reason", "wrong year")["deleted"] == "delay@2"
    versions = charkh.json("model", "show", "delay@champion")["versions"]
    assert {each["made"]["number"]: each["deleted"] is not None for each in versions} == {3: False, 2: True, 1: False}
    assert charkh("model", "alias", "delay", "champion", "--remove") == "delay@champion is held by nobody\n"
    charkh.fails(13, "model", "show", "delay@champion")
