"""The real clients of MLflow 3 and 2 against a charkh server: log, register, alias, load, search, stages, prompts."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.functional.test_server import Server
from tests.peers import peer_program

from charkh.models.files import read_files
from charkh.models.find import find
from charkh.models.index import ModelVersions
from charkh.workspace.workspace import open_workspace

SCRIPT = Path(__file__).parent / "registry_client.py"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    open_workspace(tmp_path, create=True).close()
    started = Server(tmp_path, "up", "--every", "0s")
    yield started
    started.stop()


def ask(server: Server, peer: str, *parts: str) -> dict[str, Any]:
    """What the client of a peer saw of the server."""
    settings = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.port}",
        "MLFLOW_TRACKING_TOKEN": server.token,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    words = [peer_program(peer, "python"), "-W", "ignore", SCRIPT, *parts]
    done = subprocess.run(words, env=settings, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.partition("@@")[2])


@pytest.mark.needs("peer:mlflow")
def test_a_client_of_mlflow_3_logs_registers_and_loads(server: Server) -> None:
    seen = ask(server, "mlflow", "round_trip", "registry", "logged", "prompts")
    trip = seen["round_trip"]
    _check_round_trip(trip)
    assert all(identifier.startswith("m-") for identifier in trip["ids"])
    _check_registry(seen["registry"])
    assert seen["logged"] == {
        "by_metric": ["epoch-2", "epoch-1"],
        "by_param": ["epoch-0"],
        "on_data": ["epoch-2", "epoch-1"],
        "newest": ["epoch-2"],
        "pages": [2, 1],
        "tags": {"best": "no"},
        "no_tag": "RESOURCE_DOES_NOT_EXIST",
        "registered": '[{"name": "picked", "version": 1}]',
        "deleted": "RESOURCE_DOES_NOT_EXIST",
        "left": ["epoch-2", "epoch-1"],
    }
    assert seen["prompts"] == {
        "text": True,
        "models": [],
        "prompts": ["greeting"],
        "taken": "RESOURCE_ALREADY_EXISTS",
    }
    server.stop()
    with open_workspace(server.folder) as workspace:
        version = find(workspace.store, "delay@champion")
        assert (version.made.run, version.made.logged) == (trip["runs"][0], trip["ids"][0])
        assert [(spec.name, spec.datatype, spec.shape) for spec in version.made.signature.inputs] == [
            ("input", "FP64", (-1, 2))
        ]
        assert version.made.safety.runs_code, "scikit-learn's flavour is a pickle"
        assert version.made.libraries["mlflow"] == "3.17.2"
        assert "MLmodel" in read_files(workspace.store, version), "the version has the bytes of the logged model"
        refs = [each.ref for each in workspace.store.queries.ask(ModelVersions(name="delay"))]
        assert refs == ["delay@2", "delay@1"]


@pytest.mark.needs("peer:mlflow2")
def test_a_client_of_mlflow_2_logs_registers_and_loads(server: Server) -> None:
    seen = ask(server, "mlflow2", "round_trip", "registry")
    _check_round_trip(seen["round_trip"])
    assert seen["round_trip"]["files"] == ["model"]
    _check_registry(seen["registry"])
    server.stop()
    with open_workspace(server.folder) as workspace:
        version = find(workspace.store, "delay@1")
        assert version.made.run == seen["round_trip"]["runs"][0]
        assert "MLmodel" in read_files(workspace.store, version)


def _check_round_trip(trip: dict[str, Any]) -> None:
    assert trip["same"]
    assert trip["same_by_number"]
    assert trip["version_run"] == trip["runs"][0]
    assert trip["aliases"] == ["champion"]
    assert trip["of_run"] == ["2"]
    assert {"MLmodel", "requirements.txt"} <= set(trip["downloaded"])


def _check_registry(seen: dict[str, Any]) -> None:
    assert {name: seen[name] for name in ("again", "unknown", "unknown_alias", "reserved", "reserved_number")} == {
        "again": "RESOURCE_ALREADY_EXISTS",
        "unknown": "RESOURCE_DOES_NOT_EXIST",
        "unknown_alias": "INVALID_PARAMETER_VALUE",
        "reserved": "INVALID_PARAMETER_VALUE",
        "reserved_number": "INVALID_PARAMETER_VALUE",
    }
    assert (seen["local"], seen["slash"], seen["bad_filter"]) == ("INVALID_PARAMETER_VALUE",) * 3
    assert seen["stages"] == {"1": "Archived", "2": "Production", "3": "None"}
    assert seen["latest"] == {"None": "3", "Production": "2", "Archived": "1"}
    assert seen["words"] == ["New words.", {"area": "NYC"}, "The first.", {"good": "yes", "letter": "a"}]
    assert seen["download"] == "s3://bucket/c"
    assert [sorted(each) for each in seen["found"]] == [["2", "3"], ["3"], ["1"]]
    assert seen["pages"] == [["1", "2"], ["3"], False]
    assert seen["models"] == ["price"]
    assert seen["copy"] == ["copy", "1", "s3://bucket/c"]
    assert seen["renamed"] == ["New words.", "RESOURCE_DOES_NOT_EXIST"]
    assert seen["aliases_left"] == {}
    assert seen["deleted"] == "RESOURCE_DOES_NOT_EXIST"
