"""Recording: identity by content, pinned tables, names, portraits, and a catalog that is a function of the events."""

import polars as pl
import pytest

from charkh.core.errors import Invalid, NotFound
from charkh.datasets.add import add_table
from charkh.datasets.index import PROJECTION as DATASETS
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import EdgesFrom, HeldDigests
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.recipes.apply import apply
from charkh.recipes.document import parse_recipe
from charkh.recipes.find import find, load
from charkh.recipes.index import PROJECTION, RecipeById, RecipeByName, Recipes, RecipeVersions
from charkh.recipes.record import record
from charkh.recipes.tables import read_tables
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store

PLANES = pl.DataFrame({"tailnum": ["N1", "N2"], "year": [2004, 1998], "seats": [55, 182]})
TRIM = parse_recipe('{"steps": [{"op": "trim"}, {"op": "map", "column": "a", "values": {"hunter2": "x"}}]}')
LOOKUP = parse_recipe(
    """{"tables": {"planes": "planes"}, "steps": [
        {"op": "lookup", "table": "planes", "on": {"tail": "tailnum"}, "columns": {"year": "built"}}
    ]}"""
)


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, LINEAGE, DATASETS)


def test_a_recipe_is_recorded_and_read_back(store: Store) -> None:
    version = record(store, TRIM, "tidy")
    assert version.id == TRIM.id
    assert version.subject == f"recipe:{TRIM.id}"
    assert version.recorded.digest == TRIM.digest
    assert load(store, version) == TRIM
    assert version.recorded.document.held in store.queries.ask(HeldDigests())
    for ref in ("tidy", version.id, version.subject):
        assert find(store, ref) == version


def test_saying_the_same_again_says_nothing_new(store: Store) -> None:
    first = record(store, TRIM, "tidy")
    assert record(store, TRIM, "tidy") == first
    assert len(payloads_of(store)) == 1


def test_a_name_means_what_was_recorded_last_under_it(store: Store) -> None:
    other = parse_recipe('{"steps": []}')
    record(store, TRIM, "tidy")
    record(store, other, "tidy")
    assert find(store, "tidy").id == other.id
    record(store, TRIM, "tidy")
    assert find(store, "tidy").id == TRIM.id
    assert [version.id for version in store.queries.ask(RecipeVersions(name="tidy"))] == [TRIM.id, other.id]
    record(store, TRIM, "clean/it")
    assert [version.name for version in store.queries.ask(Recipes())] == ["clean/it", "tidy"]
    assert [version.name for version in store.queries.ask(Recipes(prefix="cl"))] == ["clean/it"]


def test_tables_are_pinned_by_the_id_of_their_version(store: Store) -> None:
    planes = add_table(store, "planes", PLANES)
    version = record(store, LOOKUP, "features")
    assert version.recorded.tables == {"planes": planes.id}
    assert [edge.target for edge in store.queries.ask(EdgesFrom(subject=version.subject))] == [planes.subject]
    add_table(store, "planes", PLANES.with_columns(year=pl.lit(1)))
    pinned = load(store, version)
    assert pinned.tables == {"planes": planes.subject}
    tables = read_tables(store, pinned)
    assert tables["planes"].columns == ["tailnum", "year"]
    assert apply(pinned, pl.DataFrame({"tail": ["N2"]}), tables=tables)["built"].to_list() == [1998]
    assert record(store, pinned, "features").id == version.id
    assert record(store, LOOKUP, "features").id != version.id
    assert read_tables(store, LOOKUP)["planes"]["year"].to_list() == [1, 1]


def test_what_is_not_there_is_said(store: Store) -> None:
    with pytest.raises(NotFound, match="no recipe tidy"):
        find(store, "tidy")
    with pytest.raises(NotFound, match="planes"):
        record(store, LOOKUP, "features")
    with pytest.raises(Invalid, match="name"):
        record(store, TRIM, "../tidy")
    assert payloads_of(store) == []


def test_typed_values_are_in_the_vault_and_not_in_the_event(store: Store) -> None:
    version = record(store, TRIM, "tidy")
    assert all(b"hunter2" not in payload for payload in payloads_of(store))
    assert b"hunter2" in b"".join(store.vault.read(version.recorded.document))


def test_a_recipe_is_portrayed_with_its_digest_and_steps(store: Store) -> None:
    version = record(store, TRIM, "tidy")
    description = store.queries.ask(Describe(subject=version.subject))
    assert description is not None
    assert description.title == "recipe tidy"
    assert ("digest", TRIM.digest) in description.lines
    assert ("step 2", "map a") in description.lines
    assert store.queries.ask(Describe(subject="recipe:" + "0" * 32)) is None


def test_the_catalog_is_a_function_of_the_set_of_events(store: Store) -> None:
    for recipe, name in [(TRIM, "a"), (parse_recipe('{"steps": []}'), "a"), (TRIM, "a"), (TRIM, "b")]:
        record(store, recipe, name)
    payloads = payloads_of(store)
    assert len(payloads) == 4
    queries = [Recipes(), RecipeVersions(name="a"), RecipeByName(name="a"), RecipeById(recipe=TRIM.id)]
    assert_order_free([PROJECTION], payloads, queries)
