"""An endpoint as plain Kubernetes objects: what a cluster without any serving platform needs to run `charkh serve`.

ConfigMap, Deployment, Service, PodDisruptionBudget, NetworkPolicy, and where asked for a HorizontalPodAutoscaler and a
ServiceMonitor. The pods keep nothing: the store is a team's (PostgreSQL and an object store), and its credentials come
from a Secret that the manifests name and never hold. They meet the `restricted` Pod Security Standard.
"""

from typing import Any

import msgspec

from charkh.core.errors import Invalid

HTTP_PORT = 7462
GRPC_PORT = 7463
CONFIG = "/etc/charkh"
STATE = "/var/lib/charkh"
USER = 10001
GRACE = 30
"""Seconds between the request to end and the end: those that a request under way may take, and the load balancer's."""


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint is to be run in a cluster.

    Attributes:
        endpoint: its name.
        settings: text of the `charkh.toml` that the pods read, without credentials.
        image: with charkh and the model's libraries, such as `registry.example.com/charkh:0.1.0`.
        namespace: of all objects; the one of whoever applies them when empty.
        secret: name of the Secret whose keys become variables, such as `PGPASSWORD` and `AWS_SECRET_ACCESS_KEY`.
        replicas: pods; the least of them where they scale.
        most: pods at most; as many as `replicas` for no scaling.
        cpu: what one pod is given, such as `500m` or `2`.
        memory: what one pod may use, such as `512Mi`.
        grpc: whether the port of gRPC is opened as well.
        workers: processes in one pod.
        monitor: whether a ServiceMonitor of the Prometheus operator is written.
    """

    endpoint: str
    settings: str
    image: str
    namespace: str = ""
    secret: str = "charkh"  # noqa: S105 (the name of an object, no secret)
    replicas: int = 2
    most: int = 2
    cpu: str = "1"
    memory: str = "1Gi"
    grpc: bool = False
    workers: int = 1
    monitor: bool = False


def kubernetes_manifests(placement: Placement) -> list[dict[str, Any]]:
    """The objects, in the order in which they are applied.

    Raises:
        Invalid: the image is not named, or there would be fewer pods at most than at least.
    """
    check_placement(placement)
    objects = [_config(placement), _deployment(placement), _service(placement)]
    if placement.replicas > 1:
        objects.append(_disruption_budget(placement))
    objects.append(_network_policy(placement))
    if placement.most > placement.replicas:
        objects.append(_autoscaler(placement))
    if placement.monitor:
        objects.append(_service_monitor(placement))
    return objects


def settings_object(placement: Placement) -> dict[str, Any]:
    """The ConfigMap with the `charkh.toml` that the pods read."""
    return _config(placement)


def pod_spec(placement: Placement, container: str) -> dict[str, Any]:
    """The pod as a serving platform takes it, which spreads pods and shifts traffic itself.

    Args:
        placement: how the endpoint is to be run.
        container: name that the platform expects of the container.
    """
    spec: dict[str, Any] = _pod(placement)["spec"]
    kept = ("automountServiceAccountToken", "terminationGracePeriodSeconds", "securityContext", "volumes")
    return {**{name: spec[name] for name in kept}, "containers": [{**_container(placement), "name": container}]}


def object_of(placement: Placement, version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """An object of a serving platform, named and labelled as the plain ones are."""
    return _object(placement, version, kind, {"spec": spec})


def check_placement(placement: Placement) -> None:
    """Refuse what cannot be run.

    Raises:
        Invalid: the image is not named, or there would be fewer pods at most than at least.
    """
    if not placement.image:
        raise Invalid("the image is not named", code="manifest.no_image", hint="Say --image REGISTRY/NAME:TAG.")
    if placement.replicas < 1 or placement.most < placement.replicas:
        raise Invalid(
            f"there cannot be at least {placement.replicas} and at most {placement.most} pods",
            code="manifest.replicas",
            hint="Let --replicas be at least 1, and --max-replicas no less.",
        )


def object_name(endpoint: str) -> str:
    """The endpoint's name as Kubernetes takes it: lower case, digits and hyphens, at most 53 characters (RFC 1123)."""
    made = "".join(each if each.isascii() and each.isalnum() else "-" for each in endpoint.lower()).strip("-")
    return (made if made[:1].isalpha() else f"m-{made}")[:53].rstrip("-")


def _config(placement: Placement) -> dict[str, Any]:
    return _object(placement, "v1", "ConfigMap", {"data": {"charkh.toml": placement.settings}})


def _deployment(placement: Placement) -> dict[str, Any]:
    spec = {
        "replicas": placement.replicas,
        "selector": {"matchLabels": _selector(placement)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": _pod(placement),
    }
    return _object(placement, "apps/v1", "Deployment", {"spec": spec})


def _pod(placement: Placement) -> dict[str, Any]:
    spread: dict[str, Any] = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _selector(placement)},
    }
    identity: dict[str, Any] = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    volumes: list[dict[str, Any]] = [
        {"name": "settings", "configMap": {"name": object_name(placement.endpoint)}},
        {"name": "state", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": identity,
        "topologySpreadConstraints": [spread],
        "containers": [_container(placement)],
        "volumes": volumes,
    }
    return {"metadata": {"labels": _labels(placement)}, "spec": spec}


def _container(placement: Placement) -> dict[str, Any]:
    ports: list[dict[str, Any]] = [{"name": "http", "containerPort": HTTP_PORT}]
    if placement.grpc:
        ports.append({"name": "grpc", "containerPort": GRPC_PORT})
    mounts: list[dict[str, Any]] = [
        {"name": "settings", "mountPath": CONFIG, "readOnly": True},
        {"name": "state", "mountPath": STATE},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 (a path in the pod)
    ]
    return {
        "name": "charkh",
        "image": placement.image,
        "command": _command(placement),
        "workingDir": CONFIG,
        "env": [{"name": "CHARKH_STORE", "value": STATE}, {"name": "HOME", "value": "/tmp"}],  # noqa: S108
        "envFrom": [{"secretRef": {"name": placement.secret}}],
        "ports": ports,
        # Loading and warming up may take its time; only afterwards does a silent pod count as dead.
        "startupProbe": {"httpGet": _path("/v2/health/ready"), "periodSeconds": 2, "failureThreshold": 150},
        "readinessProbe": {"httpGet": _path("/v2/health/ready"), "periodSeconds": 5, "timeoutSeconds": 2},
        "livenessProbe": {"httpGet": _path("/v2/health/live"), "periodSeconds": 10, "timeoutSeconds": 5},
        "resources": {
            "requests": {"cpu": placement.cpu, "memory": placement.memory},
            "limits": {"memory": placement.memory},
        },
        # Load balancers forget a pod a moment after it is told to end: until then it still takes requests.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def _command(placement: Placement) -> list[str]:
    command = ["charkh", "serve", placement.endpoint, "--host", "0.0.0.0", "--port", str(HTTP_PORT)]  # noqa: S104
    if placement.grpc:
        command += ["--grpc-port", str(GRPC_PORT)]
    if placement.workers > 1:
        command += ["--workers", str(placement.workers)]
    return command


def _service(placement: Placement) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http", "appProtocol": "http"}]
    if placement.grpc:
        ports.append({"name": "grpc", "port": GRPC_PORT, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"})
    return _object(placement, "v1", "Service", {"spec": {"selector": _selector(placement), "ports": ports}})


def _disruption_budget(placement: Placement) -> dict[str, Any]:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": _selector(placement)}}
    return _object(placement, "policy/v1", "PodDisruptionBudget", {"spec": spec})


def _network_policy(placement: Placement) -> dict[str, Any]:
    ports = [{"protocol": "TCP", "port": HTTP_PORT}]
    if placement.grpc:
        ports.append({"protocol": "TCP", "port": GRPC_PORT})
    spec = {
        "podSelector": {"matchLabels": _selector(placement)},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": ports}],
    }
    return _object(placement, "networking.k8s.io/v1", "NetworkPolicy", {"spec": spec})


def _autoscaler(placement: Placement) -> dict[str, Any]:
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": object_name(placement.endpoint)},
        "minReplicas": placement.replicas,
        "maxReplicas": placement.most,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
            }
        ],
    }
    return _object(placement, "autoscaling/v2", "HorizontalPodAutoscaler", {"spec": spec})


def _service_monitor(placement: Placement) -> dict[str, Any]:
    endpoint = {
        "port": "http",
        "path": "/metrics",
        "interval": "15s",
        "authorization": {"credentials": {"name": placement.secret, "key": "CHARKH_TOKEN"}},
    }
    spec = {"selector": {"matchLabels": _selector(placement)}, "endpoints": [endpoint]}
    return _object(placement, "monitoring.coreos.com/v1", "ServiceMonitor", {"spec": spec})


def _object(placement: Placement, version: str, kind: str, rest: dict[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": object_name(placement.endpoint)}
    if placement.namespace:
        metadata["namespace"] = placement.namespace
    return {"apiVersion": version, "kind": kind, "metadata": {**metadata, "labels": _labels(placement)}, **rest}


def _labels(placement: Placement) -> dict[str, str]:
    return {**_selector(placement), "app.kubernetes.io/managed-by": "charkh"}


def _selector(placement: Placement) -> dict[str, str]:
    return {"app.kubernetes.io/name": "charkh", "app.kubernetes.io/instance": object_name(placement.endpoint)}


def _path(path: str) -> dict[str, Any]:
    return {"path": path, "port": "http"}
