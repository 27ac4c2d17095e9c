"""Opening a workspace: fresh, again, by several at once, damaged, too new; and a team's store for real."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from blake3 import blake3
from sklearn.linear_model import LogisticRegression

import charkh
from charkh.core.config import Settings, StoreSettings
from charkh.core.errors import CharkhError, Corrupt, Invalid, NotFound, Unavailable
from charkh.datasets.add import add_table
from charkh.datasets.find import find as find_dataset
from charkh.datasets.index import Datasets
from charkh.datasets.read import read_table
from charkh.models.alias import move_alias
from charkh.models.load import load
from charkh.models.register import register
from charkh.runs.search import search
from charkh.runs.start import start
from charkh.workspace.auditing import verify_audit
from charkh.workspace.collecting import collect_garbage
from charkh.workspace.doctor import examine
from charkh.workspace.fsck import check_store
from charkh.workspace.projections import PROJECTIONS
from charkh.workspace.token import token_of
from charkh.workspace.tracing import trace_in
from charkh.workspace.workspace import FORMAT, Workspace, actor_name, open_workspace

ROWS = pl.DataFrame({"x": np.linspace(-1, 1, 50), "y": np.linspace(1, 0, 50)})
LATE = (ROWS["x"] > 0).to_numpy()


def test_a_fresh_folder_becomes_a_workspace_and_stays_the_same_one(tmp_path: Path) -> None:
    with open_workspace(tmp_path, create=True) as first:
        add_table(first.store, "rows", ROWS)
        known = first.identifier
        assert first.folder == tmp_path
    with open_workspace(tmp_path / "not" / "there", create=False) as again:
        assert again.identifier == known
        assert [each.name for each in again.store.queries.ask(Datasets())] == ["rows"]
        again.close()
        again.close()
    store = tmp_path / ".charkh"
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    check = blake3(f"{FORMAT} {known}".encode()).hexdigest()[:16]
    assert json.loads((store / "format.json").read_text()) == {"format": FORMAT, "store": known, "check": check}
    assert (store / ".gitignore").read_text() == "*\n"
    assert [path for path in store.iterdir() if path.name.startswith(".format-")] == []


def test_a_folder_that_is_none_is_not_made_one_unasked(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        open_workspace(tmp_path)
    assert caught.value.code == "workspace.not_found"
    assert list(tmp_path.iterdir()) == []


def test_the_catalog_is_a_view(tmp_path: Path) -> None:
    with open_workspace(tmp_path, create=True) as first:
        add_table(first.store, "rows", ROWS)
    for name in ("catalog.sqlite", "index.sqlite"):
        (tmp_path / ".charkh" / name).unlink()
    with open_workspace(tmp_path) as again:
        version = find_dataset(again.store, "rows@1")
        assert read_table(again.store, version).equals(ROWS)


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("", Corrupt, "store.format_damaged"),
        ('{"format":1', Corrupt, "store.format_damaged"),
        ('{"format":"one","store":"x"}', Corrupt, "store.format_damaged"),
        ('{"format":1}', Corrupt, "store.format_damaged"),
        (f'{{"format":{FORMAT + 1},"store":"{"ab" * 16}"}}', Invalid, "store.too_new"),
        (f'{{"format":{FORMAT},"store":"{"ab" * 16}","needs":["packs-2"]}}', Invalid, "store.too_new"),
        (f'{{"format":{FORMAT + 1},"store":"{"ab" * 16}","more":1}}', Invalid, "store.too_new"),
    ],
)
def test_a_store_that_cannot_be_read_is_left_alone(
    tmp_path: Path, text: str, kind: type[CharkhError], code: str
) -> None:
    open_workspace(tmp_path, create=True).close()
    path = tmp_path / ".charkh" / "format.json"
    path.write_text(text)
    with pytest.raises(kind) as caught:
        open_workspace(tmp_path)
    assert caught.value.code == code
    assert caught.value.hint
    assert path.read_text() == text


def test_what_a_damaged_format_tells_to_write_mends_it(tmp_path: Path) -> None:
    with open_workspace(tmp_path, create=True) as first:
        add_table(first.store, "rows", ROWS)
        known = first.identifier
    path = tmp_path / ".charkh" / "format.json"
    path.unlink()
    with open_workspace(tmp_path) as again:
        assert again.identifier != known, "the id is made anew where it is gone"
        assert [each.name for each in again.store.queries.ask(Datasets())] == ["rows"], "no fact is"
    path.write_text(json.dumps({"format": 1, "store": known}))
    with open_workspace(tmp_path) as mended:
        assert mended.identifier == known


OPEN = """
import sys
from pathlib import Path
from charkh.workspace.workspace import open_workspace
sys.stdin.readline()
with open_workspace(Path(sys.argv[1]), create=True) as workspace:
    print(workspace.identifier)
"""


def test_processes_that_open_a_fresh_folder_at_once_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN, str(tmp_path)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(told) == 1
    assert told == {json.loads((tmp_path / ".charkh" / "format.json").read_text())["store"]}


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHARKH_STORE", str(tmp_path / "file" / "store"))
    with pytest.raises(Unavailable) as caught:
        open_workspace(tmp_path, create=True)
    assert "CHARKH_STORE" in caught.value.hint


def test_a_journal_of_another_kind_is_refused(tmp_path: Path) -> None:
    settings = Settings(store=StoreSettings(journal="mysql://ann@db/charkh"))
    with pytest.raises(Invalid, match="mysql://"):
        Workspace(tmp_path, settings, create=True)


def test_the_actor_is_who_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "@" in actor_name()
    monkeypatch.setenv("CHARKH_ACTOR", "ci@build")
    assert actor_name() == "ci@build"


def test_every_noun_is_projected_once() -> None:
    names = [projection.name for projection in PROJECTIONS]
    assert len(set(names)) == len(names)
    tables = [table.name for projection in PROJECTIONS for table in projection.tables.sorted_tables]
    assert len(set(tables)) == len(tables)
    nouns = [noun for projection in PROJECTIONS for noun in projection.portraits]
    assert len(set(nouns)) == len(nouns)


def test_a_token_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    os.umask(0o022)
    token = token_of(tmp_path)
    assert token_of(tmp_path) == token
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert len(token) >= 43
    with pytest.raises(Unavailable):
        token_of(tmp_path / "missing")


@pytest.mark.needs("postgresql", "moto")
def test_a_team_shares_postgres_and_a_bucket(
    tmp_path: Path, postgres_url: str, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "charkh.toml").write_text(f'[store]\njournal = "{postgres_url}"\nblobs = "{s3_url}"\n')
    monkeypatch.setenv("CHARKH_ACTOR", "ann@laptop")
    with open_workspace(tmp_path / "ann") as ann:
        data = add_table(ann.store, "rows", ROWS)
        with start(ann.store, name="train", params={"rate": 0.1}) as run:
            run.use(data.subject)
            run.log({"auc": 0.9}, step=1)
        estimator = LogisticRegression().fit(ROWS, LATE)
        register(ann.store, "late", estimator, runtimes=ann.runtimes, example=ROWS[:3], run=run.id, datasets=[data.id])
        monkeypatch.setenv("CHARKH_ACTOR", "bob@desktop")
        with open_workspace(tmp_path / "bob") as bob:
            version = find_dataset(bob.store, "rows@latest")
            assert read_table(bob.store, version).equals(ROWS)
            (found,) = search(bob.store, "metrics.auc > 0.8")
            assert (found.name, found.actor) == ("train", "ann@laptop")
            loaded = load(bob.store, "late@1", runtimes=bob.runtimes)
            answer = loaded.predictor.predict({name: ROWS[name].to_numpy() for name in ("x", "y")})
            assert (answer["predict"] == LATE).mean() > 0.9
            move_alias(bob.store, "late@1", "champion", reason="it is good")
            second = add_table(bob.store, "rows", ROWS + 1, append=True)
            assert second.made.number == 2
            origins = trace_in(bob.store, "late@champion")
            assert {node.noun for node in origins.trace.nodes} == {"model", "run", "dataset"}
        assert find_dataset(ann.store, "rows@latest").made.rows == 100
        assert add_table(ann.store, "rows", ROWS[:1], append=True).made.number == 3
        report = check_store(ann, level="everything")
        assert report.problems == ()
        assert report.journal is None
        assert "in a database" in report.journal_line
        assert collect_garbage(ann).collected.dry_run
        with pytest.raises(Invalid, match="keeps no chain"):
            verify_audit(ann)
        states = {each.what: each for each in examine(ann)}
        assert states["team store"].detail == "PostgreSQL and S3 answer"
        assert not [each for each in states.values() if each.state == "fail"]
    assert list((tmp_path / "ann" / ".charkh").glob("packs/*")) == []


def test_reading_makes_no_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHARKH_WORKSPACE", raising=False)
    for read in (charkh.dataset, charkh.load, charkh.trace):
        with pytest.raises(NotFound, match="no charkh workspace"):
            read("flights@1")
    assert list(tmp_path.iterdir()) == []
