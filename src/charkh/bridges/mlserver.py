"""MLServer's own settings: a folder with `model-settings.json` files is served as it is."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from charkh.bridges.manifests import Fields, Notes, bad_manifest
from charkh.bridges.served import ModelSource, Resolve
from charkh.core.endpoint_settings import EndpointSettings

FILE = "model-settings.json"
IMPLEMENTATIONS = {
    "mlserver_sklearn.SKLearnModel": "",
    "mlserver_xgboost.XGBoostModel": "xgboost",
    "mlserver_lightgbm.LightGBMModel": "lightgbm",
    "mlserver_catboost.CatboostModel": "catboost",
    "mlserver_mlflow.MLflowRuntime": "mlflow",
}
FILES = ("model.skops", "model.joblib", "model.pickle", "model.pkl", "model.bst", "model.json", "model.ubj")
"""Names that MLServer looks for where no uri is said."""


def read_folder(folder: Path, notes: Notes, sources: Callable[[Path], Resolve]) -> dict[str, EndpointSettings]:
    """The endpoints that the settings in a folder, and below it, mean.

    Args:
        folder: that MLServer would be started with.
        notes: takes the warnings.
        sources: by the folder of a settings file, what finds or registers its model.

    Raises:
        Invalid: there are no settings, or something cannot be honoured here.
    """
    found = sorted(folder.rglob(FILE))
    if not found:
        raise bad_manifest(f"{folder} has no {FILE}")
    if (folder / "settings.json").exists():
        notes.add(f"{folder / 'settings.json'}: ports and workers are those of the command")
    endpoints: dict[str, EndpointSettings] = {}
    for path in found:
        fields = Fields(_read(path), str(path), notes)
        name = fields.text("name", path.parent.name)
        if name in endpoints:
            raise bad_manifest(f"{path}: the model {name!r} stands twice")
        endpoints[name] = EndpointSettings(model=sources(path.parent)(_source(name, fields, path)))
    return endpoints


def _source(name: str, fields: Fields, path: Path) -> ModelSource:
    word = fields.required("implementation")
    if word not in IMPLEMENTATIONS:
        raise bad_manifest(f"{path}: {word} cannot be run here", f"These can: {', '.join(IMPLEMENTATIONS)}.")
    fields.cluster_only("parallel_workers", "warm_workers", "max_batch_size", "max_batch_time", "platform", "versions")
    fields.cluster_only("cache_enabled")
    inputs, outputs = (_declared(each) for each in (fields.each("inputs"), fields.each("outputs")))
    parameters = fields.within("parameters")
    uri = parameters.text("uri") or next((each for each in FILES if (path.parent / each).exists()), ".")
    parameters.cluster_only("version", "format", "content_type", "extra", "environment_tarball")
    parameters.end()
    fields.end()
    return ModelSource(
        name=name,
        uri=uri,
        runtime=IMPLEMENTATIONS[word],
        input="predict",
        where=f"{path}: parameters.uri",
        inputs=inputs,
        outputs=outputs,
    )


def _declared(written: list[Fields]) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    found: list[tuple[str, str, tuple[int, ...]]] = []
    for each in written:
        shape = each.wholes("shape")
        found.append((each.required("name"), each.required("datatype"), shape))
        each.cluster_only("parameters", "tags")
        each.end()
    return tuple(found)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise bad_manifest(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise bad_manifest(f"{path} is no object")
    return found  # pyright: ignore[reportUnknownVariableType] - `Fields` looks at each of its members
