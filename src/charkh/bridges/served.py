"""What a manifest comes to here: endpoints as `charkh.toml` would say them, and the models that have to be found.

Shared by the bridges to Seldon, KServe and MLServer.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from charkh.bridges.manifests import bad_manifest
from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.graph_settings import ChainNode, CombinerNode, Graph, ModelNode, Node, RouterNode, TransformerNode
from charkh.core.rollout_settings import RolloutSettings

MODEL = "model"
"""The node of an endpoint that is one model."""


class ModelSource(NamedTuple):
    """A model that a manifest names.

    Attributes:
        name: under which it is registered, where its files are not yet.
        uri: `storageUri`, `modelUri`, or a path.
        runtime: charkh's name of its framework; empty to judge by the files.
        input: what its one input is called, where neither the files nor a declaration say it.
        where: it is named, for errors.
        inputs: declared inputs: name, datatype and shape; empty where there are none.
        outputs: declared outputs, likewise.
    """

    name: str
    uri: str
    runtime: str = ""
    input: str = "input-0"
    where: str = ""
    inputs: tuple[tuple[str, str, tuple[int, ...]], ...] = ()
    outputs: tuple[tuple[str, str, tuple[int, ...]], ...] = ()


Resolve = Callable[[ModelSource], str]
"""The reference of the registered version that a source means, such as `delay@3`; registers it where it is new."""


class Route(NamedTuple):
    """One way of an endpoint: its name, the reference of its model or its graph, and its share of the requests."""

    name: str
    graph: Graph
    share: float = 0.0

    @property
    def model(self) -> str:
        """The reference, where it is one model; empty for a graph."""
        node = self.graph.node.get(self.graph.root)
        return node.model if isinstance(node, ModelNode) and len(self.graph.node) == 1 else ""


def of_model(ref: str) -> Graph:
    """The graph of one model."""
    return Graph(root=MODEL, node={MODEL: ModelNode(model=ref)})


def endpoint(routes: Sequence[Route], where: str, *, mirror: Route | None = None, sticky: str = "") -> EndpointSettings:
    """One endpoint of several ways.

    Two models become a rollout with a fixed share, which is counted and compared; everything else a graph whose router
    gives every row its way.

    Args:
        routes: the first is the champion where there is a mirror or a second model.
        where: for errors.
        mirror: what is asked too, with its share, and answers nobody.
        sticky: header whose equal values stay on one way.

    Raises:
        Invalid: what is mirrored is no single model, or the shares do not fit.
    """
    shares = [route.share for route in routes]
    if len(routes) > 1 and abs(sum(shares) - 100.0) > 1e-6:
        raise bad_manifest(f"{where}: the shares add up to {sum(shares):g}, not 100")
    asked = [route for route in routes if route.share > 0 or len(routes) == 1]
    if mirror is not None and not mirror.model:
        raise bad_manifest(f"{where}: the mirror {mirror.name!r} is a graph", "Mirror to a single model.")
    if mirror is None and len(asked) == 2 and all(route.model for route in asked):
        first, second = asked
        rollout = RolloutSettings(way="ab", candidates={second.name: second.model}, percent=second.share, sticky=sticky)
        return EndpointSettings(model=first.model, rollout=rollout)
    base = _one(asked) if len(asked) == 1 else EndpointSettings(graph=split(asked))
    if mirror is None:
        return base
    rollout = RolloutSettings(way="shadow", candidates={mirror.name: mirror.model}, percent=mirror.share, sticky=sticky)
    return EndpointSettings(model=base.model, graph=base.graph, rollout=rollout)


def split(routes: Sequence[Route]) -> Graph:
    """A graph in which each row goes one of several ways by its share."""
    nodes: dict[str, Node] = {}
    weights: dict[str, float] = {}
    for route in routes:
        nodes |= prefixed(route.graph, route.name)
        weights[f"{route.name}.{route.graph.root}"] = route.share
    return Graph(root="split", node={"split": RouterNode(weights=weights), **nodes})


def prefixed(graph: Graph, prefix: str) -> dict[str, Node]:
    """The nodes of a graph under names that begin with `PREFIX.`, leading to each other as before."""
    names = {name: f"{prefix}.{name}" for name in graph.node}
    return {names[name]: _renamed(node, names) for name, node in graph.node.items()}


def _one(routes: Sequence[Route]) -> EndpointSettings:
    (route,) = routes
    return EndpointSettings(model=route.model) if route.model else EndpointSettings(graph=route.graph)


def _renamed(node: Node, names: Mapping[str, str]) -> Node:
    match node:
        case ChainNode():
            return msgspec.structs.replace(
                node,
                steps=tuple(names[each] for each in node.steps),
                takes={names[each]: takes for each, takes in node.takes.items()},
                answers=tuple(names[each] for each in node.answers),
            )
        case CombinerNode():
            return msgspec.structs.replace(
                node,
                of=tuple(names[each] for each in node.of),
                optional=tuple(names[each] for each in node.optional),
            )
        case RouterNode():
            return msgspec.structs.replace(
                node,
                cases=tuple(msgspec.structs.replace(case, to=names[case.to]) for case in node.cases),
                weights={names[each]: weight for each, weight in node.weights.items()},
                default=names[node.default] if node.default else "",
            )
        case TransformerNode():
            return msgspec.structs.replace(node, of=names[node.of]) if node.of else node
        case ModelNode():
            return node
