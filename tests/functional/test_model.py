"""A user looks at registered models, moves an alias, regrets it, and deletes a version."""

from datetime import datetime
from typing import Any

CANDIDATES = """
from charkh.models.log import change_logged, log_model, measure
from charkh.models.logged import Measurement
from charkh.workspace.workspace import open_workspace

with open_workspace() as workspace:
    for name, auc in (("deep", 0.8), ("flat", 0.7), ("unknown", None)):
        model = log_model(workspace.store, name, type="trees", params={"depth": "3"})
        change_logged(workspace.store, model.id, status="ready")
        if auc is not None:
            measure(workspace.store, "r1", {model.id: [Measurement("auc", auc, 1000)]})
"""
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


def test_a_model_is_named_described_renamed_and_removed(charkh: Any) -> None:
    made = charkh.json("model", "declare", "delay", "--tag", "team=ops", "--description", "Late flights.")
    assert (made["name"], made["versions"], made["tags"]) == ("delay", 0, {"team": "ops"})
    charkh.fails(14, "model", "declare", "delay")
    charkh.python(MODELS)
    charkh("model", "tag", "delay@1", "season=winter")
    charkh("model", "tag", "delay", "team=", "area=NYC")
    charkh("model", "describe", "delay@1", "The first.")
    charkh.fails(2, "model", "tag", "delay", "oops")
    (summary,) = charkh.json("model", "list")
    assert summary["tags"] == {"area": "NYC"}
    shown = charkh("model", "show", "delay@1").splitlines()
    assert ["tag", "season", "winter"] in [line.split() for line in shown]
    charkh("model", "alias", "delay@1", "champion", "--reason", "the only one")
    charkh("model", "stage", "delay@2", "staging", "--reason", "a look")
    assert charkh.json("model", "rename", "delay", "lateness", "--reason", "clearer")["name"] == "lateness"
    assert "renamed to 'lateness'" in charkh.fails(13, "model", "show", "delay@1")
    decided = charkh.json("model", "history", "lateness")
    assert [(each["what"], each["reason"]) for each in decided[:3]] == [
        ("renamed", "clearer"),
        ("stage", "a look"),
        ("alias", "the only one"),
    ]
    assert "champion" in charkh.fails(14, "model", "remove", "lateness")
    assert charkh.json("model", "remove", "lateness", "--held", "--reason", "done")["versions"] == 3
    assert charkh.json("model", "list") == []
    assert "done" in charkh("model", "history", "lateness")


def test_which_version_served_at_a_time_is_one_question(charkh: Any) -> None:
    charkh.python(MODELS)
    charkh.fails(13, "model", "served", "delay")
    charkh("model", "alias", "delay@1", "champion", "--reason", "the first")
    first = charkh.json("model", "served", "delay")
    assert (first["version"]["made"]["number"], first["move"]["moved"]["reason"]) == (1, "the first")
    charkh("model", "alias", "delay@2", "champion", "--reason", "better")
    at = datetime.fromtimestamp(first["move"]["at"] + 0.001).astimezone().isoformat()
    assert charkh("model", "served", "delay", "--at", at).startswith("delay@1 since ")
    assert charkh("model", "served", "delay").startswith("delay@2 since ")
    charkh.fails(13, "model", "served", "delay", "--at", "2001-01-01")
    charkh.fails(2, "model", "served", "delay", "--at", "yesterday-ish")
    assert charkh("model", "rollback", "delay", "--reason", "psi") == "delay@champion is delay@1 again\n"


def test_logged_models_are_candidates_until_they_are_registered(charkh: Any) -> None:
    assert charkh.json("model", "candidates") == []
    charkh.python(CANDIDATES)
    best, worse = charkh.json("model", "candidates", "--metric", "auc")
    assert (best["model"]["made"]["name"], worse["model"]["made"]["name"]) == ("deep", "flat")
    shown = charkh("model", "candidates", "--metric", "auc", "--last", "1")
    assert "deep" in shown
    assert "0.8" in shown
