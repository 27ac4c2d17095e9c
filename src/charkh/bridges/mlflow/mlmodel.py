"""What an `MLmodel` file says of a model: its flavours, its signature, and whether loading it could run code.

The file is data of others: it is read by a YAML parser that builds nothing but texts, numbers, lists and maps, within
bounds, and no path in it is followed.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from charkh.core.events import MAX_FACT_TEXT
from charkh.core.mlmodel import MAX_BYTES
from charkh.core.redact import redact
from charkh.ports.runtimes import Safety, Signature, TensorSpec

MAX_SPECS = 2000

_COLUMN_TYPES = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "binary": "BYTES",
    "datetime": "BYTES",
}
_TENSOR_TYPES = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "str": "BYTES",
    "object": "BYTES",
}
_INERT_FLAVOURS = {"onnx": (".onnx",), "lightgbm": (".txt", ".lgb"), "xgboost": (".json", ".ubj", ".xgb")}
"""Flavours whose own files are data, by the endings that these have then."""

_CODE_ENDINGS = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".py", ".h5", ".keras", ".bin", ".zip", ".jar")
EMPTY = Signature(inputs=(), outputs=())


def signature_of(fields: Mapping[str, Any]) -> Signature:
    """The signature as tensors; empty where there is none, or one that no tensors can say."""
    signature = fields.get("signature")
    if not isinstance(signature, dict):
        return EMPTY
    said = cast(dict[str, Any], signature)
    inputs, outputs = _specs(said.get("inputs"), "input"), _specs(said.get("outputs"), "output")
    return Signature(inputs=inputs, outputs=outputs)


def flavours_of(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of its flavours, `python_function` last."""
    flavours = fields.get("flavors")
    names = [str(name)[:100] for name in cast(dict[Any, Any], flavours)] if isinstance(flavours, dict) else []
    return tuple(sorted(names, key=lambda name: (name == "python_function", name)))


def safety_of(fields: Mapping[str, Any], paths: Sequence[str]) -> Safety:
    """`inert` where every flavour keeps its model as data and no file beside it is code; `code` otherwise."""
    flavours = [name for name in flavours_of(fields) if name != "python_function"]
    code = [path for path in paths if path.lower().endswith(_CODE_ENDINGS)]
    reasons = [f"{path} can hold code" for path in code[:5]]
    for name in flavours:
        endings = _INERT_FLAVOURS.get(name)
        if endings is None or not any(path.lower().endswith(endings) for path in paths):
            reasons.append(f"the flavour {name} is loaded by the code of its library")
    if not flavours:
        reasons.append("no flavour says how it is loaded")
    return Safety(level="code", reasons=tuple(reasons)) if reasons else Safety(level="inert")


def libraries_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """The versions that it says it was made with."""
    found: dict[str, str] = {}
    if isinstance(version := fields.get("mlflow_version"), str):
        found["mlflow"] = version[:100]
    flavours = fields.get("flavors")
    for name, flavour in cast(dict[Any, Any], flavours).items() if isinstance(flavours, dict) else ():
        if not isinstance(flavour, dict):
            continue
        said = cast(dict[str, Any], flavour)
        if name == "python_function" and isinstance(said.get("python_version"), str):
            found["python"] = said["python_version"][:100]
        for key in ("sklearn_version", "xgb_version", "lgb_version", "onnx_version", "pytorch_version"):
            if isinstance(said.get(key), str):
                found[str(name)[:100]] = said[key][:100]
    return {redact(name): redact(value) for name, value in found.items()}


def _specs(said: object, what: str) -> tuple[TensorSpec, ...]:
    try:
        columns: Any = json.loads(said) if isinstance(said, str) and len(said) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        return ()
    if not isinstance(columns, list) or len(cast(list[Any], columns)) > MAX_SPECS:
        return ()
    specs: list[TensorSpec] = []
    for place, column in enumerate(cast(list[Any], columns)):
        spec = _spec(cast(dict[str, Any], column), what, place) if isinstance(column, dict) else None
        if spec is None:
            return ()
        specs.append(spec)
    return tuple(specs)


def _spec(column: Mapping[str, Any], what: str, place: int) -> TensorSpec | None:
    name = column.get("name") or (what if place == 0 else f"{what}_{place}")
    if not isinstance(name, str) or len(name) > MAX_FACT_TEXT:
        return None
    if column.get("type") == "tensor":
        tensor = column.get("tensor-spec")
        said = cast(dict[str, Any], tensor) if isinstance(tensor, dict) else {}
        datatype = _TENSOR_TYPES.get(str(said.get("dtype")))
        shape = said.get("shape")
        if datatype is None or not isinstance(shape, list):
            return None
        sizes = cast(list[Any], shape)
        if len(sizes) > 32 or not all(isinstance(size, int) for size in sizes):
            return None
        return TensorSpec(name=name, datatype=datatype, shape=(-1, *sizes[1:]))
    datatype = _COLUMN_TYPES.get(str(column.get("type")))
    if datatype is None:
        return None
    return TensorSpec(name=name, datatype=datatype, optional=column.get("required") is False)
