"""Registering, loading, moving, promoting and rolling back models, on a real store and real pipelines."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from charkh.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from charkh.core.events import decode_event
from charkh.core.files import TreeRef
from charkh.core.refs import parse_version_ref
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import EdgesFrom, FactsAbout, HeldDigests
from charkh.models.alias import holder_of, move_alias, remove_alias
from charkh.models.decisions import RegisterModel
from charkh.models.delete import delete
from charkh.models.example import ExampleRequest
from charkh.models.files import read_files
from charkh.models.find import find
from charkh.models.governance_index import PROJECTION as GOVERNANCE
from charkh.models.index import (
    PROJECTION,
    AliasesOf,
    AliasHistory,
    ModelByRef,
    Models,
    ModelsOfRun,
    ModelVersions,
)
from charkh.models.load import load
from charkh.models.model import ModelVersion, VersionMade
from charkh.models.promote import promote
from charkh.models.register import register
from charkh.models.roll_back import roll_back
from charkh.ports.projections import Describe
from charkh.ports.runtimes import Safety, Signature, TensorSpec
from charkh.ports.store import Store
from charkh.runtimes.sklearn import SklearnRuntime
from charkh.testing.runtimes import Touch
from charkh.testing.stores import memory_store

RUNTIMES = (SklearnRuntime(),)
ROWS = pl.DataFrame({"hour": [1, 9, 17, 22], "origin": ["EWR", "JFK", "LGA", "JFK"], "wind": [3.5, None, 1.0, 2.0]})
LATE = [0, 1, 1, 0]


def pipeline() -> Any:
    columns = ColumnTransformer([("origin", OneHotEncoder(), ["origin"])], remainder="drop")
    return make_pipeline(columns, LogisticRegression()).fit(ROWS, LATE)


def line(slope: float) -> LinearRegression:
    model = LinearRegression()
    return model.fit(np.array([[0.0], [1.0]]), np.array([0.0, slope]))


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, GOVERNANCE, LINEAGE)


def add(store: Store, slope: float, name: str = "delay", **more: Any) -> ModelVersion:
    return register(store, name, line(slope), runtimes=RUNTIMES, example=np.array([[0.5]]), **more)


def sync(*stores: Store) -> None:
    """Every store gets the facts that another has and it lacks."""
    known = [
        {decode_event(payload).id: payload for batch in store.journal.read({}) for payload in batch.payloads}
        for store in stores
    ]
    for store, mine in zip(stores, known, strict=True):
        foreign = {identifier: payload for other in known for identifier, payload in other.items()}
        store.journal.append([payload for identifier, payload in sorted(foreign.items()) if identifier not in mine])


def two_stores() -> tuple[Store, Store]:
    return memory_store(PROJECTION, GOVERNANCE, actor="ann@laptop"), memory_store(
        PROJECTION, GOVERNANCE, actor="bob@desk"
    )


def test_a_pipeline_is_registered_with_what_is_known_about_it(store: Store) -> None:
    version = register(
        store,
        "delay",
        pipeline(),
        runtimes=RUNTIMES,
        example=ROWS,
        run="r1",
        datasets=["d2", "d1"],
        metrics={"auc": 0.7, "rows": 4},
        description="Predicts late flights.",
    )
    made = version.made
    assert version.ref == "delay@1"
    assert {spec.name: (spec.datatype, spec.optional) for spec in made.signature.inputs} == {
        "hour": ("INT64", False),
        "origin": ("BYTES", False),
        "wind": ("FP64", True),
    }
    assert {spec.name: (spec.datatype, spec.shape) for spec in made.signature.outputs} == {
        "predict": ("INT64", (-1,)),
        "predict_proba": ("FP64", (-1, 2)),
    }
    assert made.safety == Safety(level="listed")
    assert made.libraries["scikit-learn"]
    assert version.metrics == {"auc": 0.7, "rows": 4}
    edges = store.queries.ask(EdgesFrom(subject=version.subject))
    assert {(edge.relation, edge.target) for edge in edges} == {
        ("produced_by", "run:r1"),
        ("trained_on", "dataset:d1"),
        ("trained_on", "dataset:d2"),
    }
    facts = store.queries.ask(FactsAbout(subject=version.subject))
    assert {fact.name: fact.value for fact in facts} == {"auc": 0.7, "rows": 4}
    assert made.example is not None
    assert made.description is not None
    held = store.queries.ask(HeldDigests())
    assert {made.tree.root, made.example.held, made.description.held} == set(held)
    assert b"".join(store.vault.read(made.description)) == b"Predicts late flights."
    request = msgspec.json.decode(b"".join(store.vault.read(made.example)), type=ExampleRequest)
    assert [item.name for item in request.inputs] == ["hour", "origin", "wind"]


def test_it_is_loaded_by_reference_and_answers(store: Store) -> None:
    model = pipeline()
    register(store, "delay", model, runtimes=RUNTIMES, example=ROWS)
    move_alias(store, "delay@1", "champion")
    loaded = load(store, "delay@champion", runtimes=RUNTIMES)
    inputs = {name: ROWS[name].to_numpy() for name in ROWS.columns}
    np.testing.assert_array_equal(loaded.predictor.predict(inputs)["predict"], model.predict(ROWS))
    assert loaded.version.ref == "delay@1"


def test_saying_the_same_again_is_the_same_version(store: Store) -> None:
    first = add(store, 1, run="r")
    assert add(store, 1, run="r") == first
    assert add(store, 1, run="other").made.number == 2
    assert add(store, 1, run="r", metrics={"auc": 0.5}).made.number == 3
    assert add(store, 2, run="r").made.number == 4


def test_secrets_in_a_description_do_not_enter(store: Store) -> None:
    version = add(store, 1, description="password=hunter2hunter2")
    assert version.made.description is not None
    assert b"hunter2" not in b"".join(store.vault.read(version.made.description))


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"metrics": {"auc": float("nan")}}, Invalid),
        ({"metrics": {"auc": object()}}, Invalid),
        ({"runtime": "onnx"}, NotFound),
    ],
)
def test_what_cannot_be_recorded_is_refused(store: Store, more: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        add(store, 1, **more)
    assert store.queries.ask(Models()) == ()


def test_an_example_or_a_signature_is_needed(store: Store) -> None:
    with pytest.raises(Invalid, match="example"):
        register(store, "delay", line(1), runtimes=RUNTIMES)
    with pytest.raises(NotFound, match="runtime"):
        register(store, "delay", object(), runtimes=RUNTIMES, example=ROWS)
    with pytest.raises(Invalid, match="name"):
        register(store, "../delay", line(1), runtimes=RUNTIMES, example=np.zeros((1, 1)))


def test_files_that_run_code_are_recorded_but_never_loaded(store: Store, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    files = {"model.pkl": pickle.dumps(Touch(marker))}
    with pytest.raises(Denied, match="pickle"):
        register(store, "delay", files, runtimes=RUNTIMES, example=ROWS)
    signature = Signature(inputs=(TensorSpec(name="x", datatype="FP64"),), outputs=())
    version = register(store, "delay", files, runtimes=RUNTIMES, signature=signature)
    assert version.made.safety.level == "code"
    assert any("open" in reason for reason in version.made.safety.reasons)
    with pytest.raises(Denied, match="open"):
        load(store, "delay@1", runtimes=RUNTIMES)
    assert not marker.exists()


def test_files_can_be_registered_as_they_are(store: Store) -> None:
    files = RUNTIMES[0].save(line(2))
    version = register(store, "delay", files, runtimes=RUNTIMES, example=np.array([[1.0]]))
    assert read_files(store, version) == files
    assert version == register(store, "delay", line(2), runtimes=RUNTIMES, example=np.array([[1.0]]))


def test_a_missing_runtime_is_named(store: Store) -> None:
    add(store, 1)
    with pytest.raises(Unavailable, match="sklearn"):
        load(store, "delay@1", runtimes=())


def test_references(store: Store) -> None:
    first, second = add(store, 1), add(store, 2)
    move_alias(store, "delay@1", "champion")
    for ref, wanted in [
        ("delay", second),
        ("delay@latest", second),
        ("delay@1", first),
        ("delay@champion", first),
        (second.id, second),
        (f"model:{second.id}", second),
        ("delay@2~ann", second),
        (f"delay@2~{second.id}", second),
    ]:
        assert find(store, ref).id == wanted.id
    for ref in ("delay@3", "delay@rival", "other", "0" * 32, "delay@2~bob"):
        with pytest.raises(NotFound):
            find(store, ref)


def test_the_list_shows_models_with_their_aliases(store: Store) -> None:
    add(store, 1)
    add(store, 2)
    add(store, 1, name="price/eu")
    move_alias(store, "delay@1", "champion")
    summaries = store.queries.ask(Models())
    assert [(each.name, each.versions, each.latest.ref, each.aliases) for each in summaries] == [
        ("delay", 2, "delay@2", {"champion": 1}),
        ("price/eu", 1, "price/eu@1", {}),
    ]
    assert [each.name for each in store.queries.ask(Models(prefix="price"))] == ["price/eu"]


def test_models_of_a_run(store: Store) -> None:
    add(store, 1, run="r1")
    version = add(store, 2, run="r2")
    assert store.queries.ask(ModelsOfRun(run="r2")) == (version,)


def test_an_alias_has_one_holder_and_a_history(store: Store) -> None:
    first, second = add(store, 1), add(store, 2)
    move_alias(store, "delay@1", "champion", expect="", reason="the first")
    moved = move_alias(store, "delay@2", "champion", expect=first.id)
    assert moved.aliases == ("champion",)
    assert find(store, "delay@1").aliases == ()
    history = store.queries.ask(AliasHistory(name="delay", alias="champion"))
    assert [(move.number, move.moved.reason, move.current) for move in history] == [
        (2, "", True),
        (1, "the first", False),
    ]
    assert history[0].moved.replaces == (history[1].id,)
    assert [holder.version.id for holder in store.queries.ask(AliasesOf(name="delay")) if holder.version] == [second.id]


def test_moving_to_where_it_is_says_nothing(store: Store) -> None:
    add(store, 1)
    move_alias(store, "delay@1", "champion")
    move_alias(store, "delay@1", "champion")
    assert len(store.queries.ask(AliasHistory(name="delay"))) == 1


def test_a_move_that_expected_another_holder_is_a_conflict(store: Store) -> None:
    first, second = add(store, 1), add(store, 2)
    move_alias(store, "delay@1", "champion")
    for expect in ("", second.id):
        with pytest.raises(Conflict) as conflict:
            move_alias(store, "delay@2", "champion", expect=expect)
        assert conflict.value.code == "model.alias_moved"
        assert conflict.value.facts["holder"] == first.id
    assert find(store, "delay@champion").id == first.id


def test_an_alias_is_removed_and_kept_in_the_history(store: Store) -> None:
    version = add(store, 1)
    move_alias(store, "delay@1", "champion")
    remove_alias(store, "delay", "champion", expect=version.id, reason="it was wrong")
    with pytest.raises(NotFound):
        find(store, "delay@champion")
    assert store.queries.ask(AliasesOf(name="delay")) == ()
    holder = holder_of(store, "delay", "champion")
    assert holder is not None
    assert holder.version is None
    assert holder.move.moved.reason == "it was wrong"
    assert roll_back(store, "delay").id == version.id


def test_aliases_that_mean_something_else_are_refused(store: Store) -> None:
    add(store, 1)
    for alias in ("latest", "v3", "3", "", "a b"):
        with pytest.raises(Invalid):
            move_alias(store, "delay@1", alias)
    with pytest.raises(Invalid, match="reason"):
        move_alias(store, "delay@1", "champion", reason="x" * 501)


def test_an_alias_of_one_model_cannot_hold_a_version_of_another(store: Store) -> None:
    add(store, 1)
    other = add(store, 1, name="price")
    move_alias(store, "delay@1", "champion")
    from charkh.models.decisions import MoveAlias

    with pytest.raises(NotFound):
        store.commands.decide(MoveAlias(name="delay", alias="champion", version=other.id))


def test_who_held_it_then(store: Store) -> None:
    first, second = add(store, 1), add(store, 2)
    move_alias(store, "delay@1", "champion")
    move_alias(store, "delay@2", "champion")
    newer, older = store.queries.ask(AliasHistory(name="delay", alias="champion"))
    moments = {older.at - 1: None, newer.at: second.id, newer.at + 100: second.id}
    if newer.at > older.at:
        moments[older.at] = first.id
    for moment, wanted in moments.items():
        holder = holder_of(store, "delay", "champion", moment=moment)
        assert (holder and holder.version and holder.version.id) == wanted


def test_a_promotion_names_its_evidence_and_its_rival(store: Store) -> None:
    first, second = add(store, 1), add(store, 2)
    with pytest.raises(Invalid, match="evidence"):
        promote(store, "delay@1", decided_by="", expect="")
    promote(store, "delay@1", decided_by="gate-1", expect="")
    with pytest.raises(Conflict):
        promote(store, "delay@2", decided_by="gate-2", expect="")
    promote(store, "delay@2", decided_by="gate-2", expect=first.id, reason="auc")
    history = store.queries.ask(AliasHistory(name="delay", alias="champion"))
    assert [move.moved.decided_by for move in history] == ["gate-2", "gate-1"]
    assert find(store, "delay@champion").id == second.id


def test_rolling_back_undoes_step_by_step(store: Store) -> None:
    versions = [add(store, slope) for slope in (1, 2, 3)]
    for version in versions:
        move_alias(store, version.id, "champion")
    with pytest.raises(Conflict):
        roll_back(store, "delay", expect=versions[0].id)
    assert roll_back(store, "delay", expect=versions[2].id, reason="psi").id == versions[1].id
    assert roll_back(store, "delay").id == versions[0].id
    with pytest.raises(NotFound, match="no earlier holder"):
        roll_back(store, "delay")
    assert find(store, "delay@champion").id == versions[0].id


def test_a_rollback_passes_over_what_was_deleted(store: Store) -> None:
    versions = [add(store, slope) for slope in (1, 2, 3)]
    for version in versions:
        move_alias(store, version.id, "champion")
    delete(store, "delay@2")
    assert roll_back(store, "delay").id == versions[0].id


def test_a_deleted_version_lets_go_of_its_bytes_and_its_number_is_never_given_again(store: Store) -> None:
    add(store, 1)
    version = add(store, 2)
    delete(store, "delay@2", reason="trained on the wrong year")
    assert version.made.tree.root not in store.queries.ask(HeldDigests())
    with pytest.raises(NotFound, match="deleted"):
        find(store, "delay@2")
    assert find(store, "delay@latest").ref == "delay@1"
    again = add(store, 2)
    assert again.made.number == 3
    assert again.id != version.id
    assert len(store.queries.ask(ModelVersions(name="delay"))) == 2
    assert len(store.queries.ask(ModelVersions(name="delay", deleted=True))) == 3


def test_what_an_alias_is_on_is_not_deleted(store: Store) -> None:
    add(store, 1)
    move_alias(store, "delay@1", "champion")
    with pytest.raises(Conflict, match="champion"):
        delete(store, "delay@1")


def test_numbers_that_collided_exit_as_a_conflict() -> None:
    ann, bob = two_stores()
    mine, theirs = add(ann, 1), add(bob, 2)
    sync(ann, bob)
    for store in (ann, bob):
        with pytest.raises(Conflict) as conflict:
            find(store, "delay@1")
        assert set(conflict.value.facts["refs"]) == {"delay@1~ann", "delay@1~bob"}  # type: ignore[arg-type]
        assert find(store, "delay@1~ann").id == mine.id
        assert find(store, "delay@1~bob").id == theirs.id
    assert add(ann, 3).made.number == 2


def test_an_alias_moved_apart_shows_the_later_and_says_so_until_it_is_settled() -> None:
    ann, bob = two_stores()
    first, second, third = add(ann, 1), add(ann, 2), add(ann, 3)
    move_alias(ann, first.id, "champion")
    sync(ann, bob)
    move_alias(ann, second.id, "champion")
    move_alias(bob, third.id, "champion")
    sync(ann, bob)
    seen = [holder_of(store, "delay", "champion") for store in (ann, bob)]
    assert seen[0] == seen[1]
    holder = seen[0]
    assert holder is not None
    assert {holder.move.moved.version, *(rival.moved.version for rival in holder.rivals)} == {second.id, third.id}
    assert holder.move.stamp > holder.rivals[0].stamp
    assert [move.current for move in ann.queries.ask(AliasHistory(name="delay"))] == [True, True, False]
    move_alias(ann, holder.move.moved.version, "champion", reason="settled")
    sync(ann, bob)
    for store in (ann, bob):
        settled = holder_of(store, "delay", "champion")
        assert settled is not None
        assert settled.rivals == ()
        assert settled.move.moved.reason == "settled"


def test_a_model_is_portrayed(store: Store) -> None:
    version = add(store, 1, metrics={"auc": 0.5})
    description = store.queries.ask(Describe(subject=version.subject))
    assert description is not None
    assert description.title == "delay@1"
    assert ("auc", "0.5") in description.lines
    assert store.queries.ask(Describe(subject="model:" + "0" * 32)) is None


def made(name: str, content: str) -> VersionMade:
    return VersionMade(
        name=name,
        version="",
        number=0,
        content=content,
        tree=TreeRef(content, 1, 1),
        runtime="sklearn",
        libraries={},
        signature=Signature(inputs=(), outputs=()),
        safety=Safety(level="listed"),
    )


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["register", "move", "move", "remove", "back", "delete", "sync"]),
        st.integers(0, 1),
        st.integers(0, 5),
    ),
    max_size=25,
)


def play(steps: Sequence[tuple[str, int, int]]) -> tuple[Store, Store]:
    """Two people at work, apart and together; what is refused is refused."""
    stores = two_stores()
    for verb, who, choice in steps:
        store = stores[who]
        versions = store.queries.ask(ModelVersions(name="delay"))
        pick = versions[choice % len(versions)].id if versions else "delay@1"
        try:
            if verb == "register":
                store.commands.decide(RegisterModel(made=made("delay", f"{choice:064}"), metrics={}))
            elif verb == "move":
                move_alias(store, pick, "champion")
            elif verb == "remove":
                remove_alias(store, "delay", "champion")
            elif verb == "back":
                roll_back(store, "delay")
            elif verb == "delete":
                delete(store, pick)
            else:
                sync(*stores)
        except (NotFound, Conflict):
            continue
    sync(*stores)
    return stores


@settings(max_examples=40)
@given(STEPS, st.randoms(use_true_random=False))
def test_the_catalog_is_a_function_of_the_set_of_events(steps: list[tuple[str, int, int]], random: Any) -> None:
    ann, bob = play(steps)
    payloads = [payload for batch in ann.journal.read({}) for payload in batch.payloads]
    other = memory_store(PROJECTION, GOVERNANCE)
    random.shuffle(payloads)
    while payloads:
        size = random.randint(1, len(payloads))
        other.journal.append([*payloads[:size], payloads[0]])
        payloads = payloads[size:]
        other.queries.ask(Models())
    for query in (
        Models(),
        ModelVersions(name="delay", deleted=True),
        AliasHistory(name="delay"),
        AliasesOf(name="delay"),
    ):
        assert ann.queries.ask(query) == bob.queries.ask(query) == other.queries.ask(query)


def test_answers_survive_json(store: Store) -> None:
    add(store, 1)
    move_alias(store, "delay@1", "champion")
    for query, answer in [
        (ModelByRef(ref=parse_version_ref("delay")), ModelVersion),
        (Models(), tuple[Any, ...]),
        (AliasHistory(name="delay"), tuple[Any, ...]),
    ]:
        seen = store.queries.ask(query)
        assert msgspec.json.decode(msgspec.json.encode(seen), type=answer) is not None
    version = store.queries.ask(ModelByRef(ref=parse_version_ref("delay")))
    assert msgspec.json.decode(msgspec.json.encode(version), type=ModelVersion) == version
