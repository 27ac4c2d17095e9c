"""SeldonDeployment (machinelearning.seldon.io) as an endpoint: predictors with their traffic, shadows, and graphs."""

from charkh.bridges.manifests import Fields, Manifest, Notes, bad_manifest
from charkh.bridges.served import ModelSource, Resolve, Route, endpoint
from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.graph_settings import ChainNode, CombinerNode, Graph, ModelNode, Node, RouterNode
from charkh.core.rollout_settings import RolloutSettings, Way

API = tuple(f"machinelearning.seldon.io/{version}" for version in ("v1", "v1alpha2", "v1alpha3"))
SERVERS = {"SKLEARN_SERVER": "", "XGBOOST_SERVER": "xgboost", "MLFLOW_SERVER": "mlflow", "LIGHTGBM_SERVER": "lightgbm"}
"""charkh's runtime of each prepackaged server; scikit-learn's is told by the files."""
BANDITS: dict[str, Way] = {"EPSILON_GREEDY": "epsilon_greedy", "THOMPSON_SAMPLING": "thompson"}
TYPES = ("MODEL", "ROUTER", "COMBINER", "TRANSFORMER", "OUTPUT_TRANSFORMER", "UNKNOWN_TYPE")
_CLUSTER = ("hpaSpec", "kedaSpec", "pdbSpec", "svcOrchSpec", "engineResources", "ssl", "labels", "annotations")
_AUTHENTICATION = ("oauth_key", "oauth_secret")


class _Bandit:
    """A router at the root that learns: its branches become routes of a rollout."""

    def __init__(self, settings: RolloutSettings, branches: list[Route], best: int) -> None:
        self.settings = settings
        self.branches = branches
        self.best = best


def read_deployment(manifest: Manifest, notes: Notes, resolve: Resolve) -> EndpointSettings:
    """The endpoint that a SeldonDeployment means.

    Args:
        manifest: of that kind.
        notes: takes the warnings.
        resolve: finds or registers a model.

    Raises:
        Invalid: a field is unknown, or cannot be honoured here.
    """
    spec = Fields(manifest.spec, f"{manifest.where}: spec", notes)
    spec.text("name")
    spec.choice("protocol", ("seldon", "v2", "kfserving"), "seldon")
    spec.cluster_only("transport", "serverType", "replicas", *_CLUSTER, *_AUTHENTICATION)
    predictors = spec.each("predictors")
    spec.end()
    if not predictors:
        raise bad_manifest(f"{manifest.where}: spec.predictors is empty")
    routes: list[Route] = []
    mirror: Route | None = None
    for fields in predictors:
        name, traffic, is_shadow, found = _predictor(fields, manifest.name, notes, resolve)
        if isinstance(found, _Bandit):
            if len(predictors) > 1:
                raise bad_manifest(f"{fields.path}: a router that learns cannot stand beside other predictors")
            return _learning(found)
        route = Route(name, found, traffic)
        if not is_shadow:
            routes.append(route)
        elif mirror is None:
            mirror = route._replace(share=traffic or 100.0)
        else:
            raise bad_manifest(f"{fields.path}: there is a second shadow", "Mirror to one model.")
    if len(routes) == 1 and routes[0].share in (0.0, 100.0):
        routes[0] = routes[0]._replace(share=100.0)
    return endpoint(routes, manifest.where, mirror=mirror)


def _predictor(
    fields: Fields, deployment: str, notes: Notes, resolve: Resolve
) -> tuple[str, float, bool, Graph | _Bandit]:
    name = fields.text("name", "default")
    traffic, is_shadow = fields.number("traffic"), fields.flag("shadow")
    fields.cluster_only("replicas", *_CLUSTER)
    fields.refuse("explainer", "there is no explainer here")
    for component in fields.each("componentSpecs"):
        component.cluster_only("metadata", "hpaSpec", "kedaSpec", "pdbSpec", "replicas")
        component.free("spec")
        component.end()
        notes.add(f"{component.path}: containers are the cluster's; models run in this process")
    root = fields.within("graph")
    fields.end()
    reader = _Reader(f"{deployment}-{name}", notes, resolve)
    learning = reader.learning(root)
    return name, traffic, is_shadow, learning or Graph(root=reader.read(root), node=reader.nodes)


def _learning(bandit: _Bandit) -> EndpointSettings:
    champion = bandit.branches[bandit.best]
    others = {route.name: route.model for route in bandit.branches if route is not champion}
    rollout = RolloutSettings(
        way=bandit.settings.way, epsilon=bandit.settings.epsilon, candidates=others, rollback=(), measure="reward"
    )
    return EndpointSettings(model=champion.model, rollout=rollout)


class _Reader:
    """Gathers the nodes of one predictor's graph."""

    def __init__(self, prefix: str, notes: Notes, resolve: Resolve) -> None:
        self.nodes: dict[str, Node] = {}
        self._prefix = prefix
        self._notes = notes
        self._resolve = resolve

    def learning(self, fields: Fields) -> _Bandit | None:
        """The router at the root, where it learns; then its node is taken apart."""
        if fields.peek("implementation") not in BANDITS:
            return None
        word = fields.text("implementation")
        fields.text("name")
        fields.choice("type", TYPES, "ROUTER")
        parameters = _parameters(fields)
        branches: list[Route] = []
        for number, child in enumerate(fields.each("children")):
            name = child.peek("name") or f"branch-{number}"
            reader = _Reader(self._prefix, self._notes, self._resolve)
            route = Route(name, Graph(root=reader.read(child), node=reader.nodes))
            if not route.model:
                raise bad_manifest(f"{child.path}: a branch of a router that learns is one model here")
            branches.append(route)
        fields.end()
        best = int(parameters.get("best_branch", 0))
        if len(branches) < 2 or not 0 <= best < len(branches):
            raise bad_manifest(f"{fields.path} has {len(branches)} branches, and best_branch is {best}")
        settings = RolloutSettings(way=BANDITS[word], epsilon=float(parameters.get("epsilon", 0.1)))
        return _Bandit(settings, branches, best)

    def read(self, fields: Fields) -> str:
        """The name of the node that a part of the graph becomes."""
        name = fields.required("name")
        if name in self.nodes:
            raise bad_manifest(f"{fields.path}.name: {name!r} stands twice")
        kind = fields.choice("type", TYPES, "UNKNOWN_TYPE")
        implementation = fields.text("implementation")
        uri = fields.text("modelUri")
        parameters = _parameters(fields)
        fields.cluster_only("endpoint", "envSecretRefName", "serviceAccountName", "storageInitializerImage", "logger")
        fields.texts("methods")
        children = fields.each("children")
        fields.end()
        if uri or implementation in SERVERS:
            return self._model(fields, name, implementation, uri, children)
        if implementation == "AVERAGE_COMBINER":
            self.nodes[name] = CombinerNode(of=tuple(self.read(child) for child in children), how="mean")
        elif implementation == "RANDOM_ABTEST":
            first, second = self._two(fields, children)
            ratio = float(parameters.get("ratioA", 0.5))
            # 1 - 0.7 is 0.30000000000000004 in binary; people read what is written of it.
            self.nodes[name] = RouterNode(weights={first: ratio, second: round(1.0 - ratio, 12)})
        elif implementation == "SIMPLE_ROUTER":
            if not children:
                raise bad_manifest(f"{fields.path} has no children to route to")
            self.nodes[name] = RouterNode(default=self.read(children[0]))
        elif implementation in BANDITS:
            raise bad_manifest(f"{fields.path}: a router that learns stands at the root of the graph here")
        else:
            what = implementation or f"{kind} of a container"
            raise bad_manifest(
                f"{fields.path}: {what} cannot be run here", "Name a model by modelUri, or put a recipe before it."
            )
        return name

    def _model(self, fields: Fields, name: str, implementation: str, uri: str, children: list[Fields]) -> str:
        if implementation not in SERVERS:
            raise bad_manifest(
                f"{fields.path}: {implementation or 'no implementation'} cannot be run here",
                f"These can: {', '.join(SERVERS)}.",
            )
        if not uri:
            raise bad_manifest(f"{fields.path}.modelUri is missing")
        source = ModelSource(
            name=f"{self._prefix}-{name}",
            uri=uri,
            runtime=SERVERS[implementation],
            input="predict",
            where=f"{fields.path}.modelUri",
        )
        self.nodes[name] = ModelNode(model=self._resolve(source))
        if not children:
            return name
        if len(children) > 1:
            raise bad_manifest(f"{fields.path}.children: a model leads to one node")
        chain = f"{name}.then"
        self.nodes[chain] = ChainNode(steps=(name, following := self.read(children[0])), takes={following: "answer"})
        return chain

    def _two(self, fields: Fields, children: list[Fields]) -> tuple[str, str]:
        if len(children) != 2:
            raise bad_manifest(f"{fields.path} has {len(children)} children; RANDOM_ABTEST has two")
        return self.read(children[0]), self.read(children[1])


def _parameters(fields: Fields) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in fields.each("parameters"):
        found[each.required("name")] = str(each.scalar("value"))
        each.text("type")
        each.end()
    return found
