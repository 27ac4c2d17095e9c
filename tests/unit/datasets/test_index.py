"""References, conflicts between stores that worked apart, and tables that depend on no order."""

from collections.abc import Sequence

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import CharkhError, Conflict, NotFound
from charkh.core.events import decode_event
from charkh.core.refs import parse_version_ref
from charkh.datasets.add import add_table
from charkh.datasets.dataset import DatasetSummary, DatasetVersion
from charkh.datasets.delete import delete
from charkh.datasets.find import find
from charkh.datasets.index import (
    PROJECTION,
    DatasetByRef,
    Datasets,
    DatasetsOfRun,
    DatasetVersions,
    DeleteVersion,
    NewestVersion,
)
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION)


def add(store: Store, *values: int, name: str = "flights", **more: object) -> DatasetVersion:
    return add_table(store, name, pl.DataFrame({"x": values}), **more)  # type: ignore[arg-type]


def two_stores() -> tuple[Store, Store]:
    return memory_store(PROJECTION, actor="ann@laptop"), memory_store(PROJECTION, actor="bob@desk")


def sync(*stores: Store) -> None:
    """Every store gets the facts and bytes that another has and it lacks."""
    known = [{decode_event(payload).id: payload for payload in payloads_of(store)} for store in stores]
    for store, mine in zip(stores, known, strict=True):
        foreign = {identifier: payload for other in known for identifier, payload in other.items()}
        store.journal.append([payload for identifier, payload in sorted(foreign.items()) if identifier not in mine])
        for other in stores:
            for version in other.queries.ask(DatasetVersions(name="flights")):
                if other.vault.has(version.made.tree.root):
                    entries = list(other.vault.entries(version.made.tree.root))
                    for entry in entries:
                        store.vault.put_bytes(b"".join(other.vault.read(entry.file)))
                    store.vault.put_tree(entries)


def test_references(store: Store) -> None:
    first, second = add(store, 1), add(store, 2)
    for ref, wanted in [
        ("flights", second),
        ("flights@latest", second),
        ("flights@1", first),
        (second.id, second),
        (f"dataset:{first.id}", first),
        ("flights@2~ann", second),
        ("flights@2~ann@laptop", second),
        (f"flights@1~{first.id}", first),
        ("flights@latest~ann", second),
    ]:
        assert find(store, ref) == wanted
    for ref in ("flights@3", "flights@champion", "other", "0" * 32, "flights@2~bob", "flights@latest~bob"):
        with pytest.raises(NotFound):
            find(store, ref)


def test_what_is_not_there_is_named_with_what_is(store: Store) -> None:
    with pytest.raises(NotFound, match="none yet"):
        find(store, "flight")
    add(store, 1)
    with pytest.raises(NotFound, match="known: flights"):
        find(store, "flight")
    with pytest.raises(NotFound):
        store.commands.decide(DeleteVersion(version="0" * 32))


def test_the_list_shows_the_newest_of_each(store: Store) -> None:
    add(store, 1)
    newest = add(store, 2)
    weather = add(store, 1, name="weather/jfk")
    add(store, 1, name="gone")
    delete(store, "gone")
    assert store.queries.ask(Datasets()) == (
        DatasetSummary(name="flights", versions=2, latest=(newest,)),
        DatasetSummary(name="weather/jfk", versions=1, latest=(weather,)),
    )
    assert [summary.name for summary in store.queries.ask(Datasets(prefix="weather"))] == ["weather/jfk"]
    assert store.queries.ask(Datasets(prefix="%")) == ()


def test_versions_of_a_run(store: Store) -> None:
    add(store, 1, made_by="r1")
    version = add(store, 2, made_by="r2")
    assert store.queries.ask(DatasetsOfRun(run="r2")) == (version,)


def test_deleting_twice_says_nothing_the_second_time(store: Store) -> None:
    version = delete(store, add(store, 1).ref)
    assert store.commands.decide(DeleteVersion(version=version.id)) == ()
    assert store.queries.ask(DatasetVersions(name="flights")) == ()
    assert len(store.queries.ask(DatasetVersions(name="flights", deleted=True))) == 1


def test_numbers_that_collided_exit_as_a_conflict() -> None:
    ann, bob = two_stores()
    mine, theirs = add(ann, 1), add(bob, 2)
    sync(ann, bob)
    for store in (ann, bob):
        for ref in ("flights@1", "flights", "flights@latest"):
            with pytest.raises(Conflict) as conflict:
                find(store, ref)
            assert set(conflict.value.facts["refs"]) == {"flights@1~ann", "flights@1~bob"}  # type: ignore[call-overload]
        assert find(store, "flights@1~ann") == mine
        assert find(store, "flights@latest~bob") == theirs
        assert len(store.queries.ask(Datasets())[0].latest) == 2
    with pytest.raises(Conflict, match="made apart"):
        add(ann, 3, append=True)
    settled = add(ann, 3)
    assert settled.made.number == 2
    assert settled.made.parent == theirs.id
    assert find(ann, "flights") == settled


def test_deleting_one_of_two_settles_a_conflict() -> None:
    ann, bob = two_stores()
    mine, theirs = add(ann, 1), add(bob, 2)
    sync(ann, bob)
    delete(ann, "flights@1~bob")
    assert find(ann, "flights@1") == mine
    with pytest.raises(NotFound, match="deleted"):
        find(ann, theirs.id)


def test_a_version_is_portrayed(store: Store) -> None:
    add(store, 1)
    version = add(store, 2, append=True, message="more")
    description = store.queries.ask(Describe(subject=version.subject))
    assert description is not None
    assert description.title == "flights@2"
    lines = dict(description.lines)
    assert lines["content"].startswith("2 rows of 1 columns, 2 files")
    assert lines["appended to"] == "flights@1"
    assert lines["message"] == "more"
    assert lines["added by"] == "ann@laptop"
    delete(store, version.ref)
    deleted = store.queries.ask(Describe(subject=version.subject))
    assert deleted is not None
    assert "deleted" in dict(deleted.lines)
    assert store.queries.ask(Describe(subject="dataset:" + "0" * 32)) is None


def test_answers_survive_json(store: Store) -> None:
    version = add(store, 1)
    seen = store.queries.ask(DatasetByRef(ref=parse_version_ref("flights")))
    assert msgspec.json.decode(msgspec.json.encode(seen), type=DatasetVersion) == version


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "append", "delete", "sync"]), st.integers(0, 1), st.integers(0, 4)),
    min_size=1,
    max_size=12,
)


def play(steps: Sequence[tuple[str, int, int]]) -> tuple[Store, Store]:
    """Two people at work, apart and together; what is refused is refused."""
    stores = two_stores()
    add(stores[0], 0)
    for verb, who, choice in steps:
        store = stores[who]
        versions = store.queries.ask(DatasetVersions(name="flights"))
        try:
            if verb == "sync":
                sync(*stores)
            elif verb == "delete" and versions:
                delete(store, versions[choice % len(versions)].id)
            else:
                add(store, choice, append=verb == "append")
        except CharkhError:
            continue
    sync(*stores)
    return stores


@settings(max_examples=25)
@given(STEPS, st.integers(0, 1000))
def test_the_catalog_is_a_function_of_the_set_of_events(steps: list[tuple[str, int, int]], seed: int) -> None:
    ann, bob = play(steps)
    queries = [
        Datasets(),
        DatasetVersions(name="flights", deleted=True),
        DatasetVersions(name="flights"),
        NewestVersion(name="flights"),
    ]
    assert_order_free([PROJECTION, LINEAGE], payloads_of(ann), queries, seed=seed, rounds=3)
    for query in queries:
        assert ann.queries.ask(query) == bob.queries.ask(query)
    seen = [version.made.number for version in ann.queries.ask(DatasetVersions(name="flights", deleted=True))]
    again = add(ann, 77)
    assert again.made.number == max(seen) + 1
