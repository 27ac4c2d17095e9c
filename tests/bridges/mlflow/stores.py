"""Writes an MLflow store with MLflow itself: every kind of thing that an import is to find again.

python stores.py URI WORD…: `more` goes on with a run of before, `file` is for stores that know no logged models.
"""

import math
import sys
import time

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param


class Identity(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input


def write(uri: str) -> None:
    client = MlflowClient()
    experiment = client.create_experiment("flights/delay", tags={"owner": "ann"})
    mlflow.set_experiment("flights/delay")
    with mlflow.start_run(run_name="parent", tags={"stage": "draft"}, description="what it is about") as run:
        mlflow.log_params({"rate": 0.1, "long": "x" * 3000})
        for step in range(20):
            mlflow.log_metrics({"loss": 1 / (step + 1), "auc": step / 20}, step=step)
        mlflow.log_metric("odd", math.nan)
        mlflow.log_metric("big", math.inf)
        mlflow.log_text("hello", "notes/hello.txt")
        data = mlflow.data.from_pandas(pd.DataFrame({"a": [1, 2]}), source="train.csv", name="train")
        mlflow.log_input(data, context="training")
        with mlflow.start_run(nested=True, run_name="child"):
            mlflow.log_metric("score", 1.0)
    many = [Metric("many", step / 7, int(time.time() * 1000) + step, step) for step in range(10_000)]
    for start in range(0, len(many), 1000):
        client.log_batch(run.info.run_id, metrics=many[start : start + 1000])
    with mlflow.start_run(run_id=run.info.run_id):
        example = pd.DataFrame({"a": [1.0]})
        signature = mlflow.models.infer_signature(example, example)
        name = {"name": "model"} if mlflow.__version__.startswith("3") else {"artifact_path": "model"}
        mlflow.pyfunc.log_model(
            **name,
            python_model=Identity(),
            signature=signature,
            registered_model_name="delay",
            pip_requirements=["mlflow"],
        )
    client.create_registered_model("elsewhere", tags={"kind": "far"}, description="where it is")
    for _ in range(3):
        client.create_model_version("elsewhere", "s3://bucket/model", description="in a bucket")
    client.delete_model_version("elsewhere", "2")
    client.set_registered_model_alias("delay", "champion", "1")
    client.update_registered_model("delay", "the delay model")
    client.set_model_version_tag("delay", "1", "ok", "yes")
    client.transition_model_version_stage("elsewhere", "3", "Staging")
    client.delete_run(client.create_run(experiment, run_name="trash").info.run_id)
    client.set_terminated(client.create_run(experiment, run_name="killed").info.run_id, "KILLED")
    client.delete_experiment(client.create_experiment("gone"))


def write_more() -> None:
    client = MlflowClient()
    experiment = client.get_experiment_by_name("flights/delay").experiment_id
    run = client.search_runs([experiment], "tags.mlflow.runName = 'parent'")[0]
    client.log_batch(run.info.run_id, [Metric("loss", 0.01, int(time.time() * 1000), 20)], [Param("late", "yes")])
    client.set_tag(run.info.run_id, "stage", "done")
    client.log_text(run.info.run_id, "more", "notes/more.txt")
    with mlflow.start_run(experiment_id=experiment, run_name="new"):
        mlflow.log_metric("score", 2.0)


if __name__ == "__main__":
    mlflow.set_tracking_uri(sys.argv[1])
    mlflow.set_registry_uri(sys.argv[1])
    if "more" in sys.argv:
        write_more()
    else:
        write(sys.argv[1])
