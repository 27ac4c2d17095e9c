"""Triton's four clients, unmodified and in their own environment, against a running `charkh serve`."""

from pathlib import Path
from typing import Any

import pytest
from tests.bridges.open_inference import Served

CLIENTS = Path(__file__).parent / "clients.py"
SUM = [[each + 1 for each in range(16)]]
DIFFERENCE = [[each - 1 for each in range(16)]]

pytestmark = pytest.mark.needs("peer:triton")


@pytest.mark.parametrize("client", ["http", "http-aio", "grpc", "grpc-aio"])
def test_a_client_gets_what_it_asks_for(open_inference: Served, client: str) -> None:
    found = open_inference.run("triton", CLIENTS, client)
    assert [found[key] for key in ("live", "ready", "model_ready", "version_ready")] == [True] * 4
    assert found["server"]["name"] == "charkh"
    metadata = found["metadata"]
    assert (metadata["name"], metadata["versions"]) == ("simple", ["1"])
    assert [(each["name"], each["datatype"]) for each in metadata["inputs"]] == [
        ("INPUT0", "INT32"),
        ("INPUT1", "INT32"),
    ]
    assert [[int(size) for size in each["shape"]] for each in metadata["outputs"]] == [[-1, 16], [-1, 16]]
    config = found["config"].get("config", found["config"])
    assert [each["data_type"] for each in config["input"]] == ["TYPE_INT32", "TYPE_INT32"]
    index = found["index"]["models"] if "models" in found["index"] else found["index"]
    assert {"simple", "simple_string", "delay"} == {each["name"] for each in index}
    assert {each["state"] for each in index} == {"READY"}
    assert (found["sum"], found["difference"], found["dtype"]) == (SUM, DIFFERENCE, "int32")
    assert found["response"] == "mine"
    assert found["only"] == [True, DIFFERENCE]
    assert found["texts"] == [str(each) for each in SUM[0]]
    assert found["packed"] == SUM
    assert found["statistics"] == ["simple", True]
    assert found["loaded"]
    assert found.get("mixed", [SUM, DIFFERENCE]) == [SUM, DIFFERENCE]
    assert found.get("stream", [SUM, None, SUM]) == [SUM, None, SUM]
    assert found.get("async", [SUM] * 8) == [SUM] * 8
    assert found.get("by_hand", SUM) == SUM


@pytest.mark.parametrize("client", ["http", "grpc"])
def test_a_refusal_has_the_protocols_status_and_names_the_tensor(open_inference: Served, client: str) -> None:
    found: dict[str, list[Any]] = open_inference.run("triton", CLIENTS, client)["refusals"]
    wrong, missing = ("StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND") if client == "grpc" else ("400", "404")
    assert {name: status for name, (status, _) in found.items()} == {
        "model": missing,
        "tensor": wrong,
        "shape": wrong,
        "datatype": wrong,
        "metadata": missing,
        "override": wrong,
    }
    for name, tensor in (("tensor", "INPUT9"), ("shape", "INPUT1"), ("datatype", "INPUT1"), ("model", "nothing")):
        assert tensor in found[name][1]
