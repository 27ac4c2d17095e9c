"""Requests of one turn: each is answered as if it were alone, whatever its neighbours are."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.endpoints.application import Application
from charkh.endpoints.at_once import answer_at_once
from charkh.endpoints.door import Door
from charkh.endpoints.http.connection import Asked
from charkh.endpoints.in_use import InUse
from charkh.endpoints.read import predictions
from charkh.endpoints.rest import infer, predict
from charkh.endpoints.route import Reply, Request
from charkh.endpoints.servable import Expected, Servable
from charkh.ports.runtimes import Signature, Tensors, TensorSpec
from charkh.ports.store import Store

SIGNATURE = Signature(inputs=(TensorSpec(name="x", datatype="FP64"),), outputs=(TensorSpec(name="y", datatype="FP64"),))

VALUES = st.sampled_from([1.0, 2.5, -1.0, 13.0, "no number"])


class Doubling:
    """Doubles its rows; refuses what is negative and breaks on 13."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, inputs: Tensors) -> Tensors:
        rows = inputs["x"]
        self.calls.append(len(rows))
        if (rows < 0).any():
            raise Invalid("negative", code="model.input_misfit")
        if (rows == 13).any():
            raise RuntimeError("unlucky")
        return {"y": rows * 2}


def servable(model: Callable[[Tensors], Tensors], name: str = "m") -> Servable:
    return Servable(
        name=name, version="1", subject="model:1", signature=SIGNATURE, predict=model, expected=Expected(1e-6, 100.0)
    )


def request(*values: Any) -> Request:
    tensor = {"name": "x", "shape": [len(values)], "datatype": "FP64", "data": list(values)}
    return Request({}, msgspec.json.encode({"inputs": [tensor]}))


def told(reply: Reply) -> Any:
    """What a client reads: the status, and the rows where there are some."""
    body = msgspec.json.decode(reply.body)
    return (reply.status, body["outputs"][0]["data"]) if reply.status == 200 else (reply.status, body["error"][:20])


def answers(model: Callable[[Tensors], Tensors], requests: Sequence[Request]) -> list[Any]:
    replies = answer_at_once(InUse(servable(model)), [(infer, each) for each in requests])
    return [told(each) for each in replies]


def test_several_are_one_call_and_each_gets_its_rows() -> None:
    model = Doubling()
    assert answers(model, [request(1, 2), request(3), request(4, 5, 6)]) == [
        (200, [2, 4]),
        (200, [6]),
        (200, [8, 10, 12]),
    ]
    assert model.calls == [6]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([1.0, 2.5, -1.0, 13.0, "no number"]), min_size=1, max_size=3), min_size=1, max_size=8
    )
)
def test_neighbours_change_nothing(rows: list[list[Any]]) -> None:
    requests = [request(*values) for values in rows]
    alone = [answers(Doubling(), [each])[0] for each in requests]
    assert answers(Doubling(), requests) == alone


def test_what_refuses_or_breaks_is_found_out_alone(caplog: pytest.LogCaptureFixture) -> None:
    model = Doubling()
    said = answers(model, [request(1), request(-1), request(13), Request({}, b"garbage"), request(2)])
    assert [each[0] for each in said] == [200, 400, 500, 400, 200]
    assert model.calls == [4, 1, 1, 1, 1]
    assert caplog.text.count("RuntimeError: unlucky") == 1


def test_a_model_that_mixes_rows_up_is_asked_about_each() -> None:
    def first_alone(inputs: Tensors) -> Tensors:
        return {"y": inputs["x"][:1]}

    assert answers(first_alone, [request(7), request(8)]) == [(200, [7]), (200, [8])]


def test_together_only_where_it_pays() -> None:
    model = Doubling()
    served = InUse(servable(model))
    for rows in (1, 2, 3, 4) * 4:
        served.together.add(rows, rows * 0.001)
    answer_at_once(served, [(infer, request(1)), (infer, request(2))])
    assert model.calls == [1, 1]


def test_not_too_many_rows_and_only_what_is_alike() -> None:
    signature = Signature(
        inputs=(TensorSpec(name="x", datatype="FP64", shape=(-1, -1)),),
        outputs=(TensorSpec(name="y", datatype="FP64"),),
    )
    calls: list[tuple[int, ...]] = []

    def sums(inputs: Tensors) -> Tensors:
        calls.append(inputs["x"].shape)
        return {"y": inputs["x"].sum(axis=1)}

    def wide(*shape: int) -> Request:
        data = np.ones(shape).ravel().tolist()
        tensor = {"name": "x", "shape": shape, "datatype": "FP64", "data": data}
        return Request({}, msgspec.json.encode({"inputs": [tensor]}))

    served = InUse(replace(servable(sums), signature=signature))
    asked = [wide(2, 3), wide(1, 3), wide(1, 4), wide(3000, 4), wide(3000, 4)]
    replies = answer_at_once(served, [(infer, each) for each in asked])
    assert [told(each)[1][0] for each in replies] == [3, 3, 4, 4, 4]
    assert calls == [(3, 3), (3001, 4), (3000, 4)]


def test_each_is_logged_with_its_own_rows(store: Store, servable: Callable[..., Servable]) -> None:
    made = servable()
    row = {"x": 1.0, "hour": 1}
    bodies = [[row], [row, {**row, "x": 2.0}], [{"x": "no", "hour": 1}]]
    asked = [(predict, Request({}, msgspec.json.encode(body))) for body in bodies]
    replies = answer_at_once(InUse(made), asked)
    assert [each.status for each in replies] == [200, 200, 400]
    logged = predictions(store, "delay")
    ids = [row["prediction_id"] for each in replies[:2] for row in msgspec.json.decode(each.body)["predictions"]]
    assert sorted(logged["prediction_id"]) == sorted(ids)
    assert sorted(logged["x"]) == [1.0, 1.0, 2.0]
    assert predictions(store, "delay", failed=True).height == 1


def test_the_application_answers_at_once_what_it_can_and_leaves_the_rest() -> None:
    one, other = Doubling(), Doubling()
    slow = replace(servable(Doubling(), "slow"), waits=True)
    app = Application(
        [servable(one, "one"), servable(other, "other"), slow], Door("127.0.0.1", open_inference=True), max_body=1000
    )

    def asked(path: str, body: bytes = request(1).body, method: str = "POST", **headers: str) -> Asked:
        return Asked(method, path, {"host": "127.0.0.1", **headers}, body, None, b"")

    turn = [
        asked("/v2/models/one/infer"),
        asked("/v2/models/other/infer"),
        asked("/v2/models/one/versions/1/infer", request(2).body),
        asked("/v2/models/slow/infer"),
        asked("/v2/models/none/infer"),
        asked("/v2/models/one/infer", method="GET"),
        asked("/v2/models/one", method="GET"),
        asked("/v2/models/one/infer", bytes(1001)),
        asked("/v2/models/one/infer", **{"content-encoding": "gzip"}),
        asked("/v2/models/one/infer", host="evil.example"),
    ]
    replies = app.at_once(turn)
    assert [told(each) for each in replies if each is not None] == [(200, [2]), (200, [2]), (200, [4])]
    assert [number for number, each in enumerate(replies) if each is not None] == [0, 1, 2]
    assert (one.calls, other.calls) == ([2], [1])
    app.draining = True
    assert app.at_once(turn[:2]) == [None, None]
