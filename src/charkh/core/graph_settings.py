"""What `charkh.toml` says about a graph of models behind one endpoint: `[endpoint.NAME.graph]`. Pure data, no I/O.

[endpoint.delay.graph]
root = "by_region"

[endpoint.delay.graph.node.by_region]
kind = "router"
cases = [{ when = "region == 'EU'", to = "eu" }]
default = "both"

[endpoint.delay.graph.node.eu]
kind = "model"
model = "delay-eu@champion"
"""

import math
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from charkh.core.errors import Invalid
from charkh.core.expressions import parse_expression

MAX_NODES = 200

Takes = Literal["all", "answer", "request"]
"""What a step of a chain is given: the request and all answers so far, the last answer alone, or the request alone."""
How = Literal["mean", "median", "least", "greatest", "vote", "weighted", "concat", "first"]


class ModelNode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="model", tag_field="kind"):
    """A registered model.

    Attributes:
        model: which, such as `delay@champion`.
        inputs: by the model's input, the tensor that it is read from, where the names differ.
        outputs: by the model's output, the name that it has afterwards, where it is to have another.
    """

    model: str
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}


class ChainNode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="chain", tag_field="kind"):
    """One node after another.

    Attributes:
        steps: names of nodes, in order.
        takes: by step, what it is given; `all` by default, in which a later answer hides an earlier tensor of its
            name, and every tensor is known as STEP.NAME and request.NAME too.
        answers: the steps that answer, each output by its name (STEP_NAME where several have it); the last by default.
    """

    steps: tuple[str, ...]
    takes: dict[str, Takes] = {}
    answers: tuple[str, ...] = ()


class CombinerNode(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="combiner", tag_field="kind"
):
    """Several nodes of the same request, and one answer.

    Attributes:
        of: names of nodes.
        how: `mean`, `median`, `least`, `greatest` and `weighted` of numbers; `vote` of labels (a tie goes to the label
            that the earlier node said); `concat` keeps every output, and one whose name several have is called
            NODE_OUTPUT; `first` gives the first node that did not fail.
        weights: for `weighted` and `vote`, one for each node.
        optional: nodes that may fail without failing the request; then the others decide.
    """

    of: tuple[str, ...]
    how: How = "mean"
    weights: tuple[float, ...] = ()
    optional: tuple[str, ...] = ()


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows that go one way: `when` is a condition over the request's columns (docs/formats/recipes.md)."""

    when: str
    to: str


class RouterNode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="router", tag_field="kind"):
    """Each row goes to one node: the first case that is true of it, else its share of `weights`, else `default`.

    Attributes:
        cases: conditions, in order.
        weights: by node, its share of the rows that no case takes.
        key: the column whose equal values go the same way under `weights`; by chance where it is empty.
        default: the node of all other rows; a row that goes nowhere is refused.
    """

    cases: tuple[Case, ...] = ()
    weights: dict[str, float] = {}
    key: str = ""
    default: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change of an answer.

    Attributes:
        op: `rename` (to), `drop`, `keep`, `softmax`, `argmax`, `scale` (by, plus), `clip` (low, high),
            `threshold` (at; 1 from there on, else 0), `round` (digits), `labels` (labels by number).
        output: which output.
        to: name of the result; the output's own by default.
        by: factor of `scale`.
        plus: what `scale` adds.
        low: least value of `clip`.
        high: greatest value of `clip`.
        at: of `threshold`.
        digits: of `round`.
        labels: of `labels`.
    """

    op: Literal["rename", "drop", "keep", "softmax", "argmax", "scale", "clip", "threshold", "round", "labels"]
    output: str
    to: str = ""
    by: float = 1.0
    plus: float = 0.0
    low: float | None = None
    high: float | None = None
    at: float = 0.5
    digits: int = 0
    labels: tuple[str, ...] = ()


class TransformerNode(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="transformer", tag_field="kind"
):
    """Recipes before a node, and changes of its answer after it.

    Attributes:
        of: name of the node; without one, the prepared columns are the answer.
        recipes: recorded recipes, in order; they run here as they ran in training.
        changes: of the answer, in order.
    """

    of: str = ""
    recipes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


Node = ModelNode | ChainNode | CombinerNode | RouterNode | TransformerNode


class Graph(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nodes by name, and the one that a request goes to first; without a root there is no graph.

    A node may be used by several others; none may lead back to itself.
    """

    root: str = ""
    node: dict[str, Node] = {}

    def __bool__(self) -> bool:
        return bool(self.root)


def children(node: Node) -> tuple[str, ...]:
    """The names that a node leads to, in order and without repetition."""
    return tuple(dict.fromkeys(name for name in _named(node) if name))


def models_of(graph: Graph) -> tuple[str, ...]:
    """References of the models that a request can reach, from the root on, each once."""
    found = [node.model for node in _reached(graph) if isinstance(node, ModelNode)]
    return tuple(dict.fromkeys(found))


def recipes_of(graph: Graph) -> tuple[str, ...]:
    """References of the recipes that a request can meet, each once."""
    found = [ref for node in _reached(graph) if isinstance(node, TransformerNode) for ref in node.recipes]
    return tuple(dict.fromkeys(found))


def check_graph(graph: Graph, where: str) -> None:
    """Refuse what cannot be run.

    Args:
        graph: to be checked.
        where: names it in errors.

    Raises:
        Invalid: a name leads nowhere or back to itself, nothing is combined, a weight or a condition is none.
    """
    if not graph:
        if graph.node:
            raise _wrong(where, "has nodes and no root", 'Write root = "NODE".')
        return
    if len(graph.node) > MAX_NODES:
        raise _wrong(where, f"has {len(graph.node)} nodes, more than {MAX_NODES}", "Serve it as several endpoints.")
    _follow(graph, graph.root, (), set(), where)
    for name, node in graph.node.items():
        _check_node(name, node, where)
    if not models_of(graph):
        raise _wrong(where, "reaches no model", 'Write a node with kind = "model".')


def _named(node: Node) -> Iterator[str]:
    match node:
        case ChainNode():
            yield from node.steps
        case CombinerNode():
            yield from node.of
        case RouterNode():
            yield from (case.to for case in node.cases)
            yield from node.weights
            yield node.default
        case TransformerNode():
            yield node.of
        case ModelNode():
            pass


def _reached(graph: Graph) -> Iterator[Node]:
    waiting, seen = [graph.root], set[str]()
    while waiting:
        name = waiting.pop(0)
        if name in seen or name not in graph.node:
            continue
        seen.add(name)
        yield graph.node[name]
        waiting.extend(children(graph.node[name]))


def _follow(graph: Graph, name: str, way: tuple[str, ...], done: set[str], where: str) -> None:
    if name in way:
        raise _wrong(where, f"leads in a circle: {' → '.join((*way[way.index(name) :], name))}", "Break it somewhere.")
    if name not in graph.node:
        known = ", ".join(sorted(graph.node)) or "none"
        raise _wrong(where, f"names a node {name!r} that it does not have", f"Its nodes: {known}.")
    if name in done:
        return
    for child in children(graph.node[name]):
        _follow(graph, child, (*way, name), done, where)
    done.add(name)


def _check_node(name: str, node: Node, where: str) -> None:
    place = f"{where}.node.{name}"
    match node:
        case ChainNode():
            if not node.steps:
                raise _wrong(place, "has no steps", 'Write steps = ["NODE", …].')
            _require(node.takes, node.steps, place, "takes")
            _require(node.answers, node.steps, place, "answers")
        case CombinerNode():
            if not node.of:
                raise _wrong(place, "combines nothing", 'Write of = ["NODE", …].')
            _require(node.optional, node.of, place, "optional")
            _check_weights(node.weights, place)
            if (node.weights or node.how == "weighted") and len(node.weights) != len(node.of):
                raise _wrong(place, f"has {len(node.weights)} weights for {len(node.of)} nodes", "Give one for each.")
        case RouterNode():
            if not node.cases and not node.weights and not node.default:
                raise _wrong(place, "leads nowhere", "Give cases, weights or a default.")
            _check_weights(tuple(node.weights.values()), place)
            for case in node.cases:
                parse_expression(case.when)
        case TransformerNode():
            if not node.of and not node.recipes:
                raise _wrong(place, "transforms nothing", 'Write of = "NODE" or recipes = ["RECIPE"].')
            for change in node.changes:
                _check_change(change, place)
        case ModelNode():
            pass


def _check_change(change: Change, place: str) -> None:
    if change.op == "rename" and not change.to:
        raise _wrong(place, f"renames {change.output!r} to nothing", 'Write to = "NAME".')
    if change.op == "labels" and not change.labels:
        raise _wrong(place, f"has no labels for {change.output!r}", 'Write labels = ["no", "yes"].')
    if change.op == "clip" and change.low is None and change.high is None:
        raise _wrong(place, f"clips {change.output!r} nowhere", "Write low, high or both.")


def _check_weights(weights: tuple[float, ...], place: str) -> None:
    if weights and (any(not math.isfinite(each) or each < 0 for each in weights) or not sum(weights)):
        raise _wrong(place, f"has the weights {list(weights)}", "They are not negative, and one is more than 0.")


def _require(names: Iterable[str], known: tuple[str, ...], place: str, field: str) -> None:
    for name in names:
        if name not in known:
            raise _wrong(
                place, f"says {field} of {name!r}, which is none of its nodes", f"They are {', '.join(known)}."
            )


def _wrong(where: str, what: str, hint: str) -> Invalid:
    return Invalid(f"{where} {what}", code="graph.invalid", hint=hint)
