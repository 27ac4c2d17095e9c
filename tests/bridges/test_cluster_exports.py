"""An endpoint as KServe's and Seldon's objects: taken by KServe's own models, and by what every pod has to meet."""

import json
import subprocess
from typing import Any

import pytest

from charkh.bridges.kserve.export import kserve_manifests
from charkh.bridges.kubernetes import HTTP_PORT, Placement
from charkh.bridges.seldon.export import seldon_manifests
from charkh.core.errors import Invalid
from peers import peer_program

PLACEMENT = Placement(endpoint="Flight_delay", settings="a = 1\n", image="r/charkh:1", most=5, grpc=True)
READ = """
import json, sys
import kserve.models, kubernetes.client

def read(kind, value, path):
    kind = kind.replace("dict(str, ", "dict[str, ").replace(")", "]")
    if kind.startswith("list["):
        return [read(kind[5:-1], each, path) for each in value]
    if kind.startswith("dict["):
        return {name: read(kind[5:-1].partition(", ")[2], each, path) for name, each in value.items()}
    made = getattr(kserve.models, kind, None) or getattr(kubernetes.client, kind, None)
    if made is None:
        return value
    types = getattr(made, "openapi_types", None)
    if types is None:
        again = made.from_dict(value).to_dict()
        assert again == value, (path, again, value)
        return again
    names = {written: name for name, written in made.attribute_map.items()}
    assert set(value) <= set(names), (path, set(value) - set(names))
    made(**{names[key]: read(types[names[key]], each, path + "." + key) for key, each in value.items()})
    return value

read("V1beta1InferenceService", json.load(sys.stdin), "")
"""


@pytest.mark.needs("peer:kserve")
def test_kserve_reads_every_field_of_the_service() -> None:
    config, service = kserve_manifests(PLACEMENT)
    assert config["kind"] == "ConfigMap"
    python = peer_program("kserve", "python")
    done = subprocess.run([python, "-c", READ], input=json.dumps(service), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_knative_gets_one_port_and_no_hooks() -> None:
    (container,) = kserve_manifests(PLACEMENT)[1]["spec"]["predictor"]["containers"]
    assert container["ports"] == [{"containerPort": HTTP_PORT, "protocol": "TCP"}]
    assert container["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": HTTP_PORT}
    assert "lifecycle" not in container


def test_a_deployment_of_seldon_runs_the_container_that_its_graph_names() -> None:
    (predictor,) = seldon_manifests(PLACEMENT)[1]["spec"]["predictors"]
    (component,) = predictor["componentSpecs"]
    (container,) = component["spec"]["containers"]
    assert predictor["graph"]["name"] == container["name"]
    assert component["hpaSpec"]["maxReplicas"] == 5
    assert container["command"][:3] == ["charkh", "serve", "Flight_delay"]


@pytest.mark.parametrize("write", [kserve_manifests, seldon_manifests])
def test_an_export_without_an_image_is_refused(write: Any) -> None:
    with pytest.raises(Invalid, match="image is not named"):
        write(Placement(endpoint="delay", settings="", image=""))
