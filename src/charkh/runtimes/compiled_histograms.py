"""Histogram-based boosting in a graph: thresholds and leaves in double precision, as scikit-learn asks them.

Other trees of scikit-learn round their rows to single precision before they compare; these do not, so that single
thresholds would send rows between both to the other side. The attributes that hold doubles are those of
TreeEnsembleClassifier-3 and TreeEnsembleRegressor-3 (https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleClassifier.html).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import helper, numpy_helper
from skl2onnx.common import tree_ensemble as conversion
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

HISTOGRAMS = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
_BASE = "_baseline_prediction"
_SINGLE = ("nodes_values", "nodes_hitrates", "base_values", "class_weights", "target_weights")
_DOMAIN, _SINCE = "ai.onnx.ml", 3
Doubles = npt.NDArray[np.float64]


def one_base(part: Any) -> None:
    """Let a histogram-based estimator begin with a plain number, as the conversion expects."""
    base = np.asarray(getattr(part, _BASE))
    if base.size == 1:
        setattr(part, _BASE, float(base.ravel()[0]))


def settle_thresholds(part: Any) -> None:
    """Give thresholds that single precision holds, with the same answers to rows of single precision."""
    for tree in _trees(part):
        exact = tree.nodes["num_threshold"]
        single = exact.astype(np.float32)
        tree.nodes["num_threshold"] = np.where(single > exact, np.nextafter(single, np.float32(-np.inf)), single)


def hold_doubles(model: Any, parts: Iterator[Any]) -> None:
    """Write exact thresholds and leaves into the tree nodes of a graph that takes doubles.

    Args:
        model: the graph with its operator sets, as skl2onnx made it.
        parts: of the estimator; its histogram-based ones are found in the graph by their rounded thresholds.
    """
    exact = [_exact(part) for part in parts if isinstance(part, HISTOGRAMS)]
    for node in model.graph.node:
        held = {each.name: each for each in node.attribute}
        if not node.op_type.startswith("TreeEnsemble") or "nodes_values" not in held:
            continue
        known = np.array(held["nodes_values"].floats, np.float32)
        found = next((each for each in exact if _is_rounded(each["nodes_values"], known)), None)
        if found is None:
            continue
        kept = [each for each in node.attribute if each.name not in _SINGLE]
        made = [
            helper.make_attribute(f"{name}_as_tensor", numpy_helper.from_array(values, f"{name}_as_tensor"))
            for name, values in found.items()
            if name in held
        ]
        del node.attribute[:]
        node.attribute.extend([*kept, *made])
        _raise_operators(model)


def _raise_operators(model: Any) -> None:
    for each in model.opset_import:
        if each.domain == _DOMAIN:
            each.version = max(each.version, _SINCE)


def _exact(part: Any) -> dict[str, Doubles]:
    """Thresholds of all nodes, values of all leaves and the base, in the order in which the conversion writes them."""
    nodes = np.concatenate([tree.nodes for tree in _trees(part)])
    is_leaf = nodes["is_leaf"].astype(bool)
    leaves = nodes["value"][is_leaf].astype(np.float64)
    return {
        "nodes_values": np.where(is_leaf, 0.0, nodes["num_threshold"]),
        "class_weights": leaves,
        "target_weights": leaves,
        "base_values": np.asarray(getattr(part, _BASE), np.float64).ravel(),
    }


def _trees(part: Any) -> Iterator[Any]:
    return (tree for row in part._predictors for tree in row)


def _is_rounded(exact: Doubles, single: npt.NDArray[np.float32]) -> bool:
    return exact.shape == single.shape and bool((exact.astype(np.float32) == single).all())


_add_node: Any = getattr(conversion, "add_node")  # noqa: B009 (the library says no types)


def _whole(*arguments: Any, nodes_missing_value_tracks_true: bool = False, **named: Any) -> None:
    """Say as a whole number where missing values go: skl2onnx 1.20 says it as a boolean, which protobuf 7 refuses."""
    _add_node(*arguments, nodes_missing_value_tracks_true=int(nodes_missing_value_tracks_true), **named)


conversion.add_node = _whole
