"""The life of a run: started, recorded into, ended, found again; joined by ranks, forked, lost, deleted."""

import logging
import math
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from charkh.core.clock import Clock
from charkh.core.errors import Conflict, Invalid, NotFound, Unavailable
from charkh.core.events import Edge
from charkh.core.ids import new_id
from charkh.datasets.index import PROJECTION as DATASETS
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import EdgesFrom, EdgesTo, FactsAbout, HeldDigests
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.runs import find as finding
from charkh.runs.active import current
from charkh.runs.compare import compare, only_differing
from charkh.runs.delete import delete_run
from charkh.runs.facts import ended_draft, started_draft
from charkh.runs.find import by_id, find
from charkh.runs.history import metric_history
from charkh.runs.index import (
    MOST_LIKE,
    PROJECTION,
    ArtifactsOf,
    ChildRuns,
    LinksOf,
    ParamConflicts,
    RunsByIds,
    SealedOf,
)
from charkh.runs.listening import listening
from charkh.runs.provenance import collect
from charkh.runs.purge import PurgedRuns, purge_runs
from charkh.runs.rename import rename_run
from charkh.runs.restore import restore_run
from charkh.runs.run import LargeValue, from_json_text
from charkh.runs.search import search
from charkh.runs.start import ActiveRun, start
from charkh.runs.tag import tag
from charkh.stores.catalog import Catalog
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.sql_engine import sqlite_engine
from charkh.testing.stores import memory_store
from charkh.testing.vaults import MemoryVault

PROJECTIONS = (PROJECTION, LINEAGE, DATASETS)


@pytest.fixture
def store() -> Store:
    return memory_store(*PROJECTIONS)


def folder_store(folder: Path) -> Store:
    clock, journal = Clock(), FolderJournal(folder, "01" * 16)
    catalog = Catalog(sqlite_engine(None), journal, PROJECTIONS, clock, "ann@laptop")
    return Store(
        journal=journal, vault=MemoryVault(), commands=catalog, queries=catalog, clock=clock, actor="ann@laptop"
    )


def test_a_run_is_found_with_everything_said_about_it(store: Store) -> None:
    params = {"rate": 0.1, "opt": {"name": "adam"}, "nan": math.nan}
    with start(store, name="first", group="seeds", params=params, tags={"stage": "draft"}) as run:
        assert current() is run
        run.log({"loss": 0.5, "auc": 0.6}, step=1)
        run.log({"loss": 0.3, "auc": math.nan}, step=2)
        run.set_params({"late": True})
        run.use("dataset:d1")
        run.made("model:m1")
    assert current() is None
    found = find(store, "first")
    assert (found.status, found.name, found.started.group, found.actor) == ("finished", "first", "seeds", "ann@laptop")
    assert found.started.pid == os.getpid()
    assert math.isnan(found.params.pop("nan"))
    assert found.params == {"late": True, "opt.name": "adam", "rate": 0.1}
    assert found.tags == {"stage": "draft"}
    assert found.metrics["loss"] == 0.3
    assert math.isnan(found.metrics["auc"])
    assert found.seconds is not None
    assert found.complete
    assert {find(store, ref).id for ref in (run.subject, run.id, run.id[:20])} == {run.id}
    assert store.queries.ask(LinksOf(run=run.id)) == (
        Edge("model:m1", "produced_by", run.subject),
        Edge(run.subject, "used", "dataset:d1"),
    )
    assert store.queries.ask(EdgesTo(subject="dataset:d1")) == (Edge(run.subject, "used", "dataset:d1"),)
    assert {fact.name: fact.value for fact in store.queries.ask(FactsAbout(subject=run.subject))} == {
        "run.status": "finished"
    }
    description = store.queries.ask(Describe(subject=run.subject))
    assert description is not None
    assert description.title == "first"
    assert ("param rate", "0.1") in description.lines
    assert ("metric loss", "0.3") in description.lines
    assert store.queries.ask(Describe(subject="run:none")) is None


def test_a_failing_block_says_why(store: Store) -> None:
    run = start(store)
    with pytest.raises(ZeroDivisionError), run:
        raise ZeroDivisionError("password=hunter2hunter2 was wrong")
    found = by_id(store, run.id)
    assert (found.status, found.error) == ("failed", "ZeroDivisionError: password=[redacted] was wrong")
    stopped = start(store)
    with pytest.raises(KeyboardInterrupt), stopped:
        raise KeyboardInterrupt
    assert by_id(store, stopped.id).error == "KeyboardInterrupt"


def test_ending_twice_is_ending_once(store: Store) -> None:
    run = start(store)
    run.end("failed", error="by hand")
    run.end()
    assert by_id(store, run.id).status == "failed"
    with pytest.raises(Invalid, match="has ended"):
        run.log({"x": 1.0})


def test_runs_nest_and_threads_log_to_the_latest(store: Store) -> None:
    seen: list[Any] = []
    with start(store, name="outer") as outer:
        with start(store, name="inner", parent=outer.id) as inner:
            assert current() is inner
            thread = threading.Thread(target=lambda: seen.append(current()))
            thread.start()
            thread.join()
        assert current() is outer
    assert seen == [inner]
    assert by_id(store, inner.id).started.parent == outer.id
    assert store.queries.ask(ChildRuns(parent=outer.id)) == (inner.id,)
    assert store.queries.ask(EdgesFrom(subject=inner.subject)) == (Edge(inner.subject, "part_of", outer.subject),)
    with pytest.raises(Invalid):
        start(store, parent="no id")


def test_the_first_value_of_a_param_stays_and_the_conflict_shows(store: Store) -> None:
    with start(store, params={"rate": 0.1, "same": 1}) as run:
        run.set_params({"rate": 0.2, "same": 1, "long": "a" * 2000})
        run.set_params({"rate": 0.1, "long": "b" * 2000})
    found = by_id(store, run.id)
    assert found.params["rate"] == 0.1
    large = found.params["long"]
    assert isinstance(large, LargeValue)
    assert from_json_text(b"".join(store.vault.read(large.file)).decode()) == "a" * 2000
    conflicts = store.queries.ask(ParamConflicts(run=run.id))
    assert [(each.name, each.shown) for each in conflicts] == [("long", large), ("rate", 0.1)]
    assert conflicts[1].others == (0.2,)
    assert large.file.held in store.queries.ask(HeldDigests())


def test_the_latest_tag_stays_and_may_be_taken_away(store: Store) -> None:
    with start(store, tags={"stage": "draft", "team": "red"}) as run:
        run.set_tags({"stage": "final"})
        run.set_tags({})
    assert find(store, run.id).tags == {"stage": "final", "team": "red"}
    assert tag(store, run.id, {"stage": "old", "team": None}).tags == {"stage": "old"}
    assert tag(store, run.id, {"stage": None}).tags == {}
    assert tag(store, run.id, {"team": "blue"}).tags == {"team": "blue"}


def test_artifacts_are_bytes_files_and_folders(store: Store, tmp_path: Path) -> None:
    (tmp_path / "plots" / "deep").mkdir(parents=True)
    (tmp_path / "plots" / "a.txt").write_text("a")
    (tmp_path / "plots" / "deep" / "b.txt").write_text("b")
    with start(store) as run:
        run.add_artifact("notes.txt", b"old")
        (file,) = run.add_artifact("notes.txt", b"new")
        run.add_artifact("one.txt", tmp_path / "plots" / "a.txt")
        run.add_artifact("plots", tmp_path / "plots")
        with pytest.raises(NotFound):
            run.add_artifact("gone.txt", tmp_path / "gone.txt")
        with pytest.raises(Invalid):
            run.add_artifact("../up.txt", b"")
    artifacts = store.queries.ask(ArtifactsOf(run=run.id))
    assert {each.path: b"".join(store.vault.read(each.file)) for each in artifacts} == {
        "notes.txt": b"new",
        "one.txt": b"a",
        "plots/a.txt": b"a",
        "plots/deep/b.txt": b"b",
    }
    assert file.held in store.queries.ask(HeldDigests())


def test_provenance_is_gathered_beside_the_training(store: Store, tmp_path: Path) -> None:
    with start(store, folder=tmp_path) as run:
        pass
    gathered = by_id(store, run.id).provenance
    assert gathered is not None
    assert gathered.environment is not None
    with start(store, provenance=collect(tmp_path)) as given:
        known = by_id(store, given.id).provenance
    assert known is not None
    assert known.environment == gathered.environment


def test_a_long_text_is_refused(store: Store) -> None:
    with pytest.raises(Invalid, match="more than 250"):
        start(store, name="a" * 251)


def test_a_reference_means_one_run(store: Store) -> None:
    for _ in range(2):
        start(store, name="twin").end()
    with pytest.raises(Conflict, match="means 2 runs, the newest"):
        find(store, "twin")
    for _ in range(MOST_LIKE):
        start(store, name="litter").end()
    with pytest.raises(Conflict, match=f"means {MOST_LIKE} runs or more"):
        find(store, "litter")
    for ref in ("", "run:", "none", "run:ff", "0" * 32):
        with pytest.raises(NotFound, match="there is no run"):
            find(store, ref)


def test_a_run_shows_as_running_then_as_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(store)
    assert by_id(store, run.id).status == "running"
    late = by_id(store, run.id).created + 61
    monkeypatch.setattr(finding.time, "time", lambda: late)
    assert by_id(store, run.id).status == "running"
    for segment in store.journal.list_data():
        store.journal.drop_data(segment.header.segment)
    assert by_id(store, run.id).status == "lost"
    (known,) = store.queries.ask(RunsByIds(runs=(run.id,), now=late - 2))
    assert known.status == "running"


def test_a_run_goes_on_after_a_restart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARKH_RUN_ID", new_id())
    first = start(store, name="once")
    first.log({"loss": 0.5}, step=1)
    first.end("failed")
    monkeypatch.setattr("charkh.runs.start._taken.count", 0)
    again = start(store, name="twice")
    assert again.id == first.id
    found = by_id(store, again.id)
    assert (found.name, found.status, found.over, found.ended) == ("once", "running", False, None)
    again.log({"loss": 0.4}, step=1)
    again.end()
    assert by_id(store, again.id).status == "finished"
    assert metric_history(store, again.id, "loss").values.tolist() == [0.4]


def test_ranks_write_one_run_and_rank_0_ends_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARKH_RUN_ID", "job")
    runs: list[ActiveRun] = []
    for rank in (1, 0):
        monkeypatch.setattr("charkh.runs.start._taken.count", 0)
        monkeypatch.setenv("RANK", str(rank))
        runs.append(start(store, name=f"rank {rank}", params={f"rank{rank}": rank}))
    one, zero = runs
    assert one.id == zero.id
    one.log({"loss": 1.0, "only": 7.0}, step=5)
    zero.log({"loss": 0.0}, step=0)
    zero.end()
    found = by_id(store, zero.id)
    assert (found.name, found.status) == ("rank 0", "finished")
    assert found.metrics == {"loss": 0.0, "only": 7.0}
    one.end("failed")
    found = by_id(store, zero.id)
    assert found.status == "finished"
    assert found.params == {"rank0": 0, "rank1": 1}
    assert found.metrics == {"loss": 0.0, "only": 7.0}


def test_processes_that_a_run_starts_join_it(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_runs import folder_store
from charkh.runs.start import start

store = folder_store(Path({folder!r}))
with start(store, name="child") as run:
    run.log({{"loss": 9.0}}, step=3)
print(run.id)
"""
    store = folder_store(tmp_path)
    code = code.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    with start(store, name="parent") as run:
        run.log({"loss": 1.0}, step=0)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == run.id
    found = by_id(store, run.id)
    assert (found.name, found.metrics) == ("parent", {"loss": 1.0})
    # The child's vault was in its own memory: what it sealed is known, and its bytes are elsewhere.
    assert {each.writer for each in store.queries.ask(SealedOf(run=run.id))} == {"0", f"0.{_child_pid(store, run.id)}"}


def _log_and_end(run: ActiveRun) -> None:
    run.log({"child": 5.0}, step=0)
    run.end("failed")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_does_not_end_the_run(tmp_path: Path) -> None:
    store = folder_store(tmp_path)
    run = start(store, name="parent")
    run.log({"loss": 1.0}, step=0)
    child = multiprocessing.get_context("fork").Process(target=_log_and_end, args=[run])
    child.start()
    child.join()
    assert child.exitcode == 0
    assert by_id(store, run.id).status == "running"
    run.log({"loss": 0.5}, step=1)
    run.end()
    found = by_id(store, run.id)
    assert (found.status, found.metrics) == ("finished", {"child": 5.0, "loss": 0.5})


def _child_pid(store: Store, run: str) -> int:
    (writer,) = {each.writer for each in store.queries.ask(SealedOf(run=run))} - {"0"}
    return int(writer.partition(".")[2])


def test_a_deleted_run_is_in_the_trash_and_holds_its_bytes_until_it_is_purged(store: Store) -> None:
    with start(store, name="old") as run:
        run.log({"loss": 0.5})
        run.add_artifact("a.txt", b"a")
        delete_run(store, "old", reason="a test")
        assert purge_runs(store) == PurgedRuns(runs=(), kept=(run.id,)), "a process writes it"
    held = store.queries.ask(HeldDigests())
    assert held
    with pytest.raises(NotFound):
        find(store, "old")
    assert find(store, "old", deleted=True).deleted is not None
    assert restore_run(store, "old").deleted is None
    assert find(store, "old").metrics == {"loss": 0.5}
    with pytest.raises(NotFound, match="in the trash"):
        restore_run(store, "old")
    delete_run(store, "old")
    assert purge_runs(store, older_than=60).runs == ()
    assert purge_runs(store, dry_run=True).runs == (run.id,)
    assert store.queries.ask(HeldDigests()) == held
    assert purge_runs(store, refs=["old"]).runs == (run.id,)
    assert store.queries.ask(HeldDigests()) == ()
    assert by_id(store, run.id).purged
    with pytest.raises(NotFound):
        restore_run(store, "old")


def test_a_run_is_renamed(store: Store) -> None:
    with start(store, name="first") as run:
        assert rename_run(store, "first", "second").name == "second"
    assert find(store, "second").id == run.id
    with pytest.raises(NotFound):
        find(store, "first")
    assert [each.id for each in search(store, "name = 'second'")] == [run.id]
    assert rename_run(store, run.id, "").name == ""


def test_a_run_says_when_it_began_and_who_started_it(store: Store) -> None:
    run = new_id()
    store.record(started_draft(run, "", "", "", "", 0, user="eve", began=1e9))
    found = by_id(store, run)
    assert (found.created, found.user, found.status) == (1e9, "eve", "running")
    store.record(ended_draft(run, "scheduled", "", 0))
    assert (by_id(store, run).status, by_id(store, run).over) == ("scheduled", False)
    store.record(ended_draft(run, "killed", "", 0, moment=1e9 + 5))
    found = by_id(store, run)
    assert (found.status, found.over, found.seconds) == ("killed", True, 5.0)
    assert start(store).project == ""
    assert find(store, search(store)[0].id).user == "ann"


def test_who_listens_hears_what_was_logged(store: Store) -> None:
    heard: list[Any] = []
    with start(store) as run, listening(lambda values, step, context: heard.append((dict(values), step, context))):
        run.log({"auc": 0.5}, step=3, context="val")
    run_after = start(store)
    run_after.log({"auc": 0.1})
    run_after.end()
    assert heard == [({"auc": 0.5}, 3, "val")]


def test_runs_side_by_side(store: Store, tmp_path: Path) -> None:
    for name, rate in (("a", 0.1), ("b", 0.2)):
        with start(store, name=name, params={"rate": rate, "seed": 1}, folder=tmp_path) as run:
            run.log({"auc": rate + 0.5})
            run.use(f"dataset:{name}")
            run.use("dataset:same")
            run.use("model:m", relation="started_from")
    compared = compare(store, ["a", "b"])
    assert [(row.name, row.values) for row in only_differing(compared.params)] == [("rate", (0.1, 0.2))]
    assert [(row.name, row.differs) for row in compared.params] == [("rate", True), ("seed", False)]
    assert [row.values for row in compared.metrics] == [(0.6, 0.7)]
    assert only_differing(compared.environment) == ()
    assert "numpy" in {row.name for row in compared.environment}
    assert [(row.name, row.values) for row in only_differing(compared.data)] == [("used 1", ("dataset:a", "dataset:b"))]
    assert compare(store, ["a", start(store).id]).code != ()


class FailingVault(MemoryVault):
    def flush(self) -> None:
        raise Unavailable("the bucket is away", code="blobs.unavailable")


def failing(store: Store) -> Store:
    return Store(
        journal=store.journal,
        vault=FailingVault(),
        commands=store.commands,
        queries=store.queries,
        clock=store.clock,
        actor=store.actor,
    )


def test_where_the_bytes_cannot_be_kept_the_run_still_ends(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "charkh"), start(failing(store), folder=Path.cwd()) as run:
        run.log({"loss": 0.5}, step=1)
    assert {record.message.partition(":")[0] for record in caplog.records} == {
        f"the provenance of run {run.id} is not kept",
        f"segments of run {run.id} wait to be sealed",
    }
    assert by_id(store, run.id).status == "finished"
    assert metric_history(store, run.id, "loss").values.tolist() == [0.5]


def test_an_error_of_the_store_does_not_hide_that_of_the_block(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(payloads: Sequence[bytes], *, durable: bool = False) -> None:
        raise Unavailable("the disk is full", code="journal.unavailable")

    run, other = start(store), start(store)
    monkeypatch.setattr(store.journal, "append", refuse)
    with pytest.raises(ZeroDivisionError), run:
        raise ZeroDivisionError
    assert "the disk is full" in caplog.text
    with pytest.raises(Unavailable), other:
        pass


def test_of_a_run_in_the_trash_it_is_said_how_it_comes_back(store: Store) -> None:
    run = start(store, name="thrown away")
    run.end()
    delete_run(store, run.id)
    with pytest.raises(NotFound) as failure:
        find(store, "thrown away")
    assert "run restore 'thrown away'" in failure.value.hint
    with pytest.raises(NotFound) as failure:
        find(store, "never there")
    assert "trash" not in failure.value.hint
