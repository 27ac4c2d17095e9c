"""What the nodes of a graph do with tensors: combine answers, change them, and send rows different ways. Pure."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from charkh.core.errors import Invalid
from charkh.core.graph_settings import Change
from charkh.ports.runtimes import Tensors

Array = npt.NDArray[Any]
Answers = Sequence[tuple[str, Tensors]]
"""Answers by the node that gave them, in the node's order."""


def combine(answers: Answers, how: str, weights: Sequence[float]) -> Tensors:
    """One answer of several; those that failed are not among them.

    Args:
        answers: at least one.
        how: as `CombinerNode.how`.
        weights: of `weighted` and `vote`, one for each answer; empty for equal ones.

    Raises:
        Invalid: the answers have no output in common, or numbers are wanted and an output has none.
    """
    if how == "first" or len(answers) == 1:
        return answers[0][1]
    if how == "concat":
        return concat(answers)
    shared = [name for name in answers[0][1] if all(name in answer for _, answer in answers)]
    if not shared:
        raise _invalid(f"the nodes {', '.join(name for name, _ in answers)} have no output in common")
    join = _vote if how == "vote" else _numbers(how)
    return {name: join(name, [np.asarray(answer[name]) for _, answer in answers], weights) for name in shared}


def concat(answers: Answers) -> Tensors:
    """Every output of every node; one whose name several have is called NODE_OUTPUT."""
    counts: dict[str, int] = {}
    for _, answer in answers:
        for name in answer:
            counts[name] = counts.get(name, 0) + 1
    return {
        f"{node}_{name}" if counts[name] > 1 else name: tensor
        for node, answer in answers
        for name, tensor in answer.items()
    }


def change(answer: Tensors, changes: Sequence[Change]) -> Tensors:
    """An answer after the changes, in order.

    Raises:
        Invalid: one names an output that is not there, or wants numbers where there are none.
    """
    changed = dict(answer)
    for each in changes:
        if each.output not in changed:
            raise _invalid(f"there is no output {each.output!r} to {each.op}; there are {', '.join(changed)}")
        if each.op == "keep":
            changed = {each.to or each.output: changed[each.output]}
            continue
        tensor = changed.pop(each.output) if each.op in {"rename", "drop"} else changed[each.output]
        if each.op == "drop":
            continue
        changed[each.to or each.output] = tensor if each.op == "rename" else _changed(np.asarray(tensor), each)
    return changed


def hashed_shares(column: Array) -> Array:
    """For each cell a number in [0, 1) that depends on its value alone (BLAKE2b), so that equal cells go one way."""
    cells: list[Any] = column.tolist()
    known = {cell: hashed_share(_text(cell)) for cell in set(map(_hashable, cells))}
    return np.array([known[_hashable(cell)] for cell in cells], dtype=np.float64)


def hashed_share(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=7).digest()) / 2**56


def scatter(parts: Sequence[tuple[Array, Tensors]], rows: int) -> Tensors:
    """Answers about some rows each, put back in the order of the request.

    Args:
        parts: which rows, and the answer about them; together they are all rows.
        rows: of the request.

    Raises:
        Invalid: the ways that rows went give different outputs.
    """
    names = list(parts[0][1])
    for _, answer in parts[1:]:
        if set(answer) != set(names):
            raise _invalid(f"the ways of a router give {', '.join(names)} and {', '.join(answer)}")
    return {name: _scattered([(where, np.asarray(answer[name])) for where, answer in parts], rows) for name in names}


def _scattered(parts: Sequence[tuple[Array, Array]], rows: int) -> Array:
    shapes = {part.shape[1:] for _, part in parts}
    if len(shapes) > 1:
        raise _invalid(f"the ways of a router give rows of the shapes {sorted(shapes)}")
    dtype = np.result_type(*(part.dtype for _, part in parts)) if all(_is_number(p) for _, p in parts) else object
    whole = np.empty((rows, *shapes.pop()), dtype=dtype)
    for where, part in parts:
        whole[where] = part
    return whole


def _numbers(how: str) -> Callable[[str, list[Array], Sequence[float]], Array]:
    folds: Mapping[str, Callable[..., Array]] = {
        "mean": np.mean,
        "median": np.median,
        "least": np.min,
        "greatest": np.max,
    }

    def join(name: str, tensors: list[Array], weights: Sequence[float]) -> Array:
        if not all(_is_number(tensor) for tensor in tensors):
            raise _invalid(f"the output {name!r} has no numbers, so it has no {how}; combine labels by vote")
        if len({tensor.shape for tensor in tensors}) > 1:
            raise _invalid(f"the output {name!r} has the shapes {sorted({tensor.shape for tensor in tensors})}")
        stack = np.stack([tensor.astype(np.float64) for tensor in tensors])
        if how == "weighted":
            return np.average(stack, axis=0, weights=weights)
        return folds[how](stack, axis=0)

    return join


def _vote(_name: str, tensors: list[Array], weights: Sequence[float]) -> Array:
    """The label with the greatest weight for each cell; of equal ones the one that an earlier node said."""
    each = list(weights) or [1.0] * len(tensors)
    flat = [tensor.ravel().tolist() for tensor in tensors]
    said = [_elected(cells, each) for cells in zip(*flat, strict=True)]
    kind = np.result_type(*(t.dtype for t in tensors)) if all(_is_number(t) for t in tensors) else np.dtype(object)
    elected = np.empty(len(said), dtype=kind)
    elected[:] = said
    return elected.reshape(tensors[0].shape)


def _elected(cells: Sequence[Any], weights: Sequence[float]) -> Any:
    totals: dict[Any, float] = {}
    for cell, weight in zip(cells, weights, strict=True):
        totals[cell] = totals.get(cell, 0.0) + weight
    return max(totals, key=lambda cell: totals[cell])


def _changed(tensor: Array, each: Change) -> Array:
    if each.op == "labels":
        numbers = tensor.astype(np.int64)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= len(each.labels)):
            raise _invalid(f"the output {each.output!r} has a number without a label")
        return np.array(each.labels, dtype=object)[numbers]
    if not _is_number(tensor):
        raise _invalid(f"the output {each.output!r} has no numbers to {each.op}")
    if each.op == "argmax":
        return tensor.argmax(axis=-1) if tensor.ndim > 1 else tensor
    if each.op == "threshold":
        return (tensor >= each.at).astype(np.int64)
    if each.op == "clip":
        return np.clip(tensor, each.low, each.high)
    if each.op == "round":
        return np.round(tensor.astype(np.float64), each.digits)
    if each.op == "scale":
        return tensor.astype(np.float64) * each.by + each.plus
    raised = np.exp(tensor - tensor.max(axis=-1, keepdims=True)) if tensor.ndim > 1 else 1 / (1 + np.exp(-tensor))
    return raised / raised.sum(axis=-1, keepdims=True) if tensor.ndim > 1 else raised


def _is_number(tensor: Array) -> bool:
    return tensor.dtype.kind in "biuf"


def _hashable(cell: Any) -> Any:
    return tuple(map(_hashable, cast(list[Any], cell))) if isinstance(cell, list) else cell


def _text(cell: Any) -> str:
    return cell.decode("utf-8", "surrogateescape") if isinstance(cell, bytes) else str(cell)


def _invalid(message: str) -> Invalid:
    return Invalid(message, code="graph.cannot_run", hint="`charkh endpoint show` says what each model gives.")
