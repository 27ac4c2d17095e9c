"""Names, words, stages and histories of models, and what becomes of them when stores meet."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Conflict, Invalid, NotFound
from charkh.core.files import TreeRef
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import HeldDigests
from charkh.models.alias import move_alias
from charkh.models.annotate import describe, tag
from charkh.models.decisions import RegisterModel
from charkh.models.declare import declare, find_model
from charkh.models.delete import delete
from charkh.models.files import read_files
from charkh.models.find import find
from charkh.models.history_index import ModelHistory
from charkh.models.index import PROJECTION, AliasHistory, ModelNamed, Models, ModelVersions
from charkh.models.model import ModelVersion, VersionMade
from charkh.models.registered import MAX_TAG, canonical_stage, parse_model_name
from charkh.models.remove import remove
from charkh.models.rename import rename
from charkh.models.served import history_of, served_at
from charkh.models.stage import move_to_stage
from charkh.models.texts import all_tags, read_text
from charkh.ports.runtimes import Safety, Signature
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, LINEAGE)


def add(store: Store, name: str = "delay", **fields: Any) -> ModelVersion:
    """A version of which only its address is known: nothing of it needs a library."""
    made = VersionMade(
        name=name,
        version="",
        number=0,
        content="",
        tree=TreeRef("", 0, 0),
        runtime="mlflow",
        libraries={},
        signature=Signature(inputs=(), outputs=()),
        safety=Safety(level="code"),
        **fields,
    )
    (event, *_) = store.commands.decide(RegisterModel(made=made, metrics={}, always=True))
    return find(store, event.subject)


def sync(*stores: Store) -> None:
    """Every store gets the facts that another has and it lacks."""
    known = [set(payloads_of(store)) for store in stores]
    everything: set[bytes] = set().union(*known)
    for store, mine in zip(stores, known, strict=True):
        store.journal.append(sorted(everything - mine))


def test_a_model_is_there_before_it_has_a_version(store: Store) -> None:
    made = declare(store, "delay", description="Late flights.", tags={"team": "ops"})
    assert (made.name, made.versions, made.latest, made.tags) == ("delay", 0, None, {"team": "ops"})
    assert read_text(store, made.description) == "Late flights."
    assert add(store).ref == "delay@1"
    assert find_model(store, "delay").versions == 1
    with pytest.raises(Conflict):
        declare(store, "delay")


def test_a_version_makes_the_model_that_it_needs(store: Store) -> None:
    add(store)
    with pytest.raises(Conflict):
        declare(store, "delay")
    assert [model.name for model in store.queries.ask(Models())] == ["delay"]


def test_words_are_replaced_and_taken_away(store: Store) -> None:
    version = add(store)
    tag(store, "delay", {"a": "1", "b": "2"})
    tag(store, "delay", {"a": None, "b": "3"})
    tag(store, version.ref, {"c": "4"})
    describe(store, version.ref, "one")
    describe(store, version.ref, "two")
    assert find_model(store, "delay").tags == {"b": "3"}
    assert find(store, version.id).tags == {"c": "4"}
    assert read_text(store, find(store, version.id).description) == "two"
    describe(store, version.ref, "")
    assert find(store, version.id).description is None


def test_a_long_tag_is_bytes_and_the_version_holds_them(store: Store) -> None:
    version = add(store)
    text = "x" * (MAX_TAG + 1)
    tag(store, version.ref, {"mlflow.prompt.text": text, "short": "y"})
    now = find(store, version.id)
    assert now.tags == {"short": "y"}
    assert all_tags(store, now.tags, now.long_tags) == {"mlflow.prompt.text": text, "short": "y"}
    assert now.long_tags["mlflow.prompt.text"].held in set(store.queries.ask(HeldDigests()))
    delete(store, version.ref)
    assert now.long_tags["mlflow.prompt.text"].held not in set(store.queries.ask(HeldDigests()))


def test_no_credential_is_kept_in_a_tag_or_description(store: Store) -> None:
    secret = "ghp_" + "a1B2" * 9
    declare(store, "delay", description=f"password = '{secret}'", tags={"how": f"token={secret}"})
    assert secret not in "".join(find_model(store, "delay").tags.values())
    assert secret not in read_text(store, find_model(store, "delay").description)
    assert not any(secret.encode() in payload for payload in payloads_of(store))


def test_a_stage_archives_who_was_there(store: Store) -> None:
    first, second = add(store), add(store)
    move_to_stage(store, first.ref, "production", reason="it is the only one")
    assert find(store, first.id).stage == "Production"
    move_to_stage(store, second.ref, "Production", archive=True)
    assert [find(store, each.id).stage for each in (first, second)] == ["Archived", "Production"]
    move_to_stage(store, second.ref, "None")
    assert find(store, second.id).stage == ""
    with pytest.raises(Invalid):
        canonical_stage("live")


def test_a_rename_takes_versions_aliases_and_history_along(store: Store) -> None:
    add(store)
    move_alias(store, "delay@1", "champion")
    before = find(store, "delay@1")
    renamed = rename(store, "delay", "lateness", reason="it says more")
    assert renamed.aliases == {"champion": 1}
    assert find(store, "lateness@champion").id == before.id
    assert find(store, "lateness@1").made.key == "delay"
    assert add(store, "lateness").ref == "lateness@2"
    assert [move.moved.name for move in store.queries.ask(AliasHistory(name="lateness"))] == ["lateness"]
    with pytest.raises(NotFound, match="renamed to 'lateness'") as caught:
        find(store, "delay@3")
    assert caught.value.hint == "Write lateness@3."
    with pytest.raises(NotFound, match="renamed"):
        find_model(store, "delay")


def test_an_old_name_can_be_given_again_and_its_numbers_cannot(store: Store) -> None:
    add(store)
    rename(store, "delay", "lateness")
    assert add(store, "delay").ref == "delay@2"
    assert [version.ref for version in store.queries.ask(ModelVersions(name="lateness"))] == ["lateness@1"]
    with pytest.raises(Conflict):
        rename(store, "delay", "lateness")
    assert rename(store, "lateness", "lateness").name == "lateness"


def test_a_removed_model_is_gone_and_remembered(store: Store) -> None:
    add(store)
    declare(store, "other")
    version = add(store)
    move_alias(store, version.ref, "champion")
    with pytest.raises(Conflict):
        remove(store, "delay")
    moment = store.queries.ask(AliasHistory(name="delay"))[0].at
    remove(store, "delay", reason="nobody asks for it", held=True)
    assert [model.name for model in store.queries.ask(Models())] == ["other"]
    assert store.queries.ask(ModelNamed(name="delay")) is None
    with pytest.raises(NotFound):
        find(store, "delay@latest")
    assert history_of(store, "delay")[0].reason == "nobody asks for it"
    holder = served_at(store, "delay", "champion", moment)
    assert holder is not None
    assert holder.version is not None
    assert holder.version.id == version.id
    assert add(store).ref == "delay@3"


def test_which_version_served_when(store: Store) -> None:
    first, second = add(store), add(store)
    move_alias(store, first.ref, "champion")
    move_alias(store, second.ref, "champion")
    later, earlier = (move.at for move in store.queries.ask(AliasHistory(name="delay", alias="champion")))
    served = [served_at(store, "delay", "champion", moment) for moment in (earlier - 1, earlier, later, None)]
    found = [None if holder is None or holder.version is None else holder.version.ref for holder in served]
    assert found == [None, "delay@1", "delay@2", "delay@2"]


def test_the_history_says_who_when_and_why(store: Store) -> None:
    declare(store, "delay", tags={"team": "ops"})
    version = add(store)
    move_alias(store, version.ref, "champion", reason="better")
    move_to_stage(store, version.ref, "Staging", reason="first look")
    rename(store, "delay", "lateness", reason="clearer")
    entries = history_of(store, "lateness")
    assert [(entry.what, entry.field, entry.value, entry.reason) for entry in entries] == [
        ("renamed", "", "lateness", "clearer"),
        ("stage", "", "Staging", "first look"),
        ("alias", "champion", "lateness@1", "better"),
        ("version", "", "lateness@1", ""),
        ("tag", "team", "ops", ""),
        ("registered", "", "delay", ""),
    ]
    assert {entry.actor for entry in entries} == {"ann@laptop"}


def test_an_address_elsewhere_is_text_that_nobody_opens(store: Store) -> None:
    version = add(store, source="s3://bucket/models/delay")
    assert version.status == "elsewhere"
    with pytest.raises(NotFound, match="s3://bucket/models/delay"):
        read_files(store, version)
    assert set(store.queries.ask(HeldDigests())) == set()


def test_one_name_made_apart_is_one_model_after_they_meet() -> None:
    ann, bob = memory_store(PROJECTION), memory_store(PROJECTION, actor="bob@desk")
    declare(ann, "delay", tags={"a": "1"})
    add(bob)
    add(ann)
    sync(ann, bob)
    for store in (ann, bob):
        assert find_model(store, "delay").versions == 2
        with pytest.raises(Conflict, match="made apart"):
            find(store, "delay@1")


def test_a_version_made_apart_brings_a_removed_model_back() -> None:
    ann, bob = memory_store(PROJECTION), memory_store(PROJECTION, actor="bob@desk")
    add(ann)
    sync(ann, bob)
    remove(ann, "delay")
    kept = add(bob)
    sync(ann, bob)
    for store in (ann, bob):
        assert [version.id for version in store.queries.ask(ModelVersions(name="delay"))] == [kept.id]


def test_names_that_could_be_read_in_two_ways_are_refused() -> None:
    assert parse_model_name("délai (v2) [x]") == "délai (v2) [x]"
    assert parse_model_name("de\u0301lai") == "délai"
    for name in (
        "",
        " a",
        "a:b",
        "a@3",
        "a\\b",
        "../a",
        "a//b",
        "a\n",
        "a\u202eb",
        "a#b",
        "a?b",
        "a%2e",
        "x" * 251,
        "a/..",
    ):
        with pytest.raises(Invalid):
            parse_model_name(name)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30))
def test_a_name_that_is_accepted_is_canonical(text: str) -> None:
    try:
        name = parse_model_name(text)
    except Invalid:
        return
    assert parse_model_name(name) == name
    assert not set(name) & set(":@\\#?%\n\r\t\x00")


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "tag", "stage", "describe", "alias", "rename", "delete", "remove"]), st.booleans()
    ),
    max_size=8,
)


@settings(max_examples=12, deadline=None)
@given(ACTIONS)
def test_the_tables_are_a_function_of_the_set_of_events(actions: list[tuple[str, bool]]) -> None:
    stores = memory_store(PROJECTION), memory_store(PROJECTION, actor="bob@desk")
    declare(stores[0], "delay", tags={"a": "1"})
    add(stores[0])
    sync(*stores)
    for place, (action, second) in enumerate(actions):
        _act(stores[int(second)], action, place)
    sync(*stores)
    names = ["delay", *(f"new{place}" for place in range(len(actions)))]
    questions: list[Any] = [Models(), *(ModelHistory(name=name) for name in names)]
    questions += [ModelVersions(name=name, deleted=True) for name in names]
    tables = assert_order_free([PROJECTION], payloads_of(stores[0]), questions, rounds=2)
    assert tables["model_version"]


def _act(store: Store, action: str, place: int) -> None:
    models = store.queries.ask(Models())
    if action == "add" or not models:
        add(store)
        return
    model = models[0]
    ref = model.latest.id if model.latest is not None else ""
    if action == "rename":
        rename(store, model.name, f"new{place}")
    elif action == "remove":
        remove(store, model.name, held=True)
    elif action == "tag" or not ref:
        tag(store, model.name, {"a": str(place), "b": None})
    elif action == "stage":
        move_to_stage(store, ref, "Production", archive=True)
    elif action == "describe":
        describe(store, ref, f"text {place}")
    elif action == "alias":
        move_alias(store, ref, "champion")
    elif model.latest is not None and not model.latest.aliases:
        delete(store, ref)
