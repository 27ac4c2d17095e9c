"""The PyTorch runtime with the real PyTorch: the suite of the port, and what only this format can do wrong.

Run by `test_pytorch.py` with the Python of PyTorch's environment; pytest does not collect it by its name.
"""

import io
import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charkh.core.errors import Denied, Invalid
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.runtimes.torch import FILE, TorchRuntime
from charkh.testing.runtimes import RuntimeSuite, Sample, Touch, disguises, zip_of

ROWS = np.arange(24, dtype=np.float32).reshape(8, 3) - 11
MATRIX = Signature(inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 3)),), outputs=())


class Scorer(torch.nn.Module):
    """Whole numbers as weights: every sum is exact, whatever the order."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(3, 2)
        self.hidden.weight = torch.nn.Parameter(torch.tensor([[1.0, -2.0, 3.0], [2.0, 0.0, 1.0]]))
        self.hidden.bias = torch.nn.Parameter(torch.tensor([5.0, -4.0]))
        self.register_buffer("scale", torch.tensor([2.0, 1.0]))
        self.active = torch.nn.ReLU()

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        score = self.active(self.hidden(x) * self.scale)
        return {"label": score.argmax(1), "score": score}


def exported(module: torch.nn.Module, *examples: torch.Tensor, fixed: bool = False) -> Any:
    rows = torch.export.Dim("rows")
    shapes = None if fixed else (tuple({0: rows} for _ in examples))
    return torch.export.export(module.eval(), examples, dynamic_shapes=shapes)


@cache
def program() -> Any:
    return exported(Scorer(), torch.zeros(4, 3))


class TestTorchRuntime(RuntimeSuite):
    def make(self) -> TorchRuntime:
        return TorchRuntime()

    def sample(self) -> Sample:
        with torch.no_grad():
            answers = {name: each.numpy() for name, each in Scorer()(torch.from_numpy(ROWS)).items()}
        outputs = (TensorSpec(name="label", datatype="INT64"), TensorSpec(name="score", datatype="FP32", shape=(-1, 2)))
        columns = tuple(TensorSpec(name=name, datatype="FP32") for name in "abc")
        inputs = {name: ROWS[:, place] for place, name in enumerate("abc")}
        return Sample(program(), Signature(inputs=columns, outputs=outputs), inputs, answers)

    def hostile(self, files: Mapping[str, bytes], marker: Path) -> Mapping[str, Mapping[str, bytes]]:
        data = files[FILE]
        pickled = zip_of({"archive/data.pkl": pickle.dumps(Touch(marker), 2), "archive/version": b"3"})
        weights = "data/weights/model_weights_config.json"
        call = f"__import__('pathlib').Path({str(marker)!r}).touch()"
        return {
            **disguises(files, marker),
            "pickled sample inputs": {FILE: with_member(data, "data/sample_inputs/model.pt", pickled)},
            "pickled weight": {FILE: edited(data, _pickle_a_weight, weights, {"data/weights/weight_0": pickled})},
            "evaluated size": {FILE: edited(data, lambda each: _set_sizes(each, f"{call} or 4"))},
            "evaluated guard": {FILE: edited(data, lambda each: each.update(guards_code=[call]))},
            "operator outside": {FILE: edited(data, lambda each: _set_target(each, "torch.os.system"))},
            "operator of files": {
                FILE: edited(data, lambda each: _set_target(each, "torch.ops.aten.from_file.default"))
            },
            "machine code": {FILE: with_member(data, "data/aotinductor/model/model.so", b"\x7fELF")},
        }


def with_member(data: bytes, name: str, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    return zip_of({**members, f"archive/{name}": content})


def edited(
    data: bytes,
    change: Callable[[Any], object],
    name: str = "models/model.json",
    more: Mapping[str, bytes] | None = None,
) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        document = json.loads(archive.read(f"archive/{name}"))
    change(document)
    for member, content in (more or {}).items():
        data = with_member(data, member, content)
    return with_member(data, name, json.dumps(document).encode())


def _pickle_a_weight(document: Any) -> None:
    next(iter(document["config"].values()))["use_pickle"] = True


def _set_sizes(document: Any, text: str) -> None:
    document["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0]["as_expr"]["expr_str"] = text


def _set_target(document: Any, target: str) -> None:
    document["graph_module"]["graph"]["nodes"][0]["target"] = target


def test_what_is_saved_opens_in_pytorch_and_carries_no_pickle_and_no_path_of_the_author() -> None:
    data = TorchRuntime().save(program())[FILE]
    assert b"check_torch" not in data
    assert b"data.pkl" not in data
    module = torch.export.load(io.BytesIO(data)).module()
    assert module(torch.from_numpy(ROWS))["label"].tolist() == Scorer()(torch.from_numpy(ROWS))["label"].tolist()


def test_a_file_of_pytorch_itself_is_inert_with_the_sample_inputs_that_it_pickles() -> None:
    out = io.BytesIO()
    torch.export.save(exported(torch.nn.Linear(3, 1), torch.zeros(4, 3)), out)
    runtime = TorchRuntime()
    assert runtime.inspect({"any.pt2": out.getvalue()}).level == "inert"
    inputs = (TensorSpec(name="input", datatype="FP32", shape=(-1, 3)),)
    assert runtime.load({"any.pt2": out.getvalue()}, Signature(inputs=inputs, outputs=())).predict({"input": ROWS})


def test_a_tensor_that_points_outside_its_bytes_is_code() -> None:
    def grow(document: Any) -> None:
        document["config"]["hidden.weight"]["tensor_meta"]["sizes"][0]["as_int"] = 10**6

    data = TorchRuntime().save(program())[FILE]
    verdict = TorchRuntime().inspect({FILE: edited(data, grow, "data/weights/model_weights_config.json")})
    assert verdict.runs_code
    assert "outside its bytes" in verdict.reasons[0]


def test_a_program_for_one_number_of_rows_is_refused_with_how_to_export_it() -> None:
    with pytest.raises(Invalid, match="exactly 4 rows") as raised:
        TorchRuntime().save(exported(torch.nn.Linear(3, 1), torch.zeros(4, 3), fixed=True))
    assert "dynamic_shapes" in (raised.value.hint or "")


def test_training_is_refused() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3)).train()
    shapes = ({0: torch.export.Dim("rows")},)
    with pytest.raises(Denied, match="eval"):
        TorchRuntime().save(torch.export.export(module, (torch.zeros(4, 3),), dynamic_shapes=shapes))


def test_weights_beside_a_program_take_the_place_of_its_own() -> None:
    from safetensors.torch import save

    runtime, trained = TorchRuntime(), Scorer()
    files = runtime.save(program())
    trained.hidden.bias = torch.nn.Parameter(torch.tensor([50.0, -40.0]))
    state = {name: each.detach() for name, each in trained.state_dict().items()}
    beside = {**files, "weights.safetensors": save(state)}
    assert runtime.inspect(beside).level == "inert"
    answers = runtime.load(beside, MATRIX).predict({"x": ROWS})
    np.testing.assert_array_equal(answers["score"], trained(torch.from_numpy(ROWS))["score"].detach().numpy())
    with pytest.raises(Invalid, match=r"lacks 'hidden\.bias'"):
        runtime.load({**files, "weights.safetensors": save({"hidden.weight": state["hidden.weight"]})}, MATRIX)
    with pytest.raises(Invalid, match="another type or shape"):
        runtime.load({**files, "weights.safetensors": save({**state, "scale": torch.zeros(3)})}, MATRIX)
    with pytest.raises(Invalid, match="none of that name"):
        runtime.load({**files, "weights.safetensors": save({**state, "more": torch.zeros(3)})}, MATRIX)
    assert runtime.inspect({**beside, "weights.safetensors": beside["weights.safetensors"] + b"x"}).runs_code
    assert runtime.inspect({"weights.safetensors": beside["weights.safetensors"]}).runs_code


class Mixed(torch.nn.Module):
    """Two inputs of different types, attention, a size in the graph, half precision, a change in place."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(10, 8)
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.last = torch.nn.Linear(8, 2).bfloat16()

    def forward(self, words: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows, length = words.shape
        seen = self.table(words)
        mixed = self.attention(seen, seen, seen, need_weights=False)[0].reshape(rows * length, 8)
        score = self.last(mixed.bfloat16().relu_()).reshape(rows, length, 2).sum(1)
        return score, weight.unsqueeze(1).expand(rows, 2)


def test_the_answers_are_those_of_the_module() -> None:
    module, words, weight = Mixed().eval(), torch.arange(8).reshape(2, 4), torch.tensor([0.5, 1.5])
    runtime = TorchRuntime()
    inputs = (
        TensorSpec(name="words", datatype="INT64", shape=(-1, 4)),
        TensorSpec(name="weight", datatype="FP32"),
    )
    threads = torch.get_num_threads()
    predictor = runtime.load(runtime.save(exported(module, words, weight)), Signature(inputs=inputs, outputs=()))
    answers = predictor.predict({"words": words.numpy(), "weight": weight.numpy()})
    score, wide = module(words, weight)
    np.testing.assert_allclose(answers["output_0"], score.detach().float().numpy(), rtol=1e-2)
    np.testing.assert_array_equal(answers["output_1"], wide.numpy())
    assert torch.get_num_threads() == threads
    with pytest.raises(Invalid, match="out of range"):
        predictor.predict({"words": words.numpy() + 50, "weight": weight.numpy()})


def test_a_pickled_module_is_code_and_answers_apart_where_it_is_trusted(tmp_path: Path) -> None:
    out = io.BytesIO()
    torch.save(torch.nn.Sequential(torch.nn.Linear(3, 1)), out)
    files = {"model.pt": out.getvalue()}
    runtime = TorchRuntime()
    assert runtime.takes(files)
    assert runtime.inspect(files).runs_code
    with pytest.raises(Denied):
        runtime.load(files, MATRIX)
    predictor = runtime.load_apart(files, MATRIX)
    assert predictor.predict({"x": ROWS})["output"].shape == (8, 1)
