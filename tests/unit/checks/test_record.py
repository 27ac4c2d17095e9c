"""Recording a check: facts about the table, quarantine as a version with its edges, no values of rows in events."""

import polars as pl
import pytest

from charkh.checks.document import parse_suite
from charkh.checks.find import find, load_suite
from charkh.checks.index import PROJECTION, CheckById, Checks
from charkh.checks.record import record
from charkh.checks.run import run
from charkh.core.errors import Invalid, NotFound
from charkh.core.events import Edge
from charkh.datasets.add import add_table
from charkh.datasets.find import find as find_dataset
from charkh.datasets.index import PROJECTION as DATASETS
from charkh.datasets.read import read_table
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import EdgesFrom, FactsAbout, HeldDigests
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store

FRAME = pl.DataFrame({"name": ["ann-secret", "bob"], "age": [30, -1]})
SUITE = parse_suite(
    """
    at_most = 0.5
    [[rule]]
    id = "born"
    check = "range"
    column = "age"
    min = 0
    reason = "born in the future"
    [[rule]]
    check = "not_null"
    columns = ["name"]
    """
)


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, LINEAGE, DATASETS)


def test_facts_are_about_the_dataset_and_bad_rows_are_a_version(store: Store) -> None:
    people = add_table(store, "people", FRAME)
    check = record(store, "tidy people", run(SUITE, FRAME), about=people.subject)
    known = store.queries.ask(FactsAbout(subject=people.subject))
    facts = {fact.name: fact.value for fact in known if fact.name.startswith("checks.")}
    assert facts == {"checks.ok": True, "checks.rows": 2, "checks.failed_rows": 1, "checks.warnings": 0}
    quarantine = find_dataset(store, "people.quarantine")
    assert check.ran.quarantine == quarantine.id
    rows = read_table(store, quarantine)
    assert rows.to_dicts() == [{"name": "bob", "age": -1, "_reasons": ["born"], "_row": 1}]
    assert set(store.queries.ask(EdgesFrom(subject=quarantine.subject))) == {
        Edge(quarantine.subject, "quarantined_from", people.subject),
        Edge(quarantine.subject, "checked_by", check.subject),
    }
    assert store.queries.ask(EdgesFrom(subject=check.subject)) == (Edge(check.subject, "checks", people.subject),)


def test_a_clean_table_makes_no_quarantine(store: Store) -> None:
    people = add_table(store, "people", FRAME.head(1))
    check = record(store, "tidy", run(SUITE, FRAME.head(1)), about=people.subject)
    assert (check.ran.ok, check.ran.quarantine, check.ran.failed_rows) == (True, "", 0)
    with pytest.raises(NotFound):
        find_dataset(store, "people.quarantine")


def test_a_check_of_no_dataset_is_named_after_its_suite(store: Store) -> None:
    check = record(store, "tidy", run(SUITE, FRAME))
    assert find_dataset(store, "tidy.quarantine").id == check.ran.quarantine
    facts = {fact.name for fact in store.queries.ask(FactsAbout(subject=check.subject))}
    assert "checks.ok" in facts


def test_the_suite_is_read_back(store: Store) -> None:
    check = record(store, "tidy", run(SUITE, FRAME))
    assert load_suite(store, check) == SUITE
    assert check.ran.suite == SUITE.digest
    assert check.ran.document.held in store.queries.ask(HeldDigests())
    for ref in ("tidy", check.id, check.subject):
        assert find(store, ref) == check


def test_values_of_rows_and_secrets_are_in_no_event(store: Store) -> None:
    suite = parse_suite(
        '[[rule]]\nid = "api_key=sk-abcdefghijklmnopqrstuvwx"\ncheck = "pattern"\ncolumn = "name"\npattern = "x"'
    )
    check = record(store, "tidy", run(suite, FRAME))
    assert not check.ran.ok
    for payload in payloads_of(store):
        assert b"ann-secret" not in payload
        assert b"sk-abcdef" not in payload


def test_the_newest_check_of_a_name_is_found_first(store: Store) -> None:
    people = add_table(store, "people", FRAME)
    first = record(store, "tidy", run(SUITE, FRAME), about=people.subject)
    second = record(store, "tidy", run(SUITE, FRAME))
    other = record(store, "other", run(SUITE, FRAME.head(1)))
    assert [check.id for check in store.queries.ask(Checks())] == [other.id, second.id, first.id]
    assert [check.id for check in store.queries.ask(Checks(name="tidy"))] == [second.id, first.id]
    assert [check.id for check in store.queries.ask(Checks(about=people.subject))] == [first.id]
    assert find(store, "tidy").id == second.id
    with pytest.raises(NotFound):
        find(store, "nothing")
    with pytest.raises(Invalid):
        record(store, "../tidy", run(SUITE, FRAME))


def test_a_check_is_portrayed_with_its_counts(store: Store) -> None:
    check = record(store, "tidy", run(SUITE, FRAME))
    description = store.queries.ask(Describe(subject=check.subject))
    assert description is not None
    assert description.title == "check tidy"
    assert ("rows", "2") in description.lines
    assert ("born", "set aside, 1 rows: born in the future") in description.lines
    assert store.queries.ask(Describe(subject="check:" + "0" * 32)) is None


def test_the_catalog_is_a_function_of_the_set_of_events(store: Store) -> None:
    checks = [record(store, name, run(SUITE, FRAME.head(1))) for name in ("a", "b", "a")]
    queries = [Checks(), Checks(name="a"), CheckById(check=checks[0].id)]
    assert_order_free([PROJECTION], payloads_of(store), queries)
