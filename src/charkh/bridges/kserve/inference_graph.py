"""InferenceGraph (serving.kserve.io/v1alpha1) as a graph of models: Sequence, Splitter, Ensemble and Switch.

A condition of a Switch is the part of GJSON that asks rows by one field: `[@this].#(origin=="EWR")`.
"""

import re
from collections.abc import Mapping
from typing import cast

from charkh.bridges.manifests import Fields, Manifest, Notes, bad_manifest
from charkh.bridges.served import prefixed
from charkh.core.graph_settings import Case, ChainNode, CombinerNode, Graph, Node, RouterNode, Takes

API = ("serving.kserve.io/v1alpha1",)
KINDS = ("Sequence", "Splitter", "Ensemble", "Switch")
ROOT = "root"
_CONDITION = re.compile(
    r"\s*(?:\[@this\]\.|instances\.|\[@this\]\.instances\.)?#\(\s*(?P<field>[A-Za-z_]\w*)\s*(?P<op>==|!=|<=|>=|<|>)\s*"
    r"(?:\"(?P<text>[^\"\\]*)\"|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>true|false))\s*\)#?\s*"
)


def read_graph(manifest: Manifest, notes: Notes, services: Mapping[str, Graph]) -> Graph:
    """The graph that an InferenceGraph means.

    Args:
        manifest: of that kind.
        notes: takes the warnings.
        services: by name, what the InferenceServices of the same files are.

    Raises:
        Invalid: a field is unknown, a name leads nowhere, or something cannot be honoured here.
    """
    spec = Fields(manifest.spec, f"{manifest.where}: spec", notes)
    spec.cluster_only("resources", "affinity", "tolerations", "nodeSelector", "minReplicas", "maxReplicas")
    spec.cluster_only("scaleTarget", "scaleMetric", "serviceAccountName", "routerTimeouts")
    if "timeout" in spec:
        spec.whole("timeout")
        notes.add(f"{spec.path}.timeout: deadlines are those of the endpoint and of its clients")
    written = spec.within("nodes")
    names = list(_names(manifest))
    reader = _Reader(names, services, notes)
    for name in names:
        reader.add(name, written.within(name))
    written.end()
    spec.end()
    if ROOT not in names:
        raise bad_manifest(f"{manifest.where}: spec.nodes has no {ROOT!r}")
    return Graph(root=ROOT, node=reader.nodes)


class _Reader:
    """Gathers the nodes of one graph."""

    def __init__(self, names: list[str], services: Mapping[str, Graph], notes: Notes) -> None:
        self.nodes: dict[str, Node] = {}
        self._names = names
        self._services = services
        self._notes = notes

    def add(self, name: str, fields: Fields) -> None:
        kind = fields.choice("routerType", KINDS, "Sequence")
        steps = fields.each("steps")
        fields.end()
        if not steps:
            raise bad_manifest(f"{fields.path}.steps is empty")
        if kind == "Sequence":
            self.nodes[name] = self._sequence(steps)
        elif kind == "Splitter":
            self.nodes[name] = self._splitter(fields, steps)
        elif kind == "Ensemble":
            self.nodes[name] = CombinerNode(of=tuple(self._target(step) for step in steps), how="concat")
            for step in steps:
                self._end(step)
        else:
            self.nodes[name] = self._switch(steps)

    def _sequence(self, steps: list[Fields]) -> ChainNode:
        targets: list[str] = []
        takes: dict[str, Takes] = {}
        for number, step in enumerate(steps):
            data = step.choice("data", ("$request", "$response"), "$request")
            step.refuse("condition", "a condition inside a Sequence is not supported here; use a Switch")
            target = self._target(step)
            if target in targets:
                raise bad_manifest(f"{step.path}: {target!r} stands twice in a Sequence")
            targets.append(target)
            if number:
                takes[target] = "answer" if data == "$response" else "request"
            self._end(step)
        return ChainNode(steps=tuple(targets), takes=takes)

    def _splitter(self, fields: Fields, steps: list[Fields]) -> RouterNode:
        weights: dict[str, float] = {}
        for step in steps:
            weight = step.number("weight", -1.0)
            if weight < 0:
                raise bad_manifest(f"{step.path}.weight is missing")
            weights[self._target(step)] = weight
            self._end(step)
        if abs(sum(weights.values()) - 100.0) > 1e-6:
            raise bad_manifest(f"{fields.path}: the weights add up to {sum(weights.values()):g}, not 100")
        return RouterNode(weights=weights)

    def _switch(self, steps: list[Fields]) -> RouterNode:
        cases: list[Case] = []
        default = ""
        for step in steps:
            condition = step.text("condition")
            target = self._target(step)
            if condition:
                cases.append(Case(when=expression_of(condition, step.path), to=target))
            else:
                default = default or target
            self._end(step)
        return RouterNode(cases=tuple(cases), default=default)

    def _target(self, step: Fields) -> str:
        """The node that a step leads to; that of a service is brought in."""
        step.refuse("serviceUrl", "addresses outside are not called; name a service of the same files")
        node, service = step.text("nodeName"), step.text("serviceName")
        if bool(node) == bool(service):
            raise bad_manifest(f"{step.path} names {'both a node and a service' if node else 'neither'}")
        if node:
            if node not in self._names:
                raise bad_manifest(f"{step.path}.nodeName is {node!r}, which the graph does not have")
            return node
        graph = self._services.get(service)
        if graph is None:
            known = ", ".join(sorted(self._services)) or "none"
            raise bad_manifest(
                f"{step.path}.serviceName is {service!r}, which the files do not have", f"They have: {known}."
            )
        self.nodes |= prefixed(graph, service)
        return f"{service}.{graph.root}"

    def _end(self, step: Fields) -> None:
        step.text("name")
        if step.text("dependency", "Soft") == "Soft":
            self._notes.add("a step that fails fails its request here, whether its dependency is Soft or Hard")
        step.end()


def expression_of(condition: str, where: str) -> str:
    """A condition over rows, in the words of recipes.

    Raises:
        Invalid: it is more than that.
    """
    match = _CONDITION.fullmatch(condition)
    if match is None:
        raise bad_manifest(
            f"{where}.condition {condition!r} cannot be honoured", 'Ask rows by one field: [@this].#(origin=="EWR").'
        )
    if match["text"] is not None:
        value = "'" + match["text"].replace("'", "\\'") + "'"
    else:
        value = match["number"] or match["word"]
    return f"{match['field']} {match['op']} {value}"


def _names(manifest: Manifest) -> tuple[str, ...]:
    nodes: object = manifest.spec.get("nodes")
    return tuple(map(str, cast(Mapping[object, object], nodes))) if isinstance(nodes, Mapping) else ()
