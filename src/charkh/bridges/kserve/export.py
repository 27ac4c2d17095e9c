"""An endpoint as an InferenceService of KServe: a custom predictor whose container runs `charkh serve`."""

from typing import Any

from charkh.bridges.kubernetes import Placement, check_placement, object_of, pod_spec, settings_object

CONTAINER = "kserve-container"
"""Name by which KServe finds the container that answers."""


def kserve_manifests(placement: Placement) -> list[dict[str, Any]]:
    """The objects, in the order in which they are applied.

    Raises:
        Invalid: the image is not named, or there would be fewer pods at most than at least.
    """
    check_placement(placement)
    predictor = {
        "minReplicas": placement.replicas,
        "maxReplicas": placement.most,
        **_with_one_port(pod_spec(placement, CONTAINER)),
    }
    service = object_of(placement, "serving.kserve.io/v1beta1", "InferenceService", {"predictor": predictor})
    return [settings_object(placement), service]


def _with_one_port(spec: dict[str, Any]) -> dict[str, Any]:
    """A Knative revision has one port, which its probes ask without naming it, and no hooks of its containers."""
    (container,) = spec["containers"]
    port = next(each for each in container["ports"] if each["name"] == "http")
    made = {name: value for name, value in container.items() if name != "lifecycle"}
    made["ports"] = [{"containerPort": port["containerPort"], "protocol": "TCP"}]
    for word in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = {"path": made[word]["httpGet"]["path"], "port": port["containerPort"]}
        made[word] = {**made[word], "httpGet": asked}
    return {**spec, "containers": [made]}
