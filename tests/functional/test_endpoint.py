"""A user deploys a model, asks it, reads what it predicted, and stops it."""

import json
from typing import Any

import polars as pl

MODEL = """
import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from charkh.models.alias import move_alias
from charkh.models.register import register
from charkh.workspace.workspace import open_workspace

rows = pl.DataFrame({"hour": [1.0, 9.0, 17.0, 22.0], "wind": [3.5, 2.0, 1.0, 2.0]})
with open_workspace() as workspace:
    model = LogisticRegression().fit(rows.to_numpy(), [0, 1, 1, 0])
    example = {name: rows[name].to_numpy() for name in rows.columns}
    register(workspace.store, "delay", model, runtimes=workspace.runtimes, example=example)
    move_alias(workspace.store, "delay@1", "champion")
"""
ASK = """
from charkh.endpoints.rest import predict
from charkh.endpoints.route import Request, asked_alone
from charkh.workspace.serving import Serving
from charkh.workspace.workspace import open_workspace

with open_workspace() as workspace:
    (servable,) = Serving(workspace)()
    asking = predict(servable, Request({}, b'[{"hour": 9, "wind": 1}, {"hour": 1, "wind": 5}]'))
    print(asked_alone(servable, asking).decode())
    servable.log.close()
"""


def test_from_a_registered_model_to_its_predictions(charkh: Any) -> None:
    assert charkh.json("endpoint", "list") == []
    charkh.fails(2, "endpoint", "deploy", "delay")
    charkh.fails(13, "endpoint", "deploy", "delay", "delay@champion")
    charkh.python(MODEL)
    charkh.write("charkh.toml", '[endpoint.delay]\nmodel = "delay@champion"\n')
    made = charkh.json("endpoint", "deploy", "delay", "--reason", "the first")
    assert made["current"]
    assert charkh.json("endpoint", "deploy", "delay")["made"]["deployment"] == made["made"]["deployment"]
    answers = json.loads(charkh.python(ASK))["predictions"]
    assert len(answers) == 2
    (summary,) = charkh.json("endpoint", "list")
    assert (summary["name"], summary["deployments"]) == ("delay", 1)
    assert charkh("endpoint", "list").splitlines()[1].startswith("delay\tdelay@1\t")
    shown = charkh("endpoint", "show", "delay")
    assert "hour FP64" in shown
    assert "answers   delay@1\n" in shown
    assert "the first" in shown
    found = charkh.json("endpoint", "predictions", "delay")
    assert [row["prediction_id"] for row in found] == [row["prediction_id"] for row in answers]
    assert [row["hour"] for row in found] == [9.0, 1.0]
    assert len(charkh.json("endpoint", "predictions", "delay", "--limit", "1")) == 1
    assert len(charkh.json("endpoint", "predictions", "delay", "--since", "1h")) == 2
    assert charkh.json("endpoint", "predictions", "delay", "--until", "2020-01-01") == []
    charkh("endpoint", "predictions", "delay", "-o", "out.parquet")
    charkh("endpoint", "predictions", "delay", "-o", "out.csv")
    assert pl.read_parquet(charkh.folder / "out.parquet")["hour"].to_list() == [9.0, 1.0]
    assert pl.read_csv(charkh.folder / "out.csv")["hour"].to_list() == [9.0, 1.0]
    charkh.fails(2, "endpoint", "predictions", "delay", "-o", "out.xlsx")
    charkh("endpoint", "stop", "delay", "--reason", "enough")
    assert charkh.json("endpoint", "list")[0]["current"] is None
    assert "stopped" in charkh("endpoint", "show", "delay")


def test_an_endpoint_goes_back_by_its_alias_or_by_the_deployment_before(charkh: Any) -> None:
    charkh.python(MODEL)
    charkh.python(MODEL.replace("LogisticRegression()", "LogisticRegression(C=0.1)").replace("delay@1", "delay@2"))
    charkh.write("charkh.toml", '[endpoint.delay]\nmodel = "delay@champion"\n')
    assert "delay@1 again (the alias champion moved back)" in charkh(
        "endpoint", "rollback", "delay", "--reason", "worse"
    )
    assert "no earlier" in charkh.fails(13, "endpoint", "rollback", "delay")
    charkh.json("endpoint", "deploy", "fixed", "delay@1")
    assert "before" in charkh.fails(13, "endpoint", "rollback", "fixed")
    charkh.json("endpoint", "deploy", "fixed", "delay@2")
    back = charkh.json("endpoint", "rollback", "fixed", "--reason", "worse")
    assert (back["model"], back["alias"]) == ("delay@1", "")
    assert (
        charkh.json("endpoint", "list", "--prefix", "fixed")[0]["current"]["made"]["deployment"] == back["deployment"]
    )


def test_what_is_not_there_is_said(charkh: Any) -> None:
    assert "no endpoint" in charkh.fails(13, "endpoint", "show", "nothing")
    assert "no endpoint" in charkh.fails(13, "endpoint", "stop", "nothing")
    assert charkh.json("endpoint", "predictions", "nothing") == []
