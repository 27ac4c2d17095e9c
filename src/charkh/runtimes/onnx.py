"""The ONNX runtime: graphs of the standard operators, with their weights inside, run by onnxruntime on the processor.

A graph that names operators of other domains, files beside it, or a library is refused
(https://onnx.ai/onnx/repo-docs/ExternalData.html).
"""

import importlib
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, cast

import numpy as np
import onnxruntime

from charkh.core.errors import Invalid, Unavailable
from charkh.core.gaps import has_gaps
from charkh.ports.runtimes import Safety, Signature, Tensors
from charkh.runtimes.columns import Array, chosen_outputs, columns_of, stack
from charkh.runtimes.onnx_file import onnx_reasons
from charkh.runtimes.refusal import denied, input_refused, verdict

FILE = "model.onnx"
_NUMPY = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
}
DATATYPES_OF = {"FP64": np.float64, "FP32": np.float32, "INT64": np.int64, "INT32": np.int32, "BOOL": np.bool_}
"""NumPy's element type of what a signature declares, of those that a graph can take."""
_native: Any = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
_UNREADABLE = (_native.Fail, _native.InvalidGraph, _native.InvalidProtobuf, _native.NotImplemented, RuntimeError)


class OnnxRuntime:
    """Saves, judges, loads and asks ONNX graphs (`charkh.ports.runtimes.ModelRuntime`)."""

    @property
    def name(self) -> str:
        return "onnx"

    @property
    def libraries(self) -> Mapping[str, str]:
        return {"python": platform.python_version(), "onnxruntime": version("onnxruntime"), "numpy": version("numpy")}

    def accepts(self, estimator: object) -> bool:
        """Whether it is a graph: what `onnx.load` gives."""
        kind = type(estimator)
        return kind.__name__ == "ModelProto" and kind.__module__.startswith("onnx")

    def save(self, estimator: object) -> Mapping[str, bytes]:
        """One file.

        Raises:
            Denied: it names operators or files that are not its own.
        """
        graph: Any = estimator
        data: bytes = graph.SerializeToString(deterministic=True)
        judged = self.inspect({FILE: data})
        if judged.runs_code:
            raise denied(judged.reasons)
        return {FILE: data}

    def inspect(self, files: Mapping[str, bytes]) -> Safety:
        """`inert` for exactly one whole graph of standard operators with nothing outside it; else `code`."""
        if len(files) > 1:
            return verdict(dict.fromkeys(list(files)[1:], ("it is not the one model file",)))
        return verdict({name: onnx_reasons(data) for name, data in files.items()})

    def load(self, files: Mapping[str, bytes], signature: Signature) -> "OnnxPredictor":
        """A session on the processor that uses one thread.

        Raises:
            Denied: the files are something else.
            Invalid: the signature does not fit.
            Unavailable: the installed onnxruntime cannot run it.
        """
        judged = self.inspect(files)
        if judged.runs_code:
            raise denied(judged.reasons)
        options = cast(Any, onnxruntime.SessionOptions())
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        data = next(iter(files.values()))
        try:
            session: Any = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except (
            _native.Fail,
            _native.InvalidGraph,
            _native.InvalidProtobuf,
            _native.NotImplemented,
            RuntimeError,
        ) as error:
            raise Unavailable(
                f"onnxruntime {version('onnxruntime')} cannot run this model: {str(error).splitlines()[0]}",
                code="model.not_rebuilt",
                hint="Export it with an older opset, or install the version that is recorded with it.",
            ) from error
        return OnnxPredictor(session, signature)


class OnnxPredictor:
    """A session and how the signature's tensors become its inputs; threads share it."""

    def __init__(self, session: Any, signature: Signature) -> None:
        self._session = session
        self._inputs = {each.name: each for each in session.get_inputs()}
        self._specs = list(signature.inputs)
        self._stacked = _is_stacked(self._inputs, signature)
        able = [each.name for each in session.get_outputs()]
        self._outputs = chosen_outputs(signature, able)
        self._matrix, self._dtype, self._width = _one_matrix(self._inputs, signature)
        unusable = [name for name, each in self._inputs.items() if each.type not in _NUMPY]
        if unusable:
            raise Invalid(
                f"the graph's input {unusable[0]!r} is a {self._inputs[unusable[0]].type}, which no request can carry",
                code="model.signature_misfit",
                hint="Export the model with inputs of numbers, booleans or texts.",
            )

    def predict(self, inputs: Tensors) -> dict[str, Array]:
        """See `charkh.ports.runtimes.Predictor`."""
        feed = inputs if self._is_ready(inputs) else self._feed(columns_of(self._specs, inputs))
        try:
            answers = self._session.run(self._outputs, feed)
        except (_native.Fail, _native.InvalidArgument, _native.RuntimeException, ValueError, TypeError) as error:
            raise input_refused(str(error).splitlines()[0]) from error
        return {name: _tensor(name, answer) for name, answer in zip(self._outputs, answers, strict=True)}

    def _is_ready(self, inputs: Tensors) -> bool:
        """Whether the inputs are the graph's own one matrix of numbers, with nothing to convert or to refuse."""
        matrix = inputs.get(self._matrix)
        return (
            type(matrix) is np.ndarray
            and len(inputs) == 1
            and matrix.dtype == self._dtype
            and matrix.ndim == 2
            and matrix.shape[1] == self._width
            and (matrix.dtype.kind != "f" or not has_gaps(matrix))
        )

    def _feed(self, columns: list[Array]) -> dict[str, Array]:
        if self._stacked:
            (name, only), *_ = self._inputs.items()
            return {name: stack(columns, np.float64).astype(_NUMPY[only.type], copy=False)}
        feed: dict[str, Array] = {}
        for spec, column in zip(self._specs, columns, strict=True):
            wanted = self._inputs[spec.name]
            shaped = column.reshape(-1, 1) if column.ndim == 1 and len(wanted.shape) == 2 else column
            feed[spec.name] = shaped.astype(_NUMPY[wanted.type], copy=False)
        return feed


def _one_matrix(inputs: Mapping[str, Any], signature: Signature) -> tuple[str, np.dtype[Any] | None, int]:
    """Name, element type and width of the graph's one input, where the signature has it as it is; else nothing."""
    if len(inputs) != 1 or len(signature.inputs) != 1:
        return "", None, 0
    (spec,), (only,) = signature.inputs, inputs.values()
    if spec.name != only.name or len(spec.shape) != 2 or spec.shape[1] < 1 or only.type not in _NUMPY:
        return "", None, 0
    dtype = np.dtype(_NUMPY[only.type])
    declared = DATATYPES_OF.get(spec.datatype)
    return (spec.name, dtype, spec.shape[1]) if dtype == declared and dtype.kind != "O" else ("", None, 0)


def _is_stacked(inputs: Mapping[str, Any], signature: Signature) -> bool:
    """Whether the signature's columns are the columns of the graph's one matrix.

    Raises:
        Invalid: they are neither that nor the graph's inputs by name.
    """
    names = {spec.name for spec in signature.inputs}
    if names == set(inputs):
        return False
    numbers = all(spec.datatype != "BYTES" and len(spec.shape) == 1 for spec in signature.inputs)
    if len(inputs) == 1 and numbers:
        (only,) = inputs.values()
        if len(only.shape) == 2 and only.shape[1] in {None, len(names)}:
            return True
    raise Invalid(
        f"the graph takes {', '.join(inputs)}, and the signature names {', '.join(sorted(names))}",
        code="model.signature_misfit",
        hint="Name the inputs as the graph does, or give as many number columns as its one matrix has.",
    )


def _tensor(name: str, answer: Any) -> Array:
    if isinstance(answer, list):
        raise Invalid(
            f"the graph's output {name!r} is a list of maps, which no answer can carry",
            code="model.output_misfit",
            hint="Export it with `zipmap` off: convert_sklearn(…, options={'zipmap': False}).",
        )
    return np.asarray(answer)
