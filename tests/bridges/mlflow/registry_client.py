"""What a data scientist does with MLflow's own client; run by a peer's Python, it prints what it saw as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]])
LATE = np.array([0, 0, 1, 1])
NEW = mlflow.__version__ >= "3"


def fit(penalty: float) -> Any:
    """A small model."""
    return LogisticRegression(C=penalty).fit(ROWS, LATE)


def code_of(call: Any, *arguments: Any) -> str:
    """The code of the error that a call raises."""
    try:
        call(*arguments)
    except MlflowException as error:
        return str(error.error_code)
    return "none"


def log(penalty: float) -> dict[str, Any]:
    """Log a model with signature, example and requirements, and register it."""
    model = fit(penalty)
    signature = infer_signature(ROWS, model.predict(ROWS))
    where = {"name": "model"} if NEW else {"artifact_path": "model"}
    with mlflow.start_run() as run:
        mlflow.log_param("penalty", penalty)
        told = mlflow.sklearn.log_model(
            model,
            **where,
            signature=signature,
            input_example=ROWS[:2],
            pip_requirements=["scikit-learn"],
            registered_model_name="delay",
        )
        mlflow.log_metric("auc", 0.5 + penalty / 10)
    return {"run": run.info.run_id, "uri": told.model_uri, "model_id": getattr(told, "model_id", None)}


def round_trip(client: MlflowClient) -> dict[str, Any]:
    """From a trained model to the prediction of the one that an alias names."""
    first, second = log(1.0), log(2.0)
    client.set_registered_model_alias("delay", "champion", "1")
    loaded = mlflow.pyfunc.load_model("models:/delay@champion")
    by_number = mlflow.sklearn.load_model("models:/delay/2")
    version = client.get_model_version("delay", "1")
    files = sorted(each.path for each in client.list_artifacts(first["run"]))
    folder = Path(mlflow.artifacts.download_artifacts("models:/delay/1"))
    return {
        "runs": [first["run"], second["run"]],
        "ids": [first["model_id"], second["model_id"]],
        "same": bool((loaded.predict(ROWS) == fit(1.0).predict(ROWS)).all()),
        "same_by_number": bool((by_number.coef_ == fit(2.0).coef_).all()),
        "version_run": version.run_id,
        "aliases": list(client.get_model_version_by_alias("delay", "champion").aliases),
        "files": files,
        "downloaded": sorted(each.name for each in folder.iterdir()),
        "of_run": [each.version for each in client.search_model_versions(f"run_id = '{second['run']}'")],
    }


def registry(client: MlflowClient) -> dict[str, Any]:
    """Everything that the registry's client offers, once."""
    client.create_registered_model("price", tags={"team": "ops"}, description="What it costs.")
    for name in ("a", "b", "c"):
        client.create_model_version("price", f"s3://bucket/{name}", tags={"letter": name})
    seen: dict[str, Any] = {
        "again": code_of(client.create_registered_model, "price"),
        "unknown": code_of(client.get_registered_model, "nothing"),
        "unknown_alias": code_of(client.get_model_version_by_alias, "price", "nobody"),
        "reserved": code_of(client.set_registered_model_alias, "price", "latest", "1"),
        "reserved_number": code_of(client.set_registered_model_alias, "price", "v7", "1"),
        "local": code_of(client.create_model_version, "price", "/etc/passwd"),
        "slash": code_of(client.create_registered_model, "a/b"),
    }
    client.transition_model_version_stage("price", "1", "Production")
    client.transition_model_version_stage("price", "2", "Production", archive_existing_versions=True)
    seen["stages"] = {each.version: each.current_stage for each in client.search_model_versions("name = 'price'")}
    seen["latest"] = {each.current_stage: each.version for each in client.get_latest_versions("price")}
    client.set_registered_model_tag("price", "area", "NYC")
    client.delete_registered_model_tag("price", "team")
    client.set_model_version_tag("price", "1", "good", "yes")
    client.update_registered_model("price", "New words.")
    client.update_model_version("price", "1", "The first.")
    model, version = client.get_registered_model("price"), client.get_model_version("price", "1")
    seen["words"] = [model.description, dict(model.tags), version.description, dict(version.tags)]
    seen["download"] = client.get_model_version_download_uri("price", "3")
    queries = ["name = 'price' AND version_number >= 2", "tags.letter = 'c'", "source_path LIKE 's3://%/a'"]
    seen["found"] = [[each.version for each in client.search_model_versions(each_query)] for each_query in queries]
    page = client.search_model_versions("name = 'price'", max_results=2, order_by=["version_number ASC"])
    more = client.search_model_versions(
        "name = 'price'", max_results=2, order_by=["version_number ASC"], page_token=page.token
    )
    seen["pages"] = [[each.version for each in page], [each.version for each in more], bool(more.token)]
    seen["bad_filter"] = code_of(client.search_registered_models, "name ~ 'x' OR")
    seen["models"] = [each.name for each in client.search_registered_models("name ILIKE 'PRI%'")]
    copied = client.copy_model_version("models:/price/3", "copy")
    seen["copy"] = [copied.name, copied.version, client.get_model_version_download_uri("copy", "1")]
    client.rename_registered_model("price", "cost")
    seen["renamed"] = [client.get_registered_model("cost").description, code_of(client.get_registered_model, "price")]
    client.set_registered_model_alias("cost", "production", "2")
    client.delete_model_version("cost", "2")
    seen["aliases_left"] = dict(client.get_registered_model("cost").aliases)
    client.delete_registered_model("cost")
    seen["deleted"] = code_of(client.get_registered_model, "cost")
    return seen


def logged(client: MlflowClient) -> dict[str, Any]:
    """Checkpoints as entities: params, metrics on data, search, tags, deletion."""
    experiment = client.create_experiment("checkpoints")
    run = client.create_run(experiment)
    made = [
        client.create_logged_model(
            experiment, name=f"epoch-{place}", source_run_id=run.info.run_id, params={"depth": str(place)}
        )
        for place in range(3)
    ]
    for place, model in enumerate(made):
        more = {"dataset_name": "march", "dataset_digest": "d1"} if place else {}
        client.log_metric(run.info.run_id, "auc", place / 10, model_id=model.model_id, step=place, **more)
        client.finalize_logged_model(model.model_id, "READY")
    order = [{"field_name": "metrics.auc", "ascending": False}]
    names = lambda found: [each.name for each in found]  # noqa: E731
    seen: dict[str, Any] = {
        "by_metric": names(client.search_logged_models([experiment], "metrics.auc > 0.05", order_by=order)),
        "by_param": names(client.search_logged_models([experiment], "params.depth = '0' AND status = 'READY'")),
        "on_data": names(client.search_logged_models([experiment], datasets=[{"dataset_name": "march"}])),
        "newest": names(client.search_logged_models([experiment], max_results=1)),
    }
    page = client.search_logged_models([experiment], max_results=2)
    seen["pages"] = [len(page), len(client.search_logged_models([experiment], max_results=2, page_token=page.token))]
    client.set_logged_model_tags(made[0].model_id, {"best": "no"})
    seen["tags"] = client.get_logged_model(made[0].model_id).tags
    client.delete_logged_model_tag(made[0].model_id, "best")
    seen["no_tag"] = code_of(client.delete_logged_model_tag, made[0].model_id, "best")
    client.create_registered_model("picked")
    client.create_model_version("picked", made[2].artifact_location, model_id=made[2].model_id)
    seen["registered"] = client.get_logged_model(made[2].model_id).tags.get("mlflow.modelVersions")
    client.delete_logged_model(made[0].model_id)
    seen["deleted"] = code_of(client.get_logged_model, made[0].model_id)
    seen["left"] = names(client.search_logged_models([experiment]))
    return seen


def prompts(client: MlflowClient) -> dict[str, Any]:
    """Prompts are registered models that only their own searches show."""
    text = "Hello {{name}}! " + "Please be kind. " * 100
    mlflow.genai.register_prompt("greeting", text)
    mlflow.genai.set_prompt_alias("greeting", "production", 1)
    return {
        "text": mlflow.genai.load_prompt("prompts:/greeting@production").template == text,
        "models": [each.name for each in client.search_registered_models("name = 'greeting'")],
        "prompts": [each.name for each in mlflow.genai.search_prompts()],
        "taken": code_of(client.create_registered_model, "greeting"),
    }


def main() -> None:
    """Run the parts that are named, and print what each saw."""
    client = MlflowClient()
    parts = {"round_trip": round_trip, "registry": registry, "logged": logged, "prompts": prompts}
    sys.stdout.write("\n@@" + json.dumps({name: parts[name](client) for name in sys.argv[1:]}) + "\n")


if __name__ == "__main__":
    main()
