"""The objects of a cluster, checked against Kubernetes' own schemas."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from charkh.bridges.kubernetes import Placement, kubernetes_manifests, object_name
from charkh.core.errors import Invalid
from functional.conftest import Charkh
from peers import peer_program

VALIDATE = """
import json, sys
import kubernetes_validate
for each in json.load(sys.stdin):
    kubernetes_validate.validate(each, "1.31", strict=True)
"""
SHARED = """
[store]
journal = "postgresql://charkh@db.example.com/charkh"
blobs = "s3://charkh/store"

[endpoint.delay]
model = "delay@champion"
capture = 0.5

[endpoint.other]
model = "other@champion"
"""


@pytest.fixture
def charkh(tmp_path: Path) -> Charkh:
    """A workspace whose store is a team's; nothing here asks it anything."""
    command = Charkh(tmp_path)
    command("init")
    return command


@pytest.mark.needs("peer:kubernetes")
@pytest.mark.parametrize(
    "more", [{}, {"grpc": True, "workers": 2, "most": 9, "namespace": "ml"}, {"replicas": 1, "most": 1}]
)
def test_kubernetes_takes_every_object(more: dict[str, Any]) -> None:
    objects = kubernetes_manifests(Placement(endpoint="Flight_delay", settings="a = 1\n", image="r/charkh:1", **more))
    python = peer_program("kubernetes", "python")
    done = subprocess.run([python, "-c", VALIDATE], input=json.dumps(objects), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    kinds = [each["kind"] for each in objects]
    assert kinds[:3] == ["ConfigMap", "Deployment", "Service"]
    assert ("HorizontalPodAutoscaler" in kinds) == (more.get("most") == 9)
    assert ("PodDisruptionBudget" in kinds) == (more.get("replicas") != 1)


def test_pods_keep_nothing_and_may_do_nothing() -> None:
    objects = kubernetes_manifests(Placement(endpoint="delay", settings="", image="r/charkh:1"))
    pod = next(each for each in objects if each["kind"] == "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["command"] == ["charkh", "serve", "delay", "--host", "0.0.0.0", "--port", "7462"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": "http"}


@pytest.mark.parametrize(
    ("name", "made"),
    [("Flight_delay", "flight-delay"), ("7days", "m-7days"), ("a" * 80, "a" * 53), ("prix.é", "prix")],
)
def test_a_name_is_written_as_kubernetes_takes_it(name: str, made: str) -> None:
    assert object_name(name) == made


@pytest.mark.parametrize(
    ("more", "said"), [({"image": ""}, "image"), ({"image": "r", "replicas": 3, "most": 2}, "pods")]
)
def test_what_cannot_be_run_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        kubernetes_manifests(Placement(endpoint="delay", settings="", **more))


def test_the_command_writes_the_store_and_the_one_endpoint(charkh: Charkh) -> None:
    charkh.write("charkh.toml", '[endpoint.delay]\nmodel = "delay@champion"\n')
    words = ("endpoint", "export", "delay", "--to", "kubernetes", "--image", "r/charkh:1")
    assert "a folder of this machine" in charkh.fails(2, *words)
    charkh.write("charkh.toml", SHARED)
    written = charkh.folder / "delay.yaml"
    told = charkh.run(*words, "-o", str(written))
    assert told.returncode == 0, told.stderr
    objects = list(yaml.safe_load_all(written.read_text()))
    settings = objects[0]["data"]["charkh.toml"]
    assert "postgresql://charkh@db.example.com/charkh" in settings
    assert "capture = 0.5" in settings
    assert "other" not in settings
    assert "no form of an endpoint" in charkh.fails(2, "endpoint", "export", "delay", "--to", "docker")
