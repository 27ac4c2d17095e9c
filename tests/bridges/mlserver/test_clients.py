"""MLServer's own messages, stubs and codecs, unmodified and in its environment, against a running `charkh serve`."""

from pathlib import Path
from typing import Any

import pytest
from tests.bridges.open_inference import Served

CLIENTS = Path(__file__).parent / "clients.py"
BOTH = {"OUTPUT0": [[each + 1 for each in range(16)]], "OUTPUT1": [[each - 1 for each in range(16)]]}
TEXTS = {name: [str(each) for each in rows[0]] for name, rows in BOTH.items()}

pytestmark = pytest.mark.needs("peer:mlserver")


@pytest.fixture(scope="module")
def found(open_inference: Served) -> dict[str, Any]:
    return open_inference.run("mlserver", CLIENTS)


def test_its_stubs_read_what_a_server_and_a_model_say(found: dict[str, Any]) -> None:
    assert [found[key] for key in ("live", "ready", "model_ready")] == [True] * 3
    assert (found["server"], found["versions"]) == ("charkh", ["1"])
    assert found["metadata"] == [["INPUT0", "INT32", [-1, 16]], ["INPUT1", "INT32", [-1, 16]]]


def test_its_requests_are_answered_in_the_form_that_they_have(found: dict[str, Any]) -> None:
    assert found["typed"] == found["raw"] == found["rest"] == BOTH
    assert found["id"] == "mine"
    assert found["typed_texts"] == found["rest_texts"] == TEXTS
    assert found["columns"] == found["rest_columns"] == ["predict", "predict_proba"]
