"""Send each row of a request to the node that its columns, its key or chance names."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from charkh.core.errors import Invalid
from charkh.core.expressions import columns_of, parse_expression
from charkh.core.graph_settings import RouterNode
from charkh.datasets.expressions import compile_condition
from charkh.endpoints.graphs.frames import request_frame
from charkh.endpoints.graphs.steps import hashed_shares, scatter
from charkh.ports.runtimes import Tensors, row_count

Ask = Callable[[Tensors], Tensors]


def route(name: str, node: RouterNode, ways: Mapping[str, Ask]) -> Ask:
    """One node of several: each is asked about its own rows, once, and the answers stand in the request's order.

    Args:
        name: of the router, for errors.
        node: how rows are sent.
        ways: by name, the nodes that it leads to.
    """
    columns = tuple(dict.fromkeys(column for case in node.cases for column in columns_of(parse_expression(case.when))))

    def run(given: Tensors) -> Tensors:
        rows = row_count(given)
        chosen = np.full(rows, -1)
        targets = list(ways)
        if node.cases:
            frame = request_frame({column: given[column] for column in columns})
            for case in reversed(node.cases):
                true = frame.select(compile_condition(case.when, frame.schema).fill_null(value=False).alias("true"))
                chosen[true["true"].to_numpy()] = targets.index(case.to)
        _share_out(node, given, chosen, targets)
        if (chosen < 0).any():
            raise Invalid(
                f"row {int(np.argmax(chosen < 0))} goes nowhere at the router {name!r}",
                code="graph.no_way",
                hint='Give the router a default: default = "NODE".',
            )
        return _asked(given, chosen, targets, ways, rows)

    return run


def _share_out(node: RouterNode, given: Tensors, chosen: npt.NDArray[Any], targets: list[str]) -> None:
    left = chosen < 0
    if not left.any():
        return
    if not node.weights:
        chosen[left] = targets.index(node.default) if node.default else -1
        return
    limits = np.cumsum(list(node.weights.values())) / sum(node.weights.values())
    limits[-1] = 1.0
    # Without a key the rows of a request stay together: that is one question to one model.
    drawn = hashed_shares(given[node.key]) if node.key else np.full(len(chosen), random.random())  # noqa: S311
    ways = np.array([targets.index(way) for way in node.weights])
    chosen[left] = ways[np.searchsorted(limits, drawn[left], side="right")]


def _asked(given: Tensors, chosen: npt.NDArray[Any], targets: list[str], ways: Mapping[str, Ask], rows: int) -> Tensors:
    used = np.unique(chosen)
    if len(used) <= 1:
        return ways[targets[int(used[0])] if len(used) else targets[0]](given)
    parts: list[tuple[npt.NDArray[Any], Tensors]] = []
    for number in used:
        where = np.flatnonzero(chosen == number)
        parts.append((where, ways[targets[int(number)]]({name: tensor[where] for name, tensor in given.items()})))
    return scatter(parts, rows)
