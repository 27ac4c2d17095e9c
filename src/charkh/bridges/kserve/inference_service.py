"""InferenceService (serving.kserve.io/v1beta1) as an endpoint: its predictor, canaries and transformer.

Source: KServe's documentation of the fields; what only a cluster has a use for is ignored and said.
"""

from charkh.bridges.manifests import Fields, Manifest, Notes, bad_manifest
from charkh.bridges.served import ModelSource, Resolve, Route, endpoint, of_model
from charkh.core.endpoint_settings import EndpointSettings

API = ("serving.kserve.io/v1beta1",)
RUNTIMES = {
    "sklearn": "",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "onnx": "onnx",
    "pytorch": "torch",
    "mlflow": "mlflow",
}
"""charkh's runtime of each model format; scikit-learn's is told by the files (skops, or a pickle that is trusted)."""
UNKNOWN = ("tensorflow", "triton", "huggingface", "pmml", "paddle")
_POD = (
    *("nodeSelector", "tolerations", "affinity", "serviceAccountName", "imagePullSecrets", "volumes", "labels"),
    *("annotations", "initContainers", "securityContext", "priorityClassName", "schedulerName", "workerSpec"),
    *("deploymentStrategy", "autoScaling", "topologySpreadConstraints", "terminationGracePeriodSeconds"),
)
_SCALING = ("minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "scaleMetricType")


def read_service(manifest: Manifest, notes: Notes, resolve: Resolve) -> EndpointSettings:
    """The endpoint that an InferenceService means.

    Args:
        manifest: of that kind.
        notes: takes the warnings.
        resolve: finds or registers a model.

    Raises:
        Invalid: a field is unknown, or cannot be honoured here.
    """
    spec = Fields(manifest.spec, f"{manifest.where}: spec", notes)
    spec.refuse("explainer", "there is no explainer here")
    spec.refuse("transformer", "its container cannot be run here; put a recipe before the model instead")
    canaries = spec.each("canary")
    predictor = spec.within("predictor")
    percent = predictor.number("canaryTrafficPercent", 100.0)
    main = _predictor(predictor, manifest.name, notes, resolve)
    spec.end()
    routes = [Route("predictor", of_model(main), 100.0)]
    for number, each in enumerate(canaries):
        share = each.number("trafficPercent")
        name = f"canary-{number + 1}"
        routes.append(
            Route(
                name, of_model(_predictor(each.within("predictor"), f"{manifest.name}-{name}", notes, resolve)), share
            )
        )
        each.end()
    taken = sum(route.share for route in routes[1:])
    if taken > 100:
        raise bad_manifest(f"{manifest.where}: spec.canary takes {taken:g} percent")
    routes[0] = routes[0]._replace(share=100.0 - taken)
    if percent != 100.0:
        routes = _since_the_version_before(main, percent, notes, manifest)
    return endpoint([route for route in routes if route.share > 0 or route.name == "predictor"], manifest.where)


def _predictor(fields: Fields, name: str, notes: Notes, resolve: Resolve) -> str:
    """Reference of the model that a predictor serves."""
    fields.cluster_only(*_POD, *_SCALING)
    fields.refuse("containers", "a container's image cannot be run here; name a model by storageUri")
    for word in ("containerConcurrency", "timeout", "batcher", "logger"):
        if word in fields:
            notes.add(f"{fields.path}.{word}: requests are bounded, batched and logged as [endpoint.{name}] says")
            fields.free(word) if word in ("batcher", "logger") else fields.number(word)
    model = fields.within("model") if "model" in fields else None
    legacy = [word for word in (*RUNTIMES, *UNKNOWN) if word in fields]
    if (model is not None) + len(legacy) != 1:
        raise bad_manifest(f"{fields.path} names {(model is not None) + len(legacy)} models", "Name one: model.")
    if model is None:
        form, body = legacy[0], fields.within(legacy[0])
    else:
        form, body = "", model
        kind = body.within("modelFormat")
        form = kind.required("name")
        kind.text("version")
        kind.end()
    fields.end()
    return _model(form, body, name, resolve)


def _model(form: str, body: Fields, name: str, resolve: Resolve) -> str:
    if form in UNKNOWN or form not in RUNTIMES:
        raise bad_manifest(
            f"{body.path}: models of the format {form!r} cannot be run here", f"These can: {', '.join(RUNTIMES)}."
        )
    body.cluster_only("resources", "env", "args", "image", "runtime", "runtimeVersion", "securityContext", "ports")
    body.cluster_only("readinessProbe", "livenessProbe", "volumeMounts", "name", "command")
    body.refuse("storage", "storage.key names a Secret of a cluster; write storageUri")
    body.choice("protocolVersion", ("v1", "v2", "grpc-v2"), "v1")
    uri = body.required("storageUri")
    body.end()
    return resolve(ModelSource(name=name, uri=uri, runtime=RUNTIMES[form], where=f"{body.path}.storageUri"))


def _since_the_version_before(main: str, percent: float, notes: Notes, manifest: Manifest) -> list[Route]:
    """The revision before and this one, where the registry has one before."""
    name, _, number = main.partition("@")
    if not 0 <= percent <= 100:
        raise bad_manifest(f"{manifest.where}: spec.predictor.canaryTrafficPercent is {percent:g}")
    if not number.isdigit() or int(number) < 2:
        notes.add(f"{manifest.where}: there is no earlier version of {name}, so {main} answers everything")
        return [Route("predictor", of_model(main), 100.0)]
    before = Route("predictor", of_model(f"{name}@{int(number) - 1}"), 100.0 - percent)
    return [before, Route("canary", of_model(main), percent)]
