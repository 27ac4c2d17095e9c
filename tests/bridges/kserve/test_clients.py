"""KServe's REST and gRPC clients, unmodified and in their own environment, against a running `charkh serve`."""

from pathlib import Path
from typing import Any

import pytest
from tests.bridges.open_inference import Served

CLIENTS = Path(__file__).parent / "clients.py"
BOTH = {"OUTPUT0": [[each + 1 for each in range(16)]], "OUTPUT1": [[each - 1 for each in range(16)]]}

pytestmark = pytest.mark.needs("peer:kserve")


@pytest.fixture(scope="module")
def found(open_inference: Served) -> dict[str, Any]:
    return open_inference.run("kserve", CLIENTS)


@pytest.mark.parametrize("client", ["rest", "grpc"])
def test_a_client_gets_what_it_asks_for(found: dict[str, Any], client: str) -> None:
    heard = found[client]
    assert [heard[key] for key in ("live", "ready", "model_ready")] == [True] * 3
    assert heard["json"] == heard["binary"] == {**BOTH, "id": "mine"}
    assert heard["only"] == {"OUTPUT1": BOTH["OUTPUT1"]}
    assert heard["texts"] == {name: [[str(each) for each in row] for row in rows] for name, rows in BOTH.items()}


@pytest.mark.parametrize(
    ("client", "unknown", "shape"), [("rest", "404", "400"), ("grpc", "NOT_FOUND", "INVALID_ARGUMENT")]
)
def test_a_refusal_says_what_is_wrong(found: dict[str, Any], client: str, unknown: str, shape: str) -> None:
    heard = found[client]
    assert heard["unknown_ready"] is False or heard["unknown_ready"].startswith("NOT_FOUND")
    assert unknown in heard["unknown"]
    assert "nothing" in heard["unknown"]
    assert shape in heard["shape"]
    assert "INPUT0" in heard["shape"]
