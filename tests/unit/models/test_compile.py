"""A compiled form is served where it answers alike, and only there; what came out is recorded."""

from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from charkh.core.errors import Invalid
from charkh.core.events import Draft
from charkh.models.compile import compile_model, example_of
from charkh.models.compiled import COMPILED_KIND, CompiledOf, ModelCompiled
from charkh.models.compiled import PROJECTION as COMPILED
from charkh.models.governance_index import PROJECTION as GOVERNANCE
from charkh.models.index import PROJECTION
from charkh.models.load import load
from charkh.models.model import ModelVersion
from charkh.models.parity import ParityReport, boundary_rows
from charkh.models.register import register
from charkh.ports.runtimes import Signature
from charkh.ports.store import Store
from charkh.runtimes.compiled_sklearn import compile_sklearn
from charkh.runtimes.onnx import OnnxRuntime
from charkh.runtimes.sklearn import SklearnRuntime
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store

RUNTIMES = (SklearnRuntime(), OnnxRuntime())
DRAW = np.random.default_rng(0)
ROWS = DRAW.normal(size=(60, 3))
LABELS = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(int)


def fitted(labels: Any) -> Any:
    forest: Any = RandomForestClassifier(6, max_depth=4, random_state=0)
    return forest.fit(ROWS, labels)


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, GOVERNANCE, COMPILED)


@pytest.fixture
def version(store: Store) -> ModelVersion:
    forest = fitted(LABELS)
    return register(store, "late", forest, runtimes=RUNTIMES, example=ROWS[:10])


def other_forest(_files: object, signature: Signature) -> bytes:
    """The graph of another model."""
    forest = fitted(1 - LABELS)
    return compile_sklearn(SklearnRuntime().save(forest), signature)


def test_what_answers_alike_is_loaded_where_it_is_wanted(store: Store, version: ModelVersion) -> None:
    compiled = compile_model(store, "late@1", runtimes=RUNTIMES, convert=compile_sklearn)
    assert compiled.parity
    assert compiled.facts["compiled.parity"] is True
    assert compiled.rows > len(example_of(store, version)["input"])
    assert not load(store, "late@1", runtimes=RUNTIMES).compiled
    loaded = load(store, "late@1", runtimes=RUNTIMES, form="auto")
    assert loaded.compiled
    assert loaded.platform == "onnx (compiled from sklearn)"
    original = load(store, "late@1", runtimes=RUNTIMES).predictor.predict({"input": ROWS})
    answers = loaded.predictor.predict({"input": ROWS})
    assert {name: each.dtype for name, each in answers.items()} == {name: each.dtype for name, each in original.items()}
    assert (answers["predict"] == original["predict"]).all()


def test_what_answers_differently_is_recorded_and_not_served(store: Store, version: ModelVersion) -> None:
    compiled = compile_model(store, "late@1", runtimes=RUNTIMES, convert=other_forest)
    report = msgspec.json.decode(b"".join(store.vault.read(compiled.report)), type=ParityReport)
    assert not compiled.parity
    assert "example" in compiled.reason
    assert report.worst_rows["example"]["input"]
    assert not load(store, "late@1", runtimes=RUNTIMES, form="auto").compiled
    with pytest.raises(Invalid, match="answers differently"):
        load(store, "late@1", runtimes=RUNTIMES, form="compiled")


def test_what_cannot_be_converted_says_why(store: Store, version: ModelVersion) -> None:
    def refuse(_files: object, _signature: Signature) -> bytes:
        raise Invalid("no such operator", code="model.not_compiled")

    compiled = compile_model(store, "late@1", runtimes=RUNTIMES, convert=refuse)
    assert (compiled.parity, compiled.file, compiled.reason) == (False, None, "no such operator")


@pytest.mark.parametrize("graph", [b"", b"garbage"])
def test_a_damaged_form_leaves_the_original(
    store: Store, version: ModelVersion, graph: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    compiled = compile_model(store, "late@1", runtimes=RUNTIMES, convert=compile_sklearn)
    damaged = msgspec.structs.replace(compiled, file=store.vault.put_bytes(graph, "model.onnx"))
    store.record(Draft(kind=COMPILED_KIND, subject=version.subject, body=damaged))
    for _ in range(2):
        assert not load(store, "late@1", runtimes=RUNTIMES, form="auto").compiled
    assert sum("not compiled" in each.message for each in caplog.records) == 1


def test_rows_are_made_on_both_sides_of_where_the_label_changes() -> None:
    def predict(rows: object) -> dict[str, np.ndarray]:
        return {"predict": (rows["x"] > 0.3).astype(int)}  # type: ignore[index]

    rows = boundary_rows({"x": np.array([0.0, 1.0])}, predict)
    assert np.allclose(rows["x"], 0.3)
    assert sorted(predict(rows)["predict"].tolist()) == [0, 1]
    assert boundary_rows({"x": np.array([0.0])}, predict) == {}


def test_the_newest_attempt_counts_in_any_order(store: Store, version: ModelVersion) -> None:
    bodies = [
        ModelCompiled(
            name="late",
            version=version.id,
            number=1,
            digest=version.made.tree.root,
            parity=parity,
            report=store.vault.put_bytes(b"{}", "r.json"),
        )
        for parity in (False, True)
    ]
    for body in bodies:
        store.record(Draft(kind=COMPILED_KIND, subject=version.subject, body=body))
    found = store.queries.ask(CompiledOf(version=version.id))
    assert found is not None
    assert found.parity
    assert_order_free([COMPILED], payloads_of(store), [CompiledOf(version=version.id)], rounds=2)
