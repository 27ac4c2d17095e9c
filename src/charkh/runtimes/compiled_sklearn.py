"""Convert a scikit-learn model's files to an ONNX graph that answers as the estimator does.

The estimator is rebuilt by the skops runtime, never unpickled. Numbers go in as doubles unless the signature says
FP32 for all of them, because a value that is rounded goes to the other side of a threshold; trees, which scikit-learn
asks in single precision, are asked so too. The operators are those of https://onnx.ai/onnx/operators/.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import skl2onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx.common import data_types
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.impute import SimpleImputer

from charkh.core.errors import Invalid
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.runtimes.columns import PREDICT, PREDICT_PROBA
from charkh.runtimes.compiled_histograms import HISTOGRAMS, hold_doubles, one_base, settle_thresholds
from charkh.runtimes.sklearn import SklearnRuntime
from charkh.runtimes.sklearn_predictor import SklearnPredictor, predicts_by_probability
from charkh.runtimes.sklearn_trees import parts_of

ROWS = "charkh_rows"
"""The graph's one matrix, where the signature has columns of numbers."""

OPSETS = {"": 17, "ai.onnx.ml": 3}
_ELEMENT = {
    "FP64": TensorProto.DOUBLE,
    "FP32": TensorProto.FLOAT,
    "INT64": TensorProto.INT64,
    "INT32": TensorProto.INT32,
    "BOOL": TensorProto.BOOL,
}
_TYPES: Mapping[str, Any] = {
    "FP64": data_types.DoubleTensorType,
    "FP32": data_types.FloatTensorType,
    "INT64": data_types.Int64TensorType,
    "INT32": data_types.Int32TensorType,
    "BOOL": data_types.BooleanTensorType,
    "BYTES": data_types.StringTensorType,
}
_FAILURES = (
    MissingConverter,
    MissingShapeCalculator,
    RuntimeError,
    NotImplementedError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
)


def compile_sklearn(files: Mapping[str, bytes], signature: Signature) -> bytes:
    """The graph's bytes: inputs as `charkh.runtimes.onnx.OnnxPredictor` takes them, outputs as the signature has them.

    Raises:
        Denied: the files could run code.
        Invalid: the model, or what it takes, has no such form.
    """
    predictor = SklearnRuntime().load(files, signature)
    _refuse_gaps_in_texts(signature)
    types = _initial_types(predictor, signature)
    estimator = predictor.estimator
    is_single = any(spec.datatype == "FP32" for spec in signature.inputs)
    _settle(estimator, is_single=is_single)
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None
    try:
        graph: Any = skl2onnx.convert_sklearn(estimator, initial_types=types, options=options, target_opset=OPSETS)
    except _FAILURES as error:
        raise _not_compiled(f"skl2onnx cannot convert {type(estimator).__name__}: {_line(error)}") from error
    if types[0][0] == ROWS:
        _take_in_order(graph.graph, [spec.name for spec in signature.inputs], predictor.order)
    if not any(isinstance(part, HISTOGRAMS) for part in parts_of(estimator)):
        _round_before_trees(graph.graph)
    _vote_whole(graph.graph)
    if not is_single:
        _fill_doubles(graph.graph, estimator)
        hold_doubles(graph, parts_of(estimator))
    _give(graph.graph, estimator, signature.outputs)
    graph.doc_string = graph.producer_version = ""
    try:
        onnx.checker.check_model(graph)
    except onnx.checker.ValidationError as error:
        raise _not_compiled(f"the graph is not sound: {_line(error)}") from error
    return graph.SerializeToString(deterministic=True)


def _initial_types(predictor: SklearnPredictor, signature: Signature) -> list[tuple[str, Any]]:
    specs = signature.inputs
    if predictor.by_name:
        return [(spec.name, _TYPES[spec.datatype]([None, 1])) for spec in specs if spec.name in predictor.order]
    if len(specs) == 1 and len(specs[0].shape) == 2:
        return [(specs[0].name, _TYPES[specs[0].datatype]([None, specs[0].shape[1]]))]
    if any(spec.datatype == "BYTES" or len(spec.shape) != 1 for spec in specs):
        raise _not_compiled("the signature's inputs are neither one matrix, numbers, nor columns taken by name")
    kind = "FP32" if all(spec.datatype == "FP32" for spec in specs) else "FP64"
    return [(ROWS, _TYPES[kind]([None, len(predictor.order)]))]


def _settle(estimator: Any, *, is_single: bool) -> None:
    """Give thresholds that a graph's single precision holds, with the same answers.

    A tree compares single precision with a double, so that the greatest single that is not above it does as well.
    """
    for part in parts_of(estimator):
        tree = getattr(part, "tree_", None)
        if tree is not None:
            exact = tree.threshold
            single = exact.astype(np.float32)
            tree.threshold[:] = np.where(single > exact, np.nextafter(single, np.float32(-np.inf)), single)
        if isinstance(part, HISTOGRAMS):
            one_base(part)
            if is_single:
                settle_thresholds(part)


def _vote_whole(graph: Any) -> None:
    """Let the trees of a forest vote with whole weights and divide afterwards, so that ties stay ties."""
    nodes = list(graph.node)
    del graph.node[:]
    for place, node in enumerate(nodes):
        trees = _voting_trees(node)
        if trees < 2:
            graph.node.append(node)
            continue
        weights = next(each.floats for each in node.attribute if each.name == "class_weights")
        weights[:] = (np.array(weights, np.float64) * trees).astype(np.float32).tolist()
        single = len(set(_ids(node, "class_ids"))) == 1
        answer, all_votes, count = node.output[1], f"charkh_all_votes_{place}", f"charkh_trees_{place}"
        node.output[1] = f"charkh_votes_{place}"
        # Of two classes the trees may count one; the operator then answers 1 - votes for the other.
        missing = np.array([[trees - 1, 0]] if single else [[0]], np.float32)
        graph.initializer.append(numpy_helper.from_array(missing, f"{all_votes}_missing"))
        graph.initializer.append(numpy_helper.from_array(np.array(trees, np.float32), count))
        graph.node.append(node)
        graph.node.append(helper.make_node("Add", [node.output[1], f"{all_votes}_missing"], [all_votes]))
        graph.node.append(helper.make_node("Div", [all_votes, count], [answer]))


def _ids(node: Any, name: str) -> list[int]:
    return list(next(each.ints for each in node.attribute if each.name == name))


def _voting_trees(node: Any) -> int:
    """How many trees average their votes here; 0 where nothing is averaged."""
    held = {each.name: each for each in node.attribute}
    averages = node.op_type == "TreeEnsembleClassifier" and "base_values" not in held
    return len(set(held["nodes_treeids"].ints)) if averages and held["post_transform"].s == b"NONE" else 0


def _fill_doubles(graph: Any, estimator: Any) -> None:
    """Fill gaps in doubles by standard operators: onnxruntime has no imputer for them."""
    known: list[Any] = [part.statistics_ for part in parts_of(estimator) if isinstance(part, SimpleImputer)]
    nodes = list(graph.node)
    del graph.node[:]
    for place, node in enumerate(nodes):
        filled = next((each.floats for each in node.attribute if each.name == "imputed_value_floats"), None)
        if node.op_type != "Imputer" or filled is None:
            graph.node.append(node)
            continue
        single = np.array(filled, np.float32)
        exact = [each for each in known if _is_rounded(each, single)]
        if not exact:
            raise _not_compiled("it fills gaps in a way for which there is no graph")
        gaps, values = f"charkh_gaps_{place}", f"charkh_values_{place}"
        graph.initializer.append(numpy_helper.from_array(np.asarray(exact[0], np.float64), values))
        graph.node.append(helper.make_node("IsNaN", [node.input[0]], [gaps]))
        graph.node.append(helper.make_node("Where", [gaps, values, node.input[0]], [node.output[0]]))


def _is_rounded(exact: Any, single: Any) -> bool:
    values = np.asarray(exact)
    return (
        values.dtype.kind == "f" and values.shape == single.shape and bool((values.astype(np.float32) == single).all())
    )


def _refuse_gaps_in_texts(signature: Signature) -> None:
    missing = next((spec.name for spec in signature.inputs if spec.optional and spec.datatype == "BYTES"), None)
    if missing is not None:
        raise _not_compiled(f"the text {missing!r} may be missing, for which a graph has no value")


def _take_in_order(graph: Any, given: list[str], taken: list[str]) -> None:
    """Columns come in the signature's order, and the estimator may take them in another, or not all."""
    if given == taken:
        return
    places = np.array([given.index(name) for name in taken], np.int64)
    graph.initializer.append(numpy_helper.from_array(places, "charkh_places"))
    _replace_input(graph, ROWS, "charkh_ordered")
    graph.node.insert(0, helper.make_node("Gather", [ROWS, "charkh_places"], ["charkh_ordered"], axis=1))
    graph.input[0].type.tensor_type.shape.dim[1].dim_value = len(given)


def _replace_input(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new


def _round_before_trees(graph: Any) -> None:
    """Send doubles through single precision where scikit-learn does, so that they meet the same thresholds."""
    rounded: dict[str, str] = {}
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        if node.op_type.startswith("TreeEnsemble"):
            source = node.input[0]
            if source not in rounded:
                rounded[source] = f"charkh_rounded_{len(rounded)}"
                single = f"{rounded[source]}_single"
                graph.node.append(helper.make_node("Cast", [source], [single], to=TensorProto.FLOAT))
                graph.node.append(helper.make_node("Cast", [single], [rounded[source]], to=TensorProto.DOUBLE))
            node.input[0] = rounded[source]
        graph.node.append(node)


def _give(graph: Any, estimator: Any, specs: tuple[TensorSpec, ...]) -> None:
    """Name the outputs as the signature does, with its datatypes and shapes."""
    made = [each.name for each in graph.output]
    renamed = {name: f"charkh_made_{place}" for place, name in enumerate(made)}
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = renamed.get(name, name)
    found = dict(zip((PREDICT, PREDICT_PROBA), renamed.values(), strict=False))
    if PREDICT_PROBA in found and hasattr(estimator, "classes_") and predicts_by_probability(estimator):
        found[PREDICT] = _labels(graph, np.asarray(estimator.classes_), found[PREDICT_PROBA])
    del graph.output[:]
    for spec in specs:
        if spec.name not in found:
            raise _not_compiled(f"the graph gives no {spec.name}")
        _output(graph, spec, found[spec.name])


def _labels(graph: Any, classes: Any, probability: str) -> str:
    """The class of the greatest probability, the first of equal ones, as scikit-learn says it."""
    plain = classes.astype(object) if classes.dtype.kind in "US" else classes
    graph.initializer.append(numpy_helper.from_array(plain, "charkh_classes"))
    graph.node.append(helper.make_node("ArgMax", [probability], ["charkh_greatest"], axis=1, keepdims=0))
    graph.node.append(helper.make_node("Gather", ["charkh_classes", "charkh_greatest"], ["charkh_label"]))
    return "charkh_label"


def _output(graph: Any, spec: TensorSpec, source: str) -> None:
    width = list(spec.shape[1:])
    shape = f"charkh_shape_{spec.name}"
    graph.initializer.append(numpy_helper.from_array(np.array([-1, *width], np.int64), shape))
    shaped = spec.name if spec.datatype == "BYTES" else f"charkh_shaped_{spec.name}"
    graph.node.append(helper.make_node("Reshape", [source, shape], [shaped]))
    if spec.datatype != "BYTES":
        graph.node.append(helper.make_node("Cast", [shaped], [spec.name], to=_ELEMENT[spec.datatype]))
    element = _ELEMENT.get(spec.datatype, TensorProto.STRING)
    graph.output.append(helper.make_tensor_value_info(spec.name, element, [None, *width]))


def _not_compiled(why: str) -> Invalid:
    return Invalid(
        f"the model cannot be compiled: {why}",
        code="model.not_compiled",
        hint="The original goes on being served; nothing needs to be done.",
    )


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
