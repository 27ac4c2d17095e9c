"""What a fetch records and where the next one begins, on a real store; folds in any order; templates and patterns."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.assets.index import PROJECTION as ASSETS
from charkh.core.errors import Conflict, Invalid, Locked
from charkh.core.source_settings import FilesSource, check_source
from charkh.datasets.add import add_files
from charkh.datasets.delete import delete
from charkh.datasets.index import PROJECTION as DATASETS
from charkh.datasets.index import DatasetVersions
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import EdgesFrom, FactsAbout, HeldDigests
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.sources.collecting import Collected
from charkh.sources.commit import Committed, Fetching, commit, has_news, record_checked
from charkh.sources.files import FilesCollector
from charkh.sources.globs import key_pattern
from charkh.sources.index import PROJECTION, Fetches, KnownSources, StateFor
from charkh.sources.source import Item, State, decode_state, encode_state, joined
from charkh.sources.staging import Staging, staging_of
from charkh.sources.starting import Start, start
from charkh.sources.templates import expand
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store

ROOMS = (PROJECTION, DATASETS, ASSETS, LINEAGE)


@pytest.fixture
def store() -> Store:
    return memory_store(*ROOMS)


def look(store: Store, folder: Path, settings: FilesSource) -> tuple[Fetching, Start, Collected]:
    begun = start(store, "rows", "rows", settings.used_mode, full=False)
    staging = Staging(folder)
    found = FilesCollector(settings, folder).collect(begun.state, staging, dry_run=False, progress=None)
    identifier = f"{len(store.queries.ask(Fetches())):032}"
    fetching = Fetching("rows", identifier, "files", "in/*.csv", settings, "rows")
    return fetching, begun, found


def fetch(store: Store, folder: Path, **said: str) -> Committed | None:
    fetching, begun, found = look(store, folder, FilesSource(paths=("in/*.csv",), **said))  # pyright: ignore
    if not has_news(fetching, found):
        record_checked(store, fetching, begun, found)
        return None
    return commit(store, fetching, begun, found)


def write(folder: Path, name: str, *rows: int) -> Path:
    place = folder / "in" / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("a\n" + "".join(f"{row}\n" for row in rows))
    return place


def test_a_fetch_says_where_a_version_came_from(store: Store, tmp_path: Path) -> None:
    write(tmp_path, "jan.csv", 1, 2)
    made = fetch(store, tmp_path, licence="CC0-1.0", consent="none needed")
    assert made is not None
    assert (made.version.made.rows, made.fetch.made.new, made.fetch.made.licence) == (2, 1, "CC0-1.0")
    edges = {(edge.relation, edge.target) for edge in store.queries.ask(EdgesFrom(subject=made.version.subject))}
    assert {("collected_from", "source:rows"), ("collected_by", made.fetch.subject)} <= edges
    facts = {fact.name: fact.value for fact in store.queries.ask(FactsAbout(subject=made.version.subject))}
    assert (facts["source.kind"], facts["source.licence"], facts["source.new"]) == ("files", "CC0-1.0", 1)
    assert made.fetch.made.state.held in store.queries.ask(HeldDigests())
    for subject in ("source:rows", made.fetch.subject):
        assert store.queries.ask(Describe(subject=subject)) is not None


def test_looking_at_nothing_new_makes_no_version_and_few_facts(store: Store, tmp_path: Path) -> None:
    write(tmp_path, "jan.csv", 1)
    fetch(store, tmp_path)
    before = len(payloads_of(store))
    for _ in range(5):
        assert fetch(store, tmp_path) is None
    assert len(payloads_of(store)) == before
    (known,) = store.queries.ask(KnownSources())
    assert (known.source, known.fetches) == ("rows", 1)
    assert known.latest is not None


def test_of_two_fetches_from_one_place_the_second_is_told(store: Store, tmp_path: Path) -> None:
    write(tmp_path, "jan.csv", 1)
    settings = FilesSource(paths=("in/*.csv",))
    slow = look(store, tmp_path, settings)
    fetch(store, tmp_path)
    late = Fetching(*slow[0][:1], "f" * 32, *slow[0][2:])
    with pytest.raises(Conflict) as raised:
        commit(store, late, *slow[1:])
    assert raised.value.code == "source.moved"
    assert len(store.queries.ask(Fetches())) == 1
    assert len(store.queries.ask(DatasetVersions(name="rows"))) == 1


def test_a_pattern_that_no_file_matches_is_said(tmp_path: Path, store: Store) -> None:
    _, _, found = look(store, tmp_path, FilesSource(paths=("in/*.csv",)))
    assert (found.arrivals, found.notes) == ((), ("no file matches in/*.csv",))


def test_somebody_who_adds_meanwhile_is_not_overwritten(store: Store, tmp_path: Path) -> None:
    write(tmp_path, "jan.csv", 1)
    slow = look(store, tmp_path, FilesSource(paths=("in/*.csv",)))
    add_files(store, "rows", [write(tmp_path, "jan.csv", 1)])
    with pytest.raises(Conflict) as raised:
        commit(store, *slow)
    assert raised.value.code == "source.moved"
    assert store.queries.ask(Fetches()) == ()


def test_the_state_is_that_of_the_version_that_is_there(store: Store, tmp_path: Path) -> None:
    write(tmp_path, "jan.csv", 1)
    fetch(store, tmp_path, mode="append")
    write(tmp_path, "feb.csv", 2)
    second = fetch(store, tmp_path, mode="append")
    assert second is not None
    delete(store, second.version.ref)
    assert set(start(store, "rows", "rows", "append", full=False).state.items) == {"jan.csv"}
    again = fetch(store, tmp_path, mode="append")
    assert again is not None
    assert again.version.made.rows == 2
    by_hand = add_files(store, "rows", [write(tmp_path, "mar.csv", 3)], append=True)
    (tmp_path / "in/mar.csv").unlink()
    begun = start(store, "rows", "rows", "append", full=False)
    assert begun.parent is not None
    assert begun.parent.id == by_hand.id
    assert set(begun.state.items) == {"jan.csv", "feb.csv"}
    assert start(store, "rows", "rows", "append", full=True).state == State()


def test_a_mirror_takes_again_what_somebody_changed_in_the_dataset(store: Store, tmp_path: Path) -> None:
    write(tmp_path, "jan.csv", 1)
    fetch(store, tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    add_files(store, "rows", [write(elsewhere, "jan.csv", 99)])
    again = fetch(store, tmp_path)
    assert again is not None
    assert (again.version.made.number, again.fetch.made.new) == (3, 1)


def test_a_file_that_changes_while_it_is_taken_makes_no_version(store: Store, tmp_path: Path) -> None:
    place = write(tmp_path, "jan.csv", 1)
    found = look(store, tmp_path, FilesSource(paths=("in/*.csv",)))
    place.write_text("a\n2\n")
    with pytest.raises(Conflict) as raised:
        commit(store, *found)
    assert raised.value.code == "source.file_changed"


def test_facts_fold_in_any_order(store: Store, tmp_path: Path) -> None:
    write(tmp_path, "jan.csv", 1)
    first = fetch(store, tmp_path)
    write(tmp_path, "feb.csv", 2)
    fetch(store, tmp_path)
    assert first is not None
    fetching, begun, found = look(store, tmp_path, FilesSource(paths=("in/*.csv",)))
    assert begun.told is not None
    old = begun._replace(told=msgspec.structs.replace(begun.told, at=0.0))
    record_checked(store, fetching, old, found)
    record_checked(store, fetching, old, found)
    queries = [Fetches(), Fetches(source="rows", limit=1), KnownSources()]
    queries.append(StateFor(source="rows", version=first.version.id))  # pyright: ignore[reportArgumentType]
    assert_order_free(ROOMS, payloads_of(store), queries)  # pyright: ignore[reportArgumentType]


def test_a_staging_folder_is_held_by_one(tmp_path: Path) -> None:
    with staging_of(tmp_path, "rows") as staging:
        staging.place("key").write_bytes(b"kept")
        with pytest.raises(Locked), staging_of(tmp_path, "rows"):
            pass
        with staging_of(tmp_path, "others"):
            pass
    with staging_of(tmp_path, "rows") as staging:
        assert staging.place("key").read_bytes() == b"kept"
        staging.clear()
        assert not staging.place("key").exists()


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.csv", ["a.csv"], ["a/b.csv", "a.csvx"]),
        ("**/*.csv", ["a.csv", "a/b.csv", "a/b/c.csv"], ["a.txt"]),
        ("**", ["a", "a/b"], []),
        ("2013/?.csv", ["2013/a.csv"], ["2013/ab.csv", "2013//.csv"]),
        ("a.b+(c)", ["a.b+(c)"], ["aXb+(c)"]),
    ],
)
def test_patterns_of_keys(pattern: str, matching: list[str], other: list[str]) -> None:
    wanted = key_pattern(pattern)
    assert [key for key in matching + other if wanted.fullmatch(key)] == matching


def test_templates_stand_for_every_combination() -> None:
    found = list(expand("/{year}-{month:02}.csv", {"year": "2013..2014", "month": (1, 12)}, "{year}/{month:02}.csv"))
    assert found[0] == ("/2013-01.csv", "2013/01.csv")
    assert [url for url, _ in found] == ["/2013-01.csv", "/2013-12.csv", "/2014-01.csv", "/2014-12.csv"]


@pytest.mark.parametrize(
    ("template", "values"),
    [("/{year}", {}), ("/a", {"year": "1..2"}), ("/{n}", {"n": "1..99999999"}), ("/{n}", {"n": "one to two"})],
)
def test_templates_that_stand_for_nothing_are_refused(template: str, values: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        list(expand(template, {**values}))


items = st.builds(
    Item,
    key=st.text(max_size=9),
    path=st.text(max_size=9),
    etag=st.text(max_size=5),
    size=st.integers(-1, 2**50),
    rows=st.none() | st.integers(0, 2**40),
)
states = st.builds(
    State,
    items=st.lists(items, max_size=4).map(lambda each: {item.key: item for item in each}),
    cursor=st.none() | st.integers().map(str),
    cursor_type=st.just("int"),
    seen=st.lists(st.binary(min_size=16, max_size=16), max_size=3).map(b"".join),
    extra=st.dictionaries(st.text(max_size=5), st.binary(max_size=9), max_size=2),
)


@settings(max_examples=60)
@given(states)
def test_a_state_is_read_as_it_was_written(state: State) -> None:
    assert decode_state(encode_state(state)) == state


@settings(max_examples=60)
@given(st.lists(states, min_size=1, max_size=3))
def test_merged_versions_go_on_from_everything_that_came(each: list[State]) -> None:
    whole = joined(each)
    assert set(whole.items) == {key for state in each for key in state.items}
    cursors = [int(state.cursor) for state in each if state.cursor is not None]
    assert (None if whole.cursor is None else int(whole.cursor)) == max(cursors, default=None)
    assert {whole.seen[at : at + 16] for at in range(0, len(whole.seen), 16)} == {
        state.seen[at : at + 16] for state in each for at in range(0, len(state.seen), 16)
    }


def test_settings_that_can_never_be_fetched_are_refused() -> None:
    from charkh.core.source_settings import DltSource, HttpSource, ObjectsSource, SqlSource

    for wrong in (
        HttpSource(url="file:///etc/passwd"),
        HttpSource(url="https://example.org/a?api_key=abc"),
        HttpSource(url="https://example.org/a", headers={"X-Api-Key": "abc"}),
        HttpSource(url="https://example.org/a", checksums={"a": "sha256:12"}),
        SqlSource(url="postgresql://ann:secret@host/db", query="SELECT 1"),
        SqlSource(url="sqlite:///a.db", query="SELECT 1", password="secret"),
        SqlSource(url="sqlite:///a.db", query="SELECT 1", cursor="a", mode="mirror"),
        SqlSource(url="sqlite:///a.db", query="SELECT 1", lag="1h"),
        ObjectsSource(url="file:///etc"),
        ObjectsSource(url="s3://bucket", options={"secret_access_key": "abc"}),
        DltSource(script="nothing"),
    ):
        with pytest.raises(Invalid):
            check_source("rows", wrong)
