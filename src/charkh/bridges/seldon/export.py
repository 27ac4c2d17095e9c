"""An endpoint as a SeldonDeployment: a custom container that runs `charkh serve`, asked by Open Inference."""

from typing import Any

from charkh.bridges.kubernetes import HTTP_PORT, Placement, check_placement, object_of, pod_spec, settings_object

CONTAINER = "charkh"


def seldon_manifests(placement: Placement) -> list[dict[str, Any]]:
    """The objects, in the order in which they are applied.

    Raises:
        Invalid: the image is not named, or there would be fewer pods at most than at least.
    """
    check_placement(placement)
    component: dict[str, Any] = {"spec": pod_spec(placement, CONTAINER)}
    if placement.most > placement.replicas:
        load = {
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
        }
        component["hpaSpec"] = {
            "minReplicas": placement.replicas,
            "maxReplicas": placement.most,
            "metricsv2": [load],
        }
    predictor = {
        "name": "default",
        "replicas": placement.replicas,
        "traffic": 100,
        "componentSpecs": [component],
        "graph": {"name": CONTAINER, "type": "MODEL", "endpoint": {"type": "REST", "httpPort": HTTP_PORT}},
    }
    spec = {"protocol": "v2", "predictors": [predictor]}
    return [settings_object(placement), object_of(placement, "machinelearning.seldon.io/v1", "SeldonDeployment", spec)]
