"""The graph of a model, from whatever knows it: a GraphDef, PyTorch's own tracer, or the model's own text."""

from __future__ import annotations

import logging
from typing import Any, cast

from charkh.bridges.tensorboard.media import GRAPH_MIME, Item

_log = logging.getLogger("charkh")


def graph_item(model: Any, example: Any = None) -> Item:
    """The graph of a model as an item.

    Args:
        model: a GraphDef or something that has one (`graph_def`, `SerializeToString`), or a module of PyTorch.
        example: what the module is called with, so that it can be traced.
    """
    message = getattr(model, "graph_def", model)
    encode = getattr(message, "SerializeToString", None)
    if callable(encode):
        data: Any = encode()
        return Item("graph", "graph", GRAPH_MIME, bytes(data), {})
    traced = _traced(model, example)
    if traced is not None:
        return Item("graph", "graph", GRAPH_MIME, traced, {})
    text = str(model)[:1_000_000]
    return Item("graph", "text", "text/plain; charset=utf-8", text.encode("utf-8", "replace"), {})


def _traced(model: Any, example: Any) -> bytes | None:
    if example is None:
        return None
    try:
        # PyTorch's tracer needs TensorBoard's messages; where either is missing, the model's text is kept.
        from torch.utils.tensorboard._pytorch_graph import graph  # pyright: ignore

        found: Any = cast(Any, graph)(model, example)
        return bytes(found[0].SerializeToString())
    except ImportError as error:
        _log.warning("the graph of %s is kept as text: %s", type(model).__name__, error)
    except RuntimeError as error:
        _log.warning("%s cannot be traced, its text is kept: %s", type(model).__name__, error)
    return None
