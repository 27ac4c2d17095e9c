"""What tracking added to format 1 opens for ever, and answers what it answered then.

`scripts/make_compat_tracking.py` made it; nothing here may be changed to make a later version pass, except where an
answer is rightly said in other words.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from charkh.assets.verify import verify
from charkh.core.ids import ID_PATTERN
from charkh.lineage.index import HeldDigests
from charkh.models.find import find as find_model
from charkh.ports.exchange import is_received
from charkh.runs.history import metric_history
from charkh.runs.media import list_media, read_media
from charkh.runs.projects import find_project, list_projects
from charkh.runs.run import Run
from charkh.runs.search import search
from charkh.users.find import find_user
from charkh.workspace.workspace import Workspace, open_workspace

ARCHIVE = Path(__file__).parent / "format-1-tracking.tar.gz"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    with open_workspace(tmp_path) as workspace:
        yield workspace


def run_named(workspace: Workspace, name: str) -> Run:
    (run,) = [run for run in search(workspace.store, limit=100) if run.name == name]
    return run


def test_all_of_it_is_read(workspace: Workspace) -> None:
    assert workspace.catalog.set_aside() == []
    report = verify(workspace.vault, level="everything", roots=workspace.store.queries.ask(HeldDigests()))
    assert report.problems == []


def test_projects_and_runs(workspace: Workspace) -> None:
    store = workspace.store
    assert {each.name for each in list_projects(store)} == {"Default", "flights/delay", "spare parts"}
    project = find_project(store, "flights/delay")
    assert (project.tags, project.deleted) == ({"team": "air"}, None)
    runs = {run.name: run for run in search(store, limit=100)}
    assert set(runs) == {"kept", "of another name", "restored", "elsewhere"}
    assert {runs[name].project for name in ("kept", "of another name", "restored")} == {project.id}
    curve = metric_history(store, runs["restored"].id, "loss")
    assert curve.values.tolist() == [1 / (step + 1) for step in range(20)]


def test_media_artifacts_and_what_was_tried(workspace: Workspace) -> None:
    run = run_named(workspace, "kept")
    items = {item.key: item for item in list_media(workspace.store, run.id)}
    assert {(key, item.kind, item.step) for key, item in items.items()} == {
        ("notes", "text", 0),
        ("table", "table", 1),
        ("weights", "histogram", 2),
        ("words", "text", 0),
    }
    assert read_media(workspace.store, items["words"]) == b"a line\nand another"
    assert read_media(workspace.store, items["notes"]) == b"what was tried"


def test_models_and_users(workspace: Workspace) -> None:
    assert find_model(workspace.store, "delay@1").made.number == 1
    bob = find_user(workspace.store, "bob")
    assert [(grant.role, grant.scope) for grant in bob.grants] == [("writer", "project:flights")]


def test_what_grows_elsewhere_is_shown_and_not_sealed(workspace: Workspace) -> None:
    run = run_named(workspace, "elsewhere")
    assert ID_PATTERN.fullmatch(run.id)
    assert metric_history(workspace.store, run.id, "loss").values.tolist() == [0.5] * 5
    assert [is_received(each.header) for each in workspace.journal.list_data()] == [True]
