"""From a graph and its models to one model: what it takes, what it gives, and how it is asked.

What cannot work is refused here, before the first request: the steps are tried on two rows of nothing, with models
that say zero.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from charkh.core.errors import CharkhError, Invalid
from charkh.core.expressions import columns_of, parse_expression
from charkh.core.gaps import has_gaps
from charkh.core.graph_settings import (
    ChainNode,
    CombinerNode,
    Graph,
    ModelNode,
    Node,
    RouterNode,
    TransformerNode,
)
from charkh.endpoints.graphs.routing import route
from charkh.endpoints.graphs.steps import change, combine, concat
from charkh.endpoints.inputs import dtype_of
from charkh.endpoints.wire import datatype_of
from charkh.ports.runtimes import Signature, Tensors, TensorSpec

Ask = Callable[[Tensors], Tensors]
_NUMBERS = ("FP64", "FP32", "FP16", "BF16", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8")
_log = logging.getLogger("charkh")


class Part(NamedTuple):
    """A model, or a graph that answers like one.

    Threads: `predict` may be called from several at once.
    """

    predict: Ask
    signature: Signature


class _Known(NamedTuple):
    """The tensors that a node can be given: `names` of answers before it, None where a recipe made any columns."""

    names: frozenset[str] | None
    asks: bool = True
    """Whether what is not among them may be asked of the request."""


class _Step(NamedTuple):
    run: Ask
    gives: "Tensors | None"
    """Its answer about two rows of nothing; None where recipes alone know it."""


def compile_graph(
    graph: Graph,
    models: Mapping[str, Part],
    prepare: Callable[[Sequence[str]], Ask] | None = None,
    raw: Signature | None = None,
) -> Part:
    """One model made of all that the graph reaches.

    Args:
        graph: which nodes, and how they hang together.
        models: by reference, every model that `models_of(graph)` names.
        prepare: by references of recipes, what they make of a request's tensors.
        raw: what a request holds; needed with recipes, and for columns that no model takes.

    Raises:
        Invalid: the models do not fit together, or what a request holds cannot be known.
    """
    compiler = _Compiler(graph, models, prepare, raw)
    root = compiler.step(graph.root, _Known(frozenset()))
    if root.gives is None:
        raise _wrong(graph.root, "is the answer and ends in a recipe", "End the graph in a model.")
    outputs = tuple(
        TensorSpec(name=name, datatype=datatype_of(np.asarray(tensor)), shape=(-1, *tensor.shape[1:]))
        for name, tensor in root.gives.items()
    )
    return Part(root.run, Signature(inputs=compiler.inputs(), outputs=outputs))


class _Compiler:
    def __init__(
        self,
        graph: Graph,
        models: Mapping[str, Part],
        prepare: Callable[[Sequence[str]], Ask] | None,
        raw: Signature | None,
    ) -> None:
        self._graph = graph
        self._models = models
        self._prepare = prepare
        self._raw = raw
        models_only = [node for node in graph.node.values() if isinstance(node, ModelNode)]
        self._qualified = {source for node in models_only for source in node.inputs.values() if "." in source}
        self._needs: dict[str, TensorSpec] = {}
        self._columns: dict[str, str] = {}

    def inputs(self) -> tuple[TensorSpec, ...]:
        """What a request holds."""
        if self._raw is not None:
            known = {spec.name for spec in self._raw.inputs}
            missing = next((name for name in (*self._needs, *self._columns) if name not in known), None)
            if missing is not None:
                raise _wrong(self._graph.root, f"needs {missing!r}, which the example lacks", "Add it to the example.")
            return self._raw.inputs
        for column, node in self._columns.items():
            if column not in self._needs:
                raise _wrong(
                    node,
                    f"looks at {column!r}, which no model takes, so that nobody knows its type",
                    'Name a dataset whose rows look like a request: example = "DATASET".',
                )
        return tuple(self._needs.values())

    def step(self, name: str, known: _Known) -> _Step:
        node: Node = self._graph.node[name]
        match node:
            case ModelNode():
                return self._model(name, node, known)
            case ChainNode():
                return self._chain(node, known)
            case CombinerNode():
                return self._combiner(node, known)
            case RouterNode():
                return self._router(name, node, known)
            case TransformerNode():
                return self._transformer(name, node, known)

    def _model(self, name: str, node: ModelNode, known: _Known) -> _Step:
        part = self._models[node.model]
        taken = {spec.name for spec in part.signature.inputs}
        for given in node.inputs:
            if given not in taken:
                raise _wrong(name, f"maps an input {given!r}", f"{node.model} takes {', '.join(sorted(taken))}.")
        sources = [(spec, node.inputs.get(spec.name, spec.name)) for spec in part.signature.inputs]
        for spec, source in sources:
            self._need(name, source, spec, known)
        renamed = node.outputs

        def run(given: Tensors) -> Tensors:
            answer = part.predict({spec.name: _fitting(spec, source, given, name) for spec, source in sources})
            return {renamed.get(output, output): tensor for output, tensor in answer.items()} if renamed else answer

        gives = {renamed.get(spec.name, spec.name): _nothing(spec) for spec in part.signature.outputs}
        return _Step(run, gives)

    def _need(self, node: str, source: str, spec: TensorSpec | None, known: _Known) -> None:
        """Note that a tensor has to come from the request, where nothing before gives it."""
        if known.names is None or source in known.names:
            return
        if not known.asks:
            has = ", ".join(sorted(each for each in known.names if "." not in each)) or "nothing"
            raise _wrong(node, f"takes {source!r}, which is not among what it is given", f"It is given {has}.")
        name = source.removeprefix("request.")
        if spec is None:
            self._columns.setdefault(name, node)
            return
        wanted = TensorSpec(name=name, datatype=spec.datatype, shape=spec.shape, optional=spec.optional)
        before = self._needs.get(name)
        self._needs[name] = wanted if before is None else _both(before, wanted, node)

    def _chain(self, node: ChainNode, known: _Known) -> _Step:
        steps: list[tuple[str, str, Ask]] = []
        names, last = known.names, known
        gave: dict[str, Tensors | None] = {}
        for each in node.steps:
            takes = node.takes.get(each, "all")
            step = self.step(each, {"all": _Known(names, known.asks), "answer": last, "request": known}[takes])
            steps.append((each, takes, step.run))
            gave[each] = step.gives
            if step.gives is None:
                names, last = None, _Known(None)
            else:
                last = _Known(frozenset(step.gives), asks=False)
                qualified = {f"{each}.{output}" for output in step.gives}
                names = None if names is None else names | set(step.gives) | qualified
        answers = node.answers or node.steps[-1:]
        known_answers = [(each, gave[each]) for each in answers]
        unknown = any(gives is None for _, gives in known_answers)
        gives = None if unknown else concat([(each, gives) for each, gives in known_answers if gives is not None])
        return _Step(_chained(steps, answers, self._qualified), gives)

    def _combiner(self, node: CombinerNode, known: _Known) -> _Step:
        steps = [(each, self.step(each, known)) for each in node.of]
        gives = [(each, step.gives) for each, step in steps if step.gives is not None]
        runs = [(each, step.run) for each, step in steps]
        spared = frozenset(node.of if node.how == "first" else node.optional)

        def run(given: Tensors) -> Tensors:
            answers = _asked(runs, given, spared, first=node.how == "first")
            weights = dict(zip(node.of, node.weights, strict=True)) if node.weights else {}
            return combine(answers, node.how, [weights[each] for each, _ in answers] if weights else ())

        return _Step(run, combine(gives, node.how, node.weights) if len(gives) == len(steps) else None)

    def _router(self, name: str, node: RouterNode, known: _Known) -> _Step:
        for case in node.cases:
            for column in columns_of(parse_expression(case.when)):
                self._need(name, column, None, known)
        if node.key:
            self._need(name, node.key, None, known)
        ways = {each: self.step(each, known) for each in _ways(node)}
        gives = [step.gives for step in ways.values()]
        if any(each is not None and set(each) != set(gives[0] or each) for each in gives):
            said = "; ".join(f"{each} gives {', '.join(step.gives or ())}" for each, step in ways.items())
            raise _wrong(name, f"leads to nodes with different outputs: {said}", "Rename or drop outputs.")
        return _Step(route(name, node, {each: step.run for each, step in ways.items()}), gives[0])

    def _transformer(self, name: str, node: TransformerNode, known: _Known) -> _Step:
        prepared: Ask | None = None
        if node.recipes:
            if self._prepare is None or self._raw is None:
                hint = 'Name a dataset whose rows look like a request: example = "DATASET".'
                raise _wrong(name, "has recipes, and nobody knows what a request holds", hint)
            prepared, known = self._prepare(node.recipes), _Known(None)
        inner = self.step(node.of, known) if node.of else None
        gives = inner.gives if inner is not None else None
        gives = change(gives, node.changes) if gives is not None else None

        def run(given: Tensors) -> Tensors:
            columns = given if prepared is None else prepared(given)
            return change(columns if inner is None else inner.run(columns), node.changes)

        return _Step(run, gives)


def _chained(steps: Sequence[tuple[str, str, Ask]], answers: Sequence[str], qualified: Collection[str]) -> Ask:
    def named(step: str, tensors: Tensors) -> dict[str, Any]:
        """Those that some model asks for by step and name: a table of all of them would be in the way of recipes."""
        return {full: tensor for name, tensor in tensors.items() if (full := f"{step}.{name}") in qualified}

    def run(given: Tensors) -> Tensors:
        whole: dict[str, Any] = {**given, **named("request", given)}
        answer: Tensors = given
        said: dict[str, Tensors] = {}
        for name, takes, ask in steps:
            answer = ask(whole if takes == "all" else answer if takes == "answer" else given)
            said[name] = answer
            whole.update(answer)
            whole.update(named(name, answer))
        return concat([(name, said[name]) for name in answers])

    return run


def _asked(
    runs: Sequence[tuple[str, Ask]], given: Tensors, spared: frozenset[str], *, first: bool
) -> list[tuple[str, Tensors]]:
    """The answers of those that did not fail; of `first` the first alone."""
    answers: list[tuple[str, Tensors]] = []
    failure: Exception | None = None
    for name, run in runs:
        try:
            answers.append((name, run(given)))
        except Exception as error:
            if name not in spared:
                raise
            if not isinstance(error, CharkhError):
                _log.warning("the optional node %s failed: %s", name, error)
            failure = error
            continue
        if first:
            break
    if not answers and failure is not None:
        raise failure
    return answers


def _ways(node: RouterNode) -> list[str]:
    return list(dict.fromkeys([*(case.to for case in node.cases), *node.weights, *filter(None, [node.default])]))


def _fitting(spec: TensorSpec, source: str, given: Tensors, node: str) -> Any:
    tensor = given.get(source)
    if tensor is None and source.startswith("request."):
        tensor = given.get(source.removeprefix("request."))
    if tensor is None:
        raise Invalid(
            f"the node {node!r} takes {source!r}, and it is not there",
            code="graph.missing_input",
            hint=f"There are: {', '.join(name for name in given if '.' not in name)}.",
        )
    wanted = dtype_of(spec)
    if tensor.dtype == wanted or tensor.dtype.kind == "O" or wanted.kind == "O":
        return tensor
    if wanted.kind in "iu" and tensor.dtype.kind == "f":
        if spec.optional and has_gaps(tensor):
            return tensor
        if not np.array_equal(tensor, np.floor(tensor)):
            raise Invalid(f"{source!r} has numbers that are not whole, which {node!r} cannot take", code="graph.input")
    return tensor.astype(wanted)


def _nothing(spec: TensorSpec) -> Any:
    shape = (2, *(max(1, size) for size in spec.shape[1:]))
    dtype = dtype_of(spec)
    return np.full(shape, "", object) if dtype.kind == "O" else np.zeros(shape, dtype)


def _both(one: TensorSpec, other: TensorSpec, node: str) -> TensorSpec:
    """What suits two models that read the same tensor."""
    datatype = one.datatype
    if one.datatype != other.datatype:
        if one.datatype not in _NUMBERS or other.datatype not in _NUMBERS:
            raise _wrong(
                node,
                f"takes {one.name!r} as {other.datatype}, and another node takes it as {one.datatype}",
                'Give one of them another input: inputs = { NAME = "TENSOR" }.',
            )
        datatype = "FP64"
    if one.shape != other.shape:
        raise _wrong(node, f"takes {one.name!r} as {list(other.shape)}, and another as {list(one.shape)}", "Map it.")
    optional = one.optional and other.optional
    return TensorSpec(name=one.name, datatype=datatype, shape=one.shape, optional=optional)


def _wrong(node: str, what: str, hint: str) -> Invalid:
    return Invalid(f"the node {node!r} {what}", code="graph.invalid", hint=hint)
