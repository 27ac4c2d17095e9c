"""Projects: made once, by whoever comes first; deleted and restored with exactly the runs that they had."""

import pytest

from charkh.core.errors import Conflict, Invalid, NotFound
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.runs.delete import delete_run
from charkh.runs.find import by_id, find
from charkh.runs.index import PROJECTION
from charkh.runs.project import DEFAULT_PROJECT, project_id
from charkh.runs.project_index import made_draft
from charkh.runs.projects import (
    create_project,
    delete_project,
    ensure_project,
    find_project,
    list_projects,
    rename_project,
    restore_project,
    tag_project,
)
from charkh.runs.purge import purge_runs
from charkh.runs.restore import restore_run
from charkh.runs.search import search
from charkh.runs.start import start
from charkh.testing.stores import memory_store


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, LINEAGE)


def test_the_default_project_is_always_there(store: Store) -> None:
    (default,) = list_projects(store)
    assert (default.id, default.name, default.created) == (DEFAULT_PROJECT, "Default", 0.0)
    start(store).end()
    (run,) = search(store)
    assert run.project == DEFAULT_PROJECT
    assert find_project(store, "Default").created == run.created
    with pytest.raises(Conflict, match="always there"):
        delete_project(store, "Default")
    assert ensure_project(store, "Default").id == DEFAULT_PROJECT
    assert tag_project(store, "0", {"a": "b"}).tags == {"a": "b"}
    assert rename_project(store, "0", "Main").name == "Main"
    assert [each.name for each in list_projects(store)] == ["Main"]


def test_an_id_is_made_from_the_name_alone() -> None:
    identifier = project_id("flights/delay")
    assert identifier == project_id("flights/delay")
    assert identifier.isdecimal()
    assert len({len(project_id(str(number))) for number in range(200)}) == 1
    assert len({project_id(str(number), again) for number in range(100) for again in range(3)}) == 300


def test_a_project_is_made_once(store: Store) -> None:
    first = ensure_project(store, " flights/delay ")
    assert ensure_project(store, "flights/delay") == first
    with pytest.raises(Conflict) as caught:
        create_project(store, "flights/delay")
    assert caught.value.facts == {"project": first.id, "deleted": False}
    delete_project(store, "flights/delay")
    with pytest.raises(Conflict) as caught:
        create_project(store, "flights/delay")
    assert caught.value.facts["deleted"]
    with pytest.raises(Conflict, match="trash"):
        ensure_project(store, "flights/delay")
    made = create_project(store, "other", tags={"team": "red"}, location="s3://b/c", created=1e9)
    assert (made.tags, made.location, made.created) == ({"team": "red"}, "s3://b/c", 1e9)
    store.record(made_draft(made.id, "other", "elsewhere"))
    assert find_project(store, "other") == made, "said again it stays what it was"


def test_a_renamed_project_leaves_its_name_to_another(store: Store) -> None:
    first = ensure_project(store, "a")
    renamed = rename_project(store, "a", "b")
    assert (renamed.id, renamed.name) == (first.id, "b")
    assert rename_project(store, "b", "b") == renamed
    again = create_project(store, "a")
    assert again.id not in {first.id, DEFAULT_PROJECT}
    assert ensure_project(store, "a").id == again.id
    with pytest.raises(Conflict):
        rename_project(store, again.id, "b")
    rename_project(store, again.id, "c")
    assert ensure_project(store, "a").id not in {first.id, again.id}


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 501])
def test_what_cannot_be_a_name_is_refused(store: Store, name: str) -> None:
    with pytest.raises(Invalid):
        ensure_project(store, name)


def test_deleting_a_project_hides_its_runs_and_restoring_shows_exactly_those(store: Store) -> None:
    project = ensure_project(store, "flights")
    runs = [start(store, name=f"run {number}", project=project.id) for number in range(3)]
    for each in runs:
        each.end()
    start(store, name="apart").end()
    delete_run(store, "run 0")
    delete_project(store, "flights")
    assert [each.name for each in search(store)] == ["apart"]
    assert by_id(store, runs[1].id).deleted is not None
    with pytest.raises(Conflict, match="with its project"):
        restore_run(store, "run 1")
    with pytest.raises(NotFound):
        find(store, "run 1")
    assert [each.id for each in list_projects(store, deleted=True)] == [project.id]
    restore_project(store, "flights")
    assert {each.name for each in search(store)} == {"apart", "run 1", "run 2"}
    delete_project(store, "flights")
    assert set(purge_runs(store).runs) == {each.id for each in runs}
    restore_project(store, "flights")
    assert {each.name for each in search(store)} == {"apart"}, "what was purged does not come back"


def test_a_project_is_described(store: Store) -> None:
    project = ensure_project(store, "flights")
    description = store.queries.ask(Describe(subject=project.subject))
    assert description is not None
    assert (description.title, description.lines) == ("flights", ())
    delete_project(store, "flights")
    described = store.queries.ask(Describe(subject=project.subject))
    assert described is not None
    assert described.lines
    assert store.queries.ask(Describe(subject="project:1")) is None
