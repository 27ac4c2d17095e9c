"""Verify the node arrays of loaded trees before anything predicts with them.

scikit-learn's compiled predictors follow child and feature numbers without bounds checks
(scikit-learn pull request 34558; skops leaves `Tree` and `TreePredictor` untrusted for it), so a crafted
file of listed types could read outside its arrays or never reach a leaf. Children must lie behind their
parent, which also makes every walk end.
"""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder
from sklearn.tree._classes import BaseDecisionTree
from sklearn.tree._tree import Tree as _Tree  # pyright: ignore[reportUnknownVariableType]

Tree: type[Any] = cast(Any, _Tree)
LEAF = -1
_LEAVES = (str, bytes, int, float, type, type(None))


def tree_reasons(estimator: object) -> tuple[str, ...]:
    """What is wrong with the trees anywhere in a loaded estimator; empty when they are sound."""
    reasons: list[str] = []
    owned: set[int] = set()
    for part in parts_of(estimator):
        if isinstance(part, BaseDecisionTree):
            owned.add(id(getattr(part, "tree_", None)))
            reasons += _decision_tree(part)
        elif isinstance(part, BaseForest):
            reasons += _same_width(part, list(cast(Any, part).estimators_))
        elif isinstance(part, BaseGradientBoosting):
            reasons += _gradient_boosting(part)
        elif isinstance(part, BaseHistGradientBoosting):
            owned.update(id(tree) for row in cast(Any, part)._predictors for tree in row)
            reasons += _histogram_trees(part)
    strays = [part for part in parts_of(estimator) if isinstance(part, Tree | TreePredictor) and id(part) not in owned]
    if strays:
        reasons.append("a tree stands outside any estimator that says how wide its rows are")
    return tuple(dict.fromkeys(reasons))


def parts_of(root: object) -> Iterator[Any]:
    """Everything reachable through attributes and containers, once."""
    seen: set[int] = set()
    stack: list[Any] = [root]
    while stack:
        value = stack.pop()
        if id(value) in seen or isinstance(value, _LEAVES):
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, dict):
            stack.extend(cast(dict[Any, Any], value).values())
        elif isinstance(value, list | tuple | set | frozenset):
            stack.extend(cast(list[Any], value))
        elif isinstance(value, np.ndarray):
            array = cast(npt.NDArray[Any], value)
            stack.extend(array.ravel().tolist() if array.dtype == object else ())
        else:
            stack.extend(getattr(value, "__dict__", {}).values())


def _decision_tree(estimator: Any) -> Iterator[str]:
    if not hasattr(estimator, "tree_"):
        return  # The unfitted prototype of a forest.
    tree = estimator.tree_
    if not isinstance(tree, Tree):
        yield "a decision tree has no tree"
        return
    if not 0 < tree.node_count <= tree.capacity:
        yield "a decision tree claims nodes that it does not have"
        return
    inner = tree.children_left != LEAF
    yield from _children(tree.children_left, tree.children_right, inner)
    if _outside(tree.feature[inner], int(estimator.n_features_in_)):
        yield "a decision tree splits on a feature that its rows do not have"


def _same_width(owner: Any, members: list[Any]) -> Iterator[str]:
    width = int(owner.n_features_in_)
    fits = [
        isinstance(each, BaseDecisionTree) and hasattr(each, "tree_") and cast(Any, each).n_features_in_ == width
        for each in members
    ]
    if not members or not all(fits):
        yield "the trees of a forest do not take the rows that the forest takes"


def _gradient_boosting(estimator: Any) -> Iterator[str]:
    stages: Any = estimator.estimators_
    if not isinstance(stages, np.ndarray) or cast(Any, stages).ndim != 2:
        yield "the stages of a gradient boosting are not a table"
        return
    trees = cast(list[Any], cast(Any, stages).ravel().tolist())
    problems = list(_same_width(estimator, trees))
    yield from problems
    problems += [reason for each in trees for reason in _decision_tree(each)] if not problems else []
    if not problems:
        start = estimator._raw_predict_init(np.zeros((1, int(estimator.n_features_in_)), np.float32))
        if start.dtype != np.float64 or start.shape != (1, cast(Any, stages).shape[1]):
            yield "the stages of a gradient boosting do not fit its first prediction"


def _histogram_trees(estimator: Any) -> Iterator[str]:
    categorical = np.asarray(estimator._bin_mapper.is_categorical_) != 0
    if categorical.shape != (_preprocessed_width(estimator),):
        yield "a histogram gradient boosting does not know how wide its rows are"
        return
    for predictor in (tree for row in estimator._predictors for tree in row):
        yield from _histogram_tree(predictor, categorical)


def _preprocessed_width(estimator: Any) -> int:
    """Columns behind the encoder that a histogram gradient boosting puts before its trees; -1 when unknown."""
    preprocessor = estimator._preprocessor
    if preprocessor is None:
        return int(estimator.n_features_in_)
    if not isinstance(preprocessor, ColumnTransformer):
        return -1
    width = 0
    for _name, transformer, columns in cast(Any, preprocessor).transformers_:
        if isinstance(transformer, OrdinalEncoder):
            width += len(cast(Any, transformer).categories_)
        elif isinstance(transformer, FunctionTransformer):
            width += int(np.count_nonzero(np.asarray(columns, bool)))
        elif transformer != "drop":
            return -1
    return width


def _histogram_tree(predictor: Any, categorical: npt.NDArray[np.bool_]) -> Iterator[str]:
    nodes = predictor.nodes
    if not len(nodes):
        yield "a histogram tree has no nodes"
        return
    inner = nodes["is_leaf"] == 0
    features = nodes["feature_idx"][inner]
    yield from _children(nodes["left"], nodes["right"], inner)
    if _outside(features, len(categorical)):
        yield "a histogram tree splits on a feature that its rows do not have"
        return
    by_category = nodes["is_categorical"][inner] != 0
    bitsets = predictor.raw_left_cat_bitsets
    if bitsets.dtype != np.uint32 or bitsets.ndim != 2 or bitsets.shape[1] != 8:
        yield "the categories of a histogram tree are not bit sets"
    elif _outside(nodes["bitset_idx"][inner][by_category], len(bitsets)):
        yield "a histogram tree names a set of categories that it does not have"
    if not categorical[features[by_category]].all():
        yield "a histogram tree splits a number by categories"


def _children(left: npt.NDArray[Any], right: npt.NDArray[Any], inner: npt.NDArray[np.bool_]) -> Iterator[str]:
    parents = np.flatnonzero(inner)
    for children in (left[inner].astype(np.int64), right[inner].astype(np.int64)):
        if (children <= parents).any() or (children >= len(left)).any():
            yield "a tree has a child outside its nodes or before its parent"


def _outside(numbers: npt.NDArray[Any], count: int) -> bool:
    signed = numbers.astype(np.int64)
    return bool(((signed < 0) | (signed >= count)).any())
