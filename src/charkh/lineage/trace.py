"""Walk from a subject to its origins, or to what was made from it, and describe every stop.

Reading order is depth first; each subject stands once, under the nearest way to it.
"""

from collections.abc import Mapping, Sequence

import msgspec

from charkh.core.events import Edge
from charkh.core.refs import parse_subject
from charkh.lineage.index import FactsAbout, KnownFact, Walk
from charkh.ports.projections import Describe
from charkh.ports.store import Store

MAX_NODES = 200
MAX_DEPTH = 50
EDGES_A_NODE = 20
"""Edges that are walked for each node that may be shown."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One stop of a trace.

    Attributes:
        subject: `noun:id`.
        depth: edges from the start, which has 0.
        relation: relation of the edge that leads here; empty at the start.
        via: the stop that the edge leads from; empty at the start.
        title: how its noun calls it; the subject itself where nobody describes it.
        lines: labelled lines of that description.
        facts: the newest facts about it, by name.
        also: further edges between this stop and subjects that stand elsewhere in the trace.
    """

    subject: str
    depth: int = 0
    relation: str = ""
    via: str = ""
    title: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    facts: tuple[KnownFact, ...] = ()
    also: tuple[Edge, ...] = ()

    @property
    def noun(self) -> str:
        """The noun of the subject."""
        return self.subject.partition(":")[0]


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Stops in reading order, the start first.

    Attributes:
        subject: where it starts.
        toward: `origin` or `outcome`.
        nodes: the stops.
        cut: there is more than was walked.
    """

    subject: str
    toward: str
    nodes: tuple[Node, ...]
    cut: bool = False

    def of(self, noun: str) -> tuple[Node, ...]:
        """The stops of one noun, in reading order."""
        return tuple(node for node in self.nodes if node.noun == noun)


def trace(store: Store, subject: str, *, max_nodes: int = MAX_NODES, max_depth: int = MAX_DEPTH) -> Trace:
    """What `subject` was made from, and what that was made from, to the first origins.

    A subject that nothing is known about gives a trace of itself alone.

    Args:
        store: where the facts are.
        subject: `noun:id`.
        max_nodes: how many stops are shown at most, the nearest ones.
        max_depth: how many edges away the walk ends.

    Raises:
        Invalid: the text is no subject.
    """
    return _walked(store, subject, "origin", max_nodes, max_depth)


def impact(store: Store, subject: str, *, max_nodes: int = MAX_NODES, max_depth: int = MAX_DEPTH) -> Trace:
    """What was made from `subject` or says something about it, directly or not; arguments as for `trace`."""
    return _walked(store, subject, "outcome", max_nodes, max_depth)


def describe_node(store: Store, node: Node) -> Node:
    """The node with its title, lines and facts."""
    description = store.queries.ask(Describe(subject=node.subject))
    return msgspec.structs.replace(
        node,
        title=description.title if description is not None else node.subject,
        lines=description.lines if description is not None else (),
        facts=store.queries.ask(FactsAbout(subject=node.subject)),
    )


def _walked(store: Store, subject: str, toward: str, max_nodes: int, max_depth: int) -> Trace:
    start = str(parse_subject(subject))
    bound = max_nodes * EDGES_A_NODE
    reached = store.queries.ask(Walk(subject=start, toward=toward, max_depth=max_depth, max_edges=bound))
    edges = [step.edge for step in reached]
    forward = toward == "origin"
    nearest: dict[str, Node] = {start: Node(subject=start)}
    for step in reached:
        here, there = _ends(step.edge, forward=forward)
        if there not in nearest and len(nearest) < max_nodes:
            nearest[there] = Node(subject=there, depth=step.depth, relation=step.edge.relation, via=here)
    unseen = any(_ends(edge, forward=forward)[1] not in nearest for edge in edges)
    nodes = _in_reading_order(nearest, _further_edges(nearest, edges, forward=forward))
    too_deep = bool(reached) and reached[-1].depth == max_depth
    return Trace(
        subject=start,
        toward=toward,
        nodes=tuple(describe_node(store, node) for node in nodes),
        cut=unseen or len(reached) >= bound or (too_deep and _goes_on(store, nodes, max_depth, toward)),
    )


def _ends(edge: Edge, *, forward: bool) -> tuple[str, str]:
    return (edge.source, edge.target) if forward else (edge.target, edge.source)


def _further_edges(nearest: Mapping[str, Node], edges: Sequence[Edge], *, forward: bool) -> dict[str, list[Edge]]:
    """By the stop that they start from, the edges beside the one that each stop stands under."""
    further: dict[str, list[Edge]] = {}
    for edge in edges:
        here, there = _ends(edge, forward=forward)
        known = nearest.get(there)
        if known is not None and here in nearest and (known.via, known.relation) != (here, edge.relation):
            further.setdefault(here, []).append(edge)
    return further


def _in_reading_order(nearest: Mapping[str, Node], further: Mapping[str, Sequence[Edge]]) -> list[Node]:
    children: dict[str, list[Node]] = {}
    for node in nearest.values():
        if node.via:
            children.setdefault(node.via, []).append(node)
    ordered: list[Node] = []
    waiting = [next(iter(nearest.values()))]
    while waiting:
        node = waiting.pop()
        ordered.append(msgspec.structs.replace(node, also=tuple(further.get(node.subject, ()))))
        waiting += reversed(children.get(node.subject, []))
    return ordered


def _goes_on(store: Store, nodes: Sequence[Node], depth: int, toward: str) -> bool:
    """Whether an edge leads on from one of the deepest stops to a subject that is not among the stops."""
    known = {node.subject for node in nodes}
    for node in nodes:
        if node.depth == depth:
            steps = store.queries.ask(Walk(subject=node.subject, toward=toward, max_depth=1))
            if any(_ends(step.edge, forward=toward == "origin")[1] not in known for step in steps):
                return True
    return False
