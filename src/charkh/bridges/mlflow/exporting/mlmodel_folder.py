"""A registered version as an `MLmodel` folder: the native format's own flavour, which `mlflow models serve` runs.

A version that came as such a folder is given back as it is. MLflow's answer is what its flavour makes of the model: for
LightGBM the probability, where charkh answers with the label beside it.
"""

import io
import json
import time
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from charkh.core.errors import Invalid, Unavailable
from charkh.core.mlmodel import FILE
from charkh.models.files import read_files
from charkh.models.model import ModelVersion
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.ports.store import Store

_TYPES = {"FP64": "double", "FP32": "float", "INT64": "long", "INT32": "integer", "BOOL": "boolean", "BYTES": "string"}
_DTYPES = {"FP64": "float64", "FP32": "float32", "INT64": "int64", "INT32": "int32", "BOOL": "bool", "BYTES": "str"}
_PACKAGES = ("scikit-learn", "skops", "xgboost", "lightgbm", "catboost", "onnx", "onnxruntime", "numpy", "cloudpickle")
_PROBABILITY = "predict_proba"

Fields = dict[str, Any]


def version_files(store: Store, version: ModelVersion) -> dict[str, bytes]:
    """The files of the folder, by path.

    Raises:
        NotFound: the store has no bytes of it.
        Corrupt: a file is not what its digest says.
        Invalid: there is no flavour for models of its runtime.
        Unavailable: what tells the types in a skops file is not installed.
    """
    files = dict(read_files(store, version))
    made = version.made
    if FILE in files:
        return files
    flavour = _FLAVOURS.get(made.runtime)
    if flavour is None:
        raise Invalid(
            f"MLflow has no flavour for models of the runtime {made.runtime!r}",
            code="mlflow.no_flavour",
            hint="Export its files: charkh export model NAME --format files.",
        )
    name, fields, general = flavour(files, made.signature, made.libraries)
    python = made.libraries.get("python", "")
    flavours: Fields = {
        name: fields,
        "python_function": {
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "loader_module": f"mlflow.{name}",
            "python_version": python,
            **general,
        },
    }
    document: Fields = {
        "flavors": flavours,
        "model_uuid": version.id,
        "signature": _signature(made.signature),
        "utc_time_created": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(version.created)),
    }
    if made.run:
        document["run_id"] = made.run
    if made.example is not None:
        example = _example(b"".join(store.vault.read(made.example)))
        if example is not None:
            files |= example
            document["saved_input_example_info"] = _EXAMPLE_INFO
    requirements = _requirements(made.libraries)
    files |= {
        "requirements.txt": "".join(f"{each}\n" for each in requirements).encode(),
        "python_env.yaml": _yaml(
            {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
        ),
        "conda.yaml": _yaml(
            {
                "channels": ["conda-forge"],
                "dependencies": [f"python={python}", "pip", {"pip": requirements}],
                "name": "mlflow-env",
            }
        ),
        FILE: _yaml(document),
    }
    return files


_EXAMPLE_INFO: Fields = {
    "artifact_path": "input_example.json",
    "pandas_orient": "split",
    "serving_input_path": "serving_input_example.json",
    "type": "dataframe",
}


def _sklearn(files: dict[str, bytes], signature: Signature, libraries: Mapping[str, str]) -> tuple[str, Fields, Fields]:
    del signature
    (path, data), *_ = files.items()
    try:
        from skops.io import get_untrusted_types
    except ImportError as error:
        raise Unavailable(
            "the types in the skops file cannot be listed: skops is not installed",
            code="mlflow.no_skops",
            hint="pip install 'charkh[sklearn]'",
        ) from error
    # What charkh trusts by node, MLflow trusts by a list beside the file.
    trusted = list(map(str, get_untrusted_types(data=data)))
    fields: Fields = {
        "code": None,
        "pickled_model": path,
        "serialization_format": "skops",
        "skops_trusted_types": trusted,
        "sklearn_version": libraries.get("scikit-learn", ""),
    }
    return "sklearn", fields, {"model_path": path, "predict_fn": "predict"}


def _pickled(files: dict[str, bytes], signature: Signature, libraries: Mapping[str, str]) -> tuple[str, Fields, Fields]:
    del signature
    path = next(iter(files))
    fields: Fields = {
        "code": None,
        "pickled_model": path,
        "serialization_format": "cloudpickle",
        "sklearn_version": libraries.get("scikit-learn", ""),
    }
    return "sklearn", fields, {"model_path": path, "predict_fn": "predict"}


def _xgboost(files: dict[str, bytes], signature: Signature, libraries: Mapping[str, str]) -> tuple[str, Fields, Fields]:
    del signature
    (path, data), *_ = files.items()
    found: Any = msgspec.json.decode(data)
    kind = found["learner"].get("attributes", {}).get("charkh_kind", "")
    names = {"classifier": "xgboost.sklearn.XGBClassifier", "regressor": "xgboost.sklearn.XGBRegressor"}
    fields: Fields = {
        "code": None,
        "data": path,
        "model_class": names.get(kind, "xgboost.core.Booster"),
        "model_format": "json",
        "xgb_version": libraries.get("xgboost", ""),
    }
    return "xgboost", fields, {"data": path}


def _lightgbm(
    files: dict[str, bytes], signature: Signature, libraries: Mapping[str, str]
) -> tuple[str, Fields, Fields]:
    del signature
    path = next(name for name in files if name.endswith(".txt"))
    fields: Fields = {
        "code": None,
        "data": path,
        "lgb_version": libraries.get("lightgbm", ""),
        "model_class": "lightgbm.basic.Booster",
    }
    return "lightgbm", fields, {"data": path}


def _catboost(
    files: dict[str, bytes], signature: Signature, libraries: Mapping[str, str]
) -> tuple[str, Fields, Fields]:
    path = next(iter(files))
    classifies = any(spec.name == _PROBABILITY for spec in signature.outputs)
    fields: Fields = {
        "catboost_version": libraries.get("catboost", ""),
        "code": None,
        "data": path,
        "model_type": "CatBoostClassifier" if classifies else "CatBoostRegressor",
        "save_format": "cbm",
    }
    return "catboost", fields, {"data": path}


def _onnx(files: dict[str, bytes], signature: Signature, libraries: Mapping[str, str]) -> tuple[str, Fields, Fields]:
    del signature
    path = next(iter(files))
    fields: Fields = {
        "code": None,
        "data": path,
        "onnx_version": libraries.get("onnx", ""),
        "providers": ["CPUExecutionProvider"],
    }
    return "onnx", fields, {"data": path}


_FLAVOURS = {
    "sklearn": _sklearn,
    "pickle": _pickled,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "catboost": _catboost,
    "onnx": _onnx,
}


def _signature(signature: Signature) -> Fields:
    columns = all(len(spec.shape) == 1 for spec in signature.inputs)
    inputs = [_column(spec) if columns else _tensor(spec, named=len(signature.inputs) > 1) for spec in signature.inputs]
    outputs = [spec for spec in signature.outputs if spec.name != _PROBABILITY] or list(signature.outputs)
    said = [_tensor(spec, named=len(outputs) > 1) for spec in outputs]
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(said), "params": None}


def _column(spec: TensorSpec) -> Fields:
    return {"type": _TYPES.get(spec.datatype, "double"), "name": spec.name, "required": not spec.optional}


def _tensor(spec: TensorSpec, *, named: bool) -> Fields:
    tensor = {"dtype": _DTYPES.get(spec.datatype, "float64"), "shape": list(spec.shape)}
    return {"type": "tensor", "tensor-spec": tensor, **({"name": spec.name} if named else {})}


def _example(data: bytes) -> dict[str, bytes] | None:
    """The kept rows as MLflow's two files; None where they are no table of columns."""
    inputs = cast(list[Fields], cast(Fields, msgspec.json.decode(data))["inputs"])
    if any(len(each["shape"]) != 1 for each in inputs):
        return None
    rows = [list(row) for row in zip(*(each["data"] for each in inputs), strict=True)]
    table = {"columns": [each["name"] for each in inputs], "data": rows}
    return {
        "input_example.json": json.dumps(table).encode(),
        "serving_input_example.json": json.dumps({"dataframe_split": table}).encode(),
    }


def _requirements(libraries: Mapping[str, str]) -> list[str]:
    pinned = [f"{name}=={libraries[name]}" for name in _PACKAGES if libraries.get(name)]
    return ["mlflow", *pinned]


def _yaml(fields: Fields) -> bytes:
    """JSON is YAML, too: one line a field, what needs quotes has them."""
    text = io.StringIO()
    for name, value in fields.items():
        text.write(f"{name}: {json.dumps(value, ensure_ascii=False)}\n")
    return text.getvalue().encode("utf-8", "replace")
