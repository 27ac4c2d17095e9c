"""The OpenAPI 3.1 document of what is served, with the real names, datatypes and shapes of every model. No I/O."""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np

from charkh.endpoints.inputs import datatypes_that_fit, dtype_of
from charkh.endpoints.servable import Servable
from charkh.endpoints.wire import DATATYPES
from charkh.ports.runtimes import TensorSpec

Schema = dict[str, Any]

_encode = msgspec.json.Encoder().encode
_TEXTS = {"type": "string"}
_ERROR = {"$ref": "#/components/schemas/Error"}
_REFUSALS = {
    "400": "The request is malformed or does not fit the signature; the error names the tensor.",
    "401": "The bearer token is missing or wrong.",
    "403": "The host or origin of the request is not one of this server's.",
    "413": "The body is too long.",
    "415": "The content encoding is not gzip or deflate.",
    "429": "Too much is asked at once; Retry-After says when to come again.",
    "503": "The model is loading, or the server is shutting down; Retry-After says when to come again.",
    "504": "The deadline that the request gave has passed.",
}
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}}


def document(servables: Iterable[Servable]) -> bytes:
    """The document of a server, or of one model where only it is given."""
    served = list(servables)
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": _TEXTS, "hint": _TEXTS, "code": _TEXTS},
        }
    }
    for each in served:
        base = f"/v2/models/{quote(each.name)}"
        if base in paths:
            continue
        paths |= _paths(base, each)
    return _encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "charkh", "version": "2", "description": "Models behind the Open Inference Protocol."},
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{"token": []}, {}],
        }
    )


def _paths(base: str, servable: Servable) -> dict[str, Any]:
    name, signature = servable.name, servable.signature
    shown = {"type": "object", "required": ["name"], "properties": {"name": {"const": name}}}
    infer = {
        "post": {
            "operationId": f"infer {name}",
            "summary": f"Ask {name} version {servable.version} with tensors.",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _request(signature.inputs, signature.outputs)}},
            },
            "responses": _answered(_answer(servable)),
        }
    }
    predict = {
        "post": {
            "operationId": f"predict {name}",
            "summary": f"Ask {name} version {servable.version} with records, or lines of CSV.",
            "requestBody": {"required": True, "content": _bodies(signature.inputs)},
            "responses": _answered(_predictions(servable), csv=True),
        }
    }
    return {
        base: {"get": _question(f"describe {name}", "Names, datatypes and shapes.", shown)},
        f"{base}/ready": {"get": _question(f"ready {name}", "Whether the model can be asked.", shown, "503")},
        f"{base}/infer": infer,
        f"/predict/{quote(name)}": predict,
    }


def _question(operation: str, summary: str, schema: Schema, *refusals: str) -> dict[str, Any]:
    responses = {"200": _json("The answer.", schema)}
    return {
        "operationId": operation,
        "summary": summary,
        "responses": responses | {each: _json(_REFUSALS[each], {}) for each in ("401", "403", *refusals)},
    }


def _answered(schema: Schema, *, csv: bool = False) -> dict[str, Any]:
    answer = _json("The answer.", schema)
    if csv:
        answer["content"]["text/csv"] = {"schema": _TEXTS}
    refusals = {status: _json(text, _ERROR) for status, text in _REFUSALS.items()}
    for status in ("429", "503"):
        refusals[status]["headers"] = _RETRY
    return {"200": answer, **refusals}


def _json(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _request(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Schema:
    required = sum(not spec.optional for spec in inputs)
    asked = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"enum": [spec.name for spec in outputs]} if outputs else _TEXTS, **_PARAMETERS},
    }
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            **_PARAMETERS,
            "inputs": {
                "type": "array",
                "minItems": max(required, 1),
                "maxItems": len(inputs),
                "items": {"oneOf": [_input(spec) for spec in inputs]},
            },
            "outputs": {"type": ["array", "null"], "items": asked},
        },
    }


_PARAMETERS: Schema = {"parameters": {"type": ["object", "null"]}}


def _input(spec: TensorSpec) -> Schema:
    return {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": spec.name},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1},
            "datatype": {"enum": datatypes_that_fit(spec)},
            "data": {"type": "array", "items": {"anyOf": [value(spec), {"type": "array"}]}, "minItems": 1},
            **_PARAMETERS,
        },
        "description": f"{spec.datatype} of shape {list(spec.shape)}; flat or nested, row after row.",
    }


def _answer(servable: Servable) -> Schema:
    names = [spec.name for spec in servable.signature.outputs]
    output = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"enum": names} if names else _TEXTS,
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"enum": list(DATATYPES)},
            "data": {"type": "array"},
        },
    }
    return {
        "type": "object",
        "required": ["model_name", "outputs"],
        "properties": {
            "model_name": {"const": servable.name},
            "model_version": _TEXTS,
            "id": _TEXTS,
            "parameters": {"type": "object"},
            "outputs": {"type": "array", "items": output},
        },
    }


def _bodies(inputs: Sequence[TensorSpec]) -> dict[str, Any]:
    record = {
        "type": "object",
        "required": [spec.name for spec in inputs if not spec.optional],
        "properties": {spec.name: _cell(spec) for spec in inputs},
        "additionalProperties": False,
    }
    bodies: dict[str, Any] = {"application/json": {"schema": {"type": "array", "minItems": 1, "items": record}}}
    if all(len(spec.shape) == 1 for spec in inputs):
        bodies["text/csv"] = {"schema": _TEXTS, "example": ",".join(spec.name for spec in inputs) + "\r\n"}
    return bodies


def _predictions(servable: Servable) -> Schema:
    outputs = servable.signature.outputs
    return {
        "type": "object",
        "required": ["model_name", "predictions"],
        "properties": {
            "model_name": {"const": servable.name},
            "model_version": _TEXTS,
            "predictions": {
                "type": "array",
                "items": {"type": "object", "required": [spec.name for spec in outputs]},
            },
        },
    }


def _cell(spec: TensorSpec) -> Schema:
    """One row of an input: a value, or lists of it where the signature has more axes."""
    schema = value(spec)
    for size in reversed(spec.shape[1:]):
        schema = {"type": "array", "items": schema}
        if size >= 0:
            schema |= {"minItems": size, "maxItems": size}
    return schema


def value(spec: TensorSpec) -> Schema:
    """The JSON schema of one value of an input."""
    dtype = dtype_of(spec)
    schema: Schema
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        schema = {"type": "integer", "minimum": int(limits.min), "maximum": int(limits.max)}
    elif dtype.kind == "f":
        schema = {"type": "number"}
    else:
        schema = {"type": "boolean" if dtype.kind == "b" else "string"}
    return schema | {"type": [schema["type"], "null"]} if spec.optional else schema
