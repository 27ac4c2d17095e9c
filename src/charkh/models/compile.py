"""Compile a version to ONNX, compare what both forms answer, and record the form with the report."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from charkh.core.canon import canonical_json
from charkh.core.errors import CharkhError, Denied, NotFound
from charkh.core.events import Draft
from charkh.core.redact import redact
from charkh.models.admit import NO_RULES, Rules
from charkh.models.compiled import COMPILED_KIND, ModelCompiled
from charkh.models.example import ExampleRequest
from charkh.models.files import read_files
from charkh.models.find import find
from charkh.models.load import load
from charkh.models.model import MAX_REASON, ModelVersion
from charkh.models.parity import Parity, ParityReport, boundary_rows, compare, edge_rows
from charkh.ports.runtimes import ModelRuntime, Predictor, Signature, Tensors, row_count
from charkh.ports.store import Store

Convert = Callable[[Mapping[str, bytes], Signature], bytes]
"""From a model's files and its signature to an ONNX file; raises `Invalid` where there is no such form."""

ONNX = "onnx"
FILE = "model.onnx"
_TIMED = 15
_DTYPES = {"FP64": np.float64, "FP32": np.float32, "INT64": np.int64, "INT32": np.int32, "BOOL": np.bool_}


class _Tried(NamedTuple):
    """A graph, if there is one, and what was found about it."""

    graph: bytes | None
    report: ParityReport


def compile_model(
    store: Store, ref: str, *, runtimes: Sequence[ModelRuntime], convert: Convert, rules: Rules = NO_RULES
) -> ModelCompiled:
    """Convert a version and say whether its compiled form answers as it does; what differs is recorded and not served.

    Args:
        store: where it is.
        ref: of the version.
        runtimes: what loads the original; one of them is `onnx`.
        convert: makes the graph.
        rules: what the registry's policy asks of what is loaded.

    Raises:
        NotFound: there is no such version, or it keeps no example to be compared on.
        Denied: the version may not be loaded, or runs code of its own.
    """
    version = find(store, ref)
    if version.made.safety.runs_code:
        raise Denied(
            f"{version.ref} brings code, which is not run to convert it",
            code="model.code",
            hint="Register it in a safe format, or export it to ONNX where it was trained.",
        )
    example = example_of(store, version)
    original = load(store, version.id, runtimes=runtimes, rules=rules).predictor
    tried = _try(store, version, original, example, runtimes, convert)
    return _record(store, version, tried, runtimes)


def example_of(store: Store, version: ModelVersion) -> Tensors:
    """The rows that are kept with a version, as the model takes them.

    Raises:
        NotFound: there are none.
    """
    kept = version.made.example
    if kept is None:
        raise NotFound(
            f"{version.ref} keeps no example, so its compiled form cannot be compared",
            code="model.no_example",
            hint="Register it with example=rows.",
        )
    request = msgspec.json.decode(b"".join(store.vault.read(kept)), type=ExampleRequest)
    specs = {spec.name: spec for spec in version.made.signature.inputs}
    tensors: dict[str, Any] = {}
    for each in request.inputs:
        dtype = _DTYPES.get(specs[each.name].datatype, object)
        cells = each.data if dtype is object else [math.nan if cell is None else cell for cell in each.data]
        tensors[each.name] = np.array(cells, dtype).reshape(each.shape)
    return tensors


def _try(
    store: Store,
    version: ModelVersion,
    original: Predictor,
    example: Tensors,
    runtimes: Sequence[ModelRuntime],
    convert: Convert,
) -> _Tried:
    signature = version.made.signature
    graph: bytes | None = None
    try:
        graph = convert(read_files(store, version), signature)
        onnx = next(each for each in runtimes if each.name == ONNX)
        compiled = onnx.load({FILE: graph}, signature)
        sets = {
            "example": example,
            "edges": edge_rows(example, signature.inputs),
            "boundary": boundary_rows(example, original.predict),
        }
        found = {
            name: compare(original.predict(rows), compiled.predict(rows))
            for name, rows in sets.items()
            if row_count(rows)
        }
    except CharkhError as error:
        return _Tried(graph, ParityReport(passed=False, reason=redact(error.message)[:MAX_REASON]))
    one = {name: tensor[:1] for name, tensor in example.items()}
    report = ParityReport(
        passed=all(each.passed for each in found.values()),
        sets={name: _finite(each) for name, each in found.items()},
        worst_rows={name: _worst_row(each, sets[name]) for name, each in found.items()},
        microseconds={"original": _seconds(original, one) * 1e6, "compiled": _seconds(compiled, one) * 1e6},
    )
    return _Tried(graph, report)


def _record(store: Store, version: ModelVersion, tried: _Tried, runtimes: Sequence[ModelRuntime]) -> ModelCompiled:
    report = tried.report
    kept = store.vault.put_bytes(canonical_json(report), "parity.json")
    file = None if tried.graph is None else store.vault.put_bytes(tried.graph, FILE)
    store.vault.flush()
    differing = sorted({name for name, each in report.sets.items() if not each.passed})
    reason = report.reason or (f"it answers differently to rows of: {', '.join(differing)}" if differing else "")
    times = report.microseconds
    body = ModelCompiled(
        name=version.made.name,
        version=version.id,
        number=version.made.number,
        digest=version.made.tree.root,
        parity=report.passed,
        report=kept,
        file=file,
        reason=reason,
        worst=max((out.worst for each in report.sets.values() for out in each.outputs), default=0.0),
        speedup=round(times["original"] / times["compiled"], 2) if times else 0.0,
        rows=sum(each.rows for each in report.sets.values()),
        libraries=next((dict(each.libraries) for each in runtimes if each.name == ONNX), dict[str, str]()),
    )
    holds = (kept.held, *(() if file is None else (file.held,)))
    store.record(
        Draft(
            kind=COMPILED_KIND,
            subject=version.subject,
            body=body,
            facts=body.facts,
            about=version.subject,
            holds=holds,
        )
    )
    return body


def _worst_row(parity: Parity, rows: Tensors) -> dict[str, str]:
    worst = max(parity.outputs, key=lambda each: each.worst, default=None)
    if worst is None or worst.worst_row < 0:
        return {}
    return {name: str(tensor[worst.worst_row])[:MAX_REASON] for name, tensor in rows.items()}


def _finite(parity: Parity) -> Parity:
    """JSON has no infinity; the greatest number stands for it."""
    outputs = tuple(
        msgspec.structs.replace(each, worst=min(each.worst, float(np.finfo(np.float64).max))) for each in parity.outputs
    )
    return msgspec.structs.replace(parity, outputs=outputs)


def _seconds(predictor: Predictor, inputs: Tensors) -> float:
    """The least of a few calls, after one that warms up: others use the processor too."""
    predictor.predict(inputs)
    taken: list[float] = []
    for _ in range(_TIMED):
        begun = time.perf_counter()
        predictor.predict(inputs)
        taken.append(time.perf_counter() - begun)
    return min(taken)
