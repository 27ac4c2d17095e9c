"""Model, Pipeline and Experiment of Seldon Core 2 (mlops.seldon.io/v1alpha1) as endpoints."""

from collections.abc import Mapping

from charkh.bridges.manifests import Fields, Manifest, Notes, bad_manifest
from charkh.bridges.served import ModelSource, Resolve, Route, endpoint
from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.graph_settings import ChainNode, Graph, ModelNode, Node, Takes

API = ("mlops.seldon.io/v1alpha1",)
FORMATS = {
    "sklearn": "",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "onnx": "onnx",
    "mlflow": "mlflow",
}
STICKY = "x-seldon-route"
_INPUTS = "inputs"


def read_model(manifest: Manifest, notes: Notes, resolve: Resolve) -> str:
    """The reference of the model that a Model means.

    Raises:
        Invalid: a field is unknown, or cannot be honoured here.
    """
    spec = Fields(manifest.spec, f"{manifest.where}: spec", notes)
    uri = spec.required("storageUri")
    wanted = [word for word in spec.texts("requirements") if word in FORMATS]
    spec.cluster_only("server", "preloaded", "dedicated", "secretName", "replicas", "minReplicas", "maxReplicas")
    spec.cluster_only("memory", "logger", "modelType", "artifactVersion")
    spec.refuse("explainer", "there is no explainer here")
    spec.refuse("llm", "language models are not run here")
    for each in spec.each("parameters"):
        notes.add(f"{each.path}: the parameter {each.required('name')!r} is not used here")
        each.scalar("value")
        each.end()
    spec.end()
    runtime = FORMATS[wanted[0]] if wanted else ""
    return resolve(
        ModelSource(name=manifest.name, uri=uri, runtime=runtime, input="predict", where=f"{spec.path}.storageUri")
    )


def read_pipeline(manifest: Manifest, notes: Notes, models: Mapping[str, str]) -> Graph:
    """The graph that a Pipeline means.

    Args:
        manifest: of that kind.
        notes: takes the warnings.
        models: references by name, of the Models in the same files.

    Raises:
        Invalid: a field is unknown, a name leads nowhere, or something cannot be honoured here.
    """
    spec = Fields(manifest.spec, f"{manifest.where}: spec", notes)
    spec.cluster_only("dataflow")
    spec.refuse("input", "a pipeline is asked by its clients here")
    spec.refuse("allowCycles", "a graph may not lead back to itself")
    nodes: dict[str, Node] = {}
    needs: dict[str, list[str]] = {}
    for step in spec.each("steps"):
        name, sources, node = _step(step, manifest.name, models)
        nodes[name], needs[name] = node, sources
    output = spec.within("output")
    answers = tuple(_name(each, output.path)[0] for each in output.texts("steps"))
    output.choice("stepsJoin", ("inner",), "inner")
    output.refuse("tensorMap", "outputs keep their names here")
    output.end()
    spec.end()
    for name, sources in needs.items():
        missing = next((each for each in sources if each not in nodes), "")
        if missing:
            raise bad_manifest(f"{manifest.where}: step {name!r} takes {missing!r}, which is no step")
    unknown = next((each for each in answers if each not in nodes), "")
    if not nodes or unknown or not answers:
        raise bad_manifest(f"{manifest.where}: spec.output.steps names {unknown or 'nothing'!r}")
    order = _ordered(needs, manifest.where)
    takes: dict[str, Takes] = {name: "all" if needs[name] else "request" for name in order}
    chain = ChainNode(steps=tuple(order), takes=takes, answers=answers)
    return Graph(root="pipeline", node={"pipeline": chain, **nodes})


def read_experiment(manifest: Manifest, notes: Notes, known: Mapping[str, Graph]) -> EndpointSettings:
    """The endpoint that an Experiment means.

    Raises:
        Invalid: a field is unknown, a candidate is not there, or something cannot be honoured here.
    """
    spec = Fields(manifest.spec, f"{manifest.where}: spec", notes)
    default = spec.text("default")
    spec.choice("resourceType", ("model", "pipeline"), "model")
    routes: list[Route] = []
    weights: list[float] = []
    for each in spec.each("candidates"):
        name = each.required("name")
        weights.append(each.number("weight", 1.0))
        routes.append(Route(name, _known(known, name, each.path)))
        each.end()
    mirror = None
    if "mirror" in spec:
        fields = spec.within("mirror")
        name = fields.required("name")
        mirror = Route(name, _known(known, name, fields.path), fields.number("percent", 100.0))
        fields.end()
    spec.end()
    if not routes or not sum(weights) > 0:
        raise bad_manifest(f"{manifest.where}: spec.candidates is empty")
    whole = sum(weights)
    routes = [route._replace(share=100.0 * weight / whole) for route, weight in zip(routes, weights, strict=True)]
    routes.sort(key=lambda route: route.name != default)
    return endpoint(routes, manifest.where, mirror=mirror, sticky=STICKY)


def _step(step: Fields, pipeline: str, models: Mapping[str, str]) -> tuple[str, list[str], ModelNode]:
    name = step.required("name")
    if name not in models:
        raise bad_manifest(f"{step.path}.name: there is no Model {name!r} in the files")
    step.choice("inputsJoinType", ("inner",), "inner")
    for word in ("triggers", "triggersJoinType", "batch", "joinWindowMs"):
        step.refuse(word, "steps run when their request comes, here")
    sources: list[str] = []
    inputs: dict[str, str] = {}
    for text in step.texts("inputs"):
        source, tensor = _name(text, step.path)
        if tensor:
            inputs[tensor] = f"request.{tensor}" if source == pipeline else f"{source}.{tensor}"
        if source != pipeline:
            sources.append(source)
    for key, value in step.free("tensorMap").items():
        source, tensor = _name(str(key), step.path)
        if not tensor:
            raise bad_manifest(f"{step.path}.tensorMap: {key!r} names no tensor")
        inputs[str(value)] = f"request.{tensor}" if source == pipeline else f"{source}.{tensor}"
    step.end()
    # A step that takes the request alone is given nothing else, so that no name needs telling apart.
    return name, sources, ModelNode(model=models[name], inputs=inputs if sources else {})


def _name(text: str, where: str) -> tuple[str, str]:
    """The step of `STEP[.outputs[.TENSOR]]`, and the tensor."""
    step, _, rest = text.partition(".")
    side, _, tensor = rest.partition(".")
    if not step or (rest and side not in ("outputs", _INPUTS)):
        raise bad_manifest(f"{where}: {text!r} is no STEP.outputs.TENSOR")
    return step, tensor


def _ordered(needs: Mapping[str, list[str]], where: str) -> list[str]:
    """The steps, each behind those that it takes from."""
    order: list[str] = []
    waiting = dict(needs)
    while waiting:
        ready = [name for name, sources in waiting.items() if all(each in order for each in sources)]
        if not ready:
            raise bad_manifest(f"{where}: the steps {', '.join(sorted(waiting))} lead in a circle")
        for name in ready:
            order.append(name)
            del waiting[name]
    return order


def _known(known: Mapping[str, Graph], name: str, where: str) -> Graph:
    if name not in known:
        raise bad_manifest(f"{where}: there is no {name!r} in the files", f"They have: {', '.join(sorted(known))}.")
    return known[name]
