"""Graphs of models: what they take and give, and what comes out of chains, combiners, routers and transformers."""

from typing import Any

import msgspec
import numpy as np
import pytest

from charkh.core.errors import Invalid
from charkh.core.graph_settings import Graph, check_graph, models_of, recipes_of
from charkh.endpoints.graphs.compile import Part, compile_graph
from charkh.ports.runtimes import Signature, Tensors, TensorSpec


def spec(name: str, datatype: str = "FP64", *size: int) -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=(-1, *size))


def times(factor: float, *, label: str = "") -> Part:
    outputs = (spec("y"), spec("label", "BYTES")) if label else (spec("y"),)

    def predict(inputs: Tensors) -> Tensors:
        said: dict[str, Any] = {"y": inputs["x"] * factor}
        return {**said, "label": np.full(len(inputs["x"]), label, object)} if label else said

    return Part(predict, Signature(inputs=(spec("x"),), outputs=outputs))


def failing(_inputs: Tensors) -> Tensors:
    raise RuntimeError("no")


MODELS = {
    "one": times(1.0, label="a"),
    "two": times(2.0, label="b"),
    "ten": times(10.0, label="b"),
    "plain": times(3.0),
    "broken": Part(failing, times(1.0, label="a").signature),
}
X = np.array([1.0, 2.0, 3.0])


def graph(root: str, **node: Any) -> Graph:
    models = {name: {"kind": "model", "model": name} for name in MODELS}
    made = msgspec.convert({"root": root, "node": {**models, **node}}, Graph)
    check_graph(made, "[endpoint.test.graph]")
    return made


def ask(made: Graph, raw: Signature | None = None, **inputs: Any) -> Tensors:
    return compile_graph(made, MODELS, raw=raw).predict(inputs or {"x": X})


def test_a_chain_gives_each_step_the_request_and_the_answers_before_it() -> None:
    chain = {"kind": "chain", "steps": ["one", "second"]}
    second = {"kind": "model", "model": "ten", "inputs": {"x": "y"}, "outputs": {"y": "z"}}
    part = compile_graph(graph("c", c=chain, second=second), MODELS)
    assert [each.name for each in part.signature.inputs] == ["x"]
    assert [each.name for each in part.signature.outputs] == ["z", "label"]
    assert part.predict({"x": X})["z"].tolist() == [10, 20, 30]
    both = graph("c", c={**chain, "answers": ["one", "second"]}, second=second)
    assert set(ask(both)) == {"y", "one_label", "z", "second_label"}
    named = {"kind": "model", "model": "plain", "inputs": {"x": "two.y"}}
    diamond = graph("c", c={"kind": "chain", "steps": ["two", "ten", "last"]}, last=named)
    assert ask(diamond)["y"].tolist() == [6, 12, 18]


def test_a_step_that_is_given_the_answer_alone_may_ask_for_nothing_else() -> None:
    chain = {"kind": "chain", "steps": ["one", "two"], "takes": {"two": "answer"}}
    with pytest.raises(Invalid, match="takes 'x', which is not among"):
        compile_graph(graph("c", c=chain), MODELS)


@pytest.mark.parametrize(
    ("how", "weights", "expected"),
    [
        ("mean", [], [13 / 3, 26 / 3, 13]),
        ("median", [], [2, 4, 6]),
        ("least", [], [1, 2, 3]),
        ("greatest", [], [10, 20, 30]),
        ("weighted", [1, 1, 2], [23 / 4, 23 / 2, 69 / 4]),
    ],
)
def test_a_combiner_joins_numbers(how: str, weights: list[float], expected: list[float]) -> None:
    numbers = {"kind": "transformer", "changes": [{"op": "keep", "output": "y"}]}
    nodes = {f"only_{name}": {**numbers, "of": name} for name in ("one", "two", "ten")}
    made = graph("c", c={"kind": "combiner", "of": list(nodes), "how": how, "weights": weights}, **nodes)
    assert ask(made)["y"] == pytest.approx(expected)


def test_labels_are_elected_and_a_tie_goes_to_the_node_that_stands_first() -> None:
    def elect(of: list[str], weights: list[float]) -> list[str]:
        made = graph("c", c={"kind": "combiner", "of": of, "how": "vote", "weights": weights})
        return ask(made)["label"].tolist()

    assert elect(["one", "two", "ten"], []) == ["b"] * 3
    assert elect(["one", "two"], []) == ["a"] * 3
    assert elect(["one", "two", "ten"], [5, 1, 1]) == ["a"] * 3


def test_labels_have_no_mean() -> None:
    with pytest.raises(Invalid, match="no numbers"):
        compile_graph(graph("c", c={"kind": "combiner", "of": ["one", "two"]}), MODELS)


def test_an_optional_node_may_fail_and_another_may_not() -> None:
    spared = {"kind": "combiner", "of": ["broken", "ten"], "how": "vote", "optional": ["broken"]}
    assert ask(graph("c", c=spared))["y"].tolist() == [10, 20, 30]
    assert ask(graph("c", c={"kind": "combiner", "of": ["broken", "ten"], "how": "first"}))["y"].tolist() == [
        10,
        20,
        30,
    ]
    with pytest.raises(RuntimeError, match="no"):
        ask(graph("c", c={**spared, "optional": []}))
    with pytest.raises(RuntimeError, match="no"):
        ask(graph("c", c={"kind": "combiner", "of": ["broken"], "how": "vote", "optional": ["broken"]}))


def test_rows_go_where_their_columns_say_and_stay_in_order() -> None:
    cases = [{"when": "x > 2", "to": "ten"}, {"when": "x > 1", "to": "two"}]
    made = graph("r", r={"kind": "router", "cases": cases, "default": "one"})
    answer = ask(made, x=np.array([3.0, 1.0, 2.0, 4.0]))
    assert answer["y"].tolist() == [30, 1, 4, 40]
    assert answer["label"].tolist() == ["b", "a", "b", "b"]
    assert ask(made, x=np.array([], float))["y"].tolist() == []
    nowhere = graph("r", r={"kind": "router", "cases": cases})
    with pytest.raises(Invalid, match="row 1 goes nowhere"):
        ask(nowhere, x=np.array([3.0, np.nan]))


def test_a_column_that_no_model_takes_needs_an_example() -> None:
    made = graph("r", r={"kind": "router", "cases": [{"when": "region == 'EU'", "to": "ten"}], "default": "one"})
    with pytest.raises(Invalid, match="nobody knows its type"):
        compile_graph(made, MODELS)
    raw = Signature(inputs=(spec("x"), spec("region", "BYTES")), outputs=())
    answer = ask(made, raw, x=X, region=np.array(["EU", "US", "EU"], object))
    assert answer["y"].tolist() == [10, 2, 30]


def test_equal_keys_go_one_way_in_the_shares_that_were_asked_for() -> None:
    made = graph("r", r={"kind": "router", "weights": {"one": 3, "ten": 1}, "key": "x"})
    keys = np.arange(4000, dtype=float)
    first, again = ask(made, x=keys)["label"], ask(made, x=keys[::-1])["label"][::-1]
    assert first.tolist() == again.tolist()
    assert 0.22 < (first == "b").mean() < 0.28


def test_an_answer_is_changed_in_order() -> None:
    changes = [
        {"op": "scale", "output": "y", "by": 0.1, "plus": 1.0, "to": "p"},
        {"op": "clip", "output": "p", "high": 1.25},
        {"op": "threshold", "output": "y", "at": 2.0},
        {"op": "labels", "output": "y", "labels": ["no", "yes"], "to": "said"},
        {"op": "drop", "output": "y"},
    ]
    answer = ask(graph("t", t={"kind": "transformer", "of": "plain", "changes": changes}))
    assert answer["p"] == pytest.approx([1.25, 1.25, 1.25])
    assert answer["said"].tolist() == ["yes", "yes", "yes"]
    assert set(answer) == {"p", "said"}


def test_a_recipe_runs_before_a_node_and_what_a_request_holds_is_the_example() -> None:
    made = graph("t", t={"kind": "transformer", "of": "one", "recipes": ["clean"]})
    assert recipes_of(made) == ("clean",)
    with pytest.raises(Invalid, match="nobody knows what a request holds"):
        compile_graph(made, MODELS)
    raw = Signature(inputs=(spec("text", "BYTES"),), outputs=())

    def lengths(given: Tensors) -> Tensors:
        texts: list[str] = given["text"].tolist()
        return {"x": np.array([float(len(each)) for each in texts])}

    def prepare(refs: Any) -> Any:
        assert tuple(refs) == ("clean",)
        return lengths

    part = compile_graph(made, MODELS, prepare, raw)
    assert part.signature.inputs == raw.inputs
    assert part.predict({"text": np.array(["abc", ""], object)})["y"].tolist() == [3, 0]


def test_two_models_that_read_a_number_differently_are_both_given_what_they_take() -> None:
    def halve(inputs: Tensors) -> Tensors:
        return {"y": inputs["x"] // 2}

    whole = Part(halve, Signature(inputs=(spec("x", "INT64"),), outputs=(spec("y"),)))
    made = graph("c", c={"kind": "combiner", "of": ["plain", "half"]}, half={"kind": "model", "model": "half"})
    part = compile_graph(made, {**MODELS, "half": whole})
    assert part.signature.inputs[0].datatype == "FP64"
    assert part.predict({"x": np.array([4.0])})["y"].tolist() == [7]
    with pytest.raises(Invalid, match="not whole"):
        part.predict({"x": np.array([4.5])})


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"kind": "chain", "steps": ["n"]}, "circle"),
        ({"kind": "chain", "steps": ["nowhere"]}, "names a node 'nowhere'"),
        ({"kind": "combiner", "of": ["one"], "how": "weighted"}, "0 weights for 1"),
        ({"kind": "router"}, "leads nowhere"),
        ({"kind": "router", "weights": {"one": -1.0}}, "has the weights"),
        ({"kind": "transformer"}, "transforms nothing"),
    ],
)
def test_a_graph_that_cannot_run_is_refused(node: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        graph("n", n=node)


def test_only_what_a_request_can_reach_is_loaded() -> None:
    assert models_of(graph("c", c={"kind": "combiner", "of": ["ten", "one"]})) == ("ten", "one")
