"""Hits, misses by each cause with the explanation, resumption, and what a damaged or forgotten output does."""

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from charkh.core.errors import Corrupt, Invalid
from charkh.lineage.index import EdgesFrom, HeldDigests
from charkh.pipelines import running
from charkh.pipelines.execution import ENDED_KIND
from charkh.pipelines.forget import forget
from charkh.pipelines.index import (
    ExecutionByRun,
    Executions,
    FailuresOfRun,
    StepById,
    StepsByKey,
    StepsNamed,
    StepsOfRun,
)
from charkh.pipelines.load import find_pipeline
from charkh.ports.projections import Describe
from charkh.runs.active import current
from charkh.runs.find import find as find_run

REUSED = ["prepare: reused", "train: reused"]


def test_a_second_run_reuses_every_step(desk: Any) -> None:
    first, second = desk.run(), desk.run()
    assert [step.outcome for step in first.steps] == ["executed", "executed"]
    assert [step.outcome for step in second.steps] == ["reused", "reused"]
    assert first.value == second.value == 3.0
    assert first.steps[0].reasons == ("it was never executed before",)


def test_steps_and_pipelines_are_plain_functions(desk: Any) -> None:
    flow = desk.load()
    module = sys.modules["charkh_flow"]
    assert module.prepare(3) == [0, 2, 4]
    assert flow() == 3.0
    assert desk.store.queries.ask(StepsNamed()) == ()


@pytest.mark.parametrize(
    ("old", "new", "file"),
    [
        ('"""Make numbers."""', '"""Numbers."""', "charkh_flow.py"),
        ("    data = prepare", "    # first\n    data = prepare", "charkh_flow.py"),
        ("number * FACTOR", "(number)  *  FACTOR", "charkh_flow.py"),
        ("@names.step\ndef train", "@names.step(retries=3)\ndef train", "charkh_flow.py"),
        ("    return value / 2", "\n    # half of it\n    return value / 2", "charkh_step_names.py"),
    ],
)
def test_what_changes_no_meaning_is_a_hit(desk: Any, old: str, new: str, file: str) -> None:
    desk.run()
    desk.edit(old, new, file)
    assert desk.outcomes() == REUSED


@pytest.mark.parametrize(
    ("old", "new", "file", "step", "reason"),
    [
        ("number * FACTOR", "number + FACTOR", "charkh_flow.py", "prepare", "code of prepare changed"),
        ("FACTOR = 2", "FACTOR = 3", "charkh_flow.py", "prepare", "code of charkh_flow.FACTOR changed"),
        ("value / 2", "value / 3", "charkh_step_names.py", "train", "code of half changed"),
        ("rate: float = 0.5", "rate: float = 0.6", "charkh_step_names.py", "train", "param p.rate 0.5 -> 0.6"),
        ("count: int = 4", "count: int = 5", "charkh_step_names.py", "prepare", "param count 4 -> 5"),
    ],
)
def test_a_miss_names_its_cause(desk: Any, old: str, new: str, file: str, step: str, reason: str) -> None:
    desk.run()
    desk.edit(old, new, file)
    assert [each.reasons for each in desk.plan().steps if each.short_name == step] == [(reason,)]
    assert desk.why(step) == (reason,)
    assert desk.outcomes() == REUSED


def test_an_equal_output_stops_the_change(desk: Any) -> None:
    desk.run()
    desk.edit("number * FACTOR", "FACTOR * number")
    assert desk.outcomes() == ["prepare: executed", "train: reused"]


def test_a_changed_input_is_named(desk: Any) -> None:
    desk.run()
    desk.edit("FACTOR = 2", "FACTOR = 3")
    assert desk.why("train") == ("input data changed",)


def test_params_from_outside(desk: Any) -> None:
    assert desk.run(params={"rate": 2.0}).value == 12.0
    assert desk.run(params={"rate": 2}).steps[1].outcome == "reused"
    with pytest.raises(Invalid, match="rat"):
        desk.run(params={"rat": 2})


def test_the_nearest_execution_explains(desk: Any) -> None:
    for rate in (0.1, 0.2):
        desk.run(params={"rate": rate, "count": 3})
    desk.run(params={"rate": 0.3, "count": 9})
    (step,) = desk.run(params={"rate": 0.25, "count": 3}).steps[1:]
    assert step.reasons == ("param p.rate 0.2 -> 0.25",)


def test_forced_steps_are_executed_again(desk: Any) -> None:
    desk.run()
    assert desk.outcomes(force=["train"]) == ["prepare: reused", "train: executed"]
    assert desk.outcomes(force=["*"]) == ["prepare: executed", "train: executed"]
    assert desk.plan(force=["prepare"]).steps[0].verdict == "execute"


def test_a_failure_keeps_what_was_finished_and_the_next_run_resumes(desk: Any) -> None:
    desk.edit("return half(sum(data)) * p.rate", 'raise OSError("disk, password=hunter2hunter2")')
    with pytest.raises(OSError, match="disk") as raised:
        desk.run()
    assert "reused by the next run" in raised.value.__notes__[0]
    (execution,) = desk.store.queries.ask(Executions(pipeline="flow"))
    assert execution.status == "failed"
    (failure,) = desk.store.queries.ask(FailuresOfRun(run=execution.run))
    assert failure.error.startswith("OSError: disk")
    assert "hunter2" not in failure.error
    assert find_run(desk.store, execution.run).status == "failed"
    desk.edit('raise OSError("disk, password=hunter2hunter2")', "return half(sum(data)) * p.rate")
    assert desk.outcomes() == ["prepare: reused", "train: executed"]


def test_an_interrupt_is_recorded_as_one(desk: Any) -> None:
    desk.edit("return half(sum(data)) * p.rate", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        desk.run()
    (execution,) = desk.store.queries.ask(Executions())
    assert execution.status == "interrupted"
    assert desk.store.queries.ask(FailuresOfRun(run=execution.run)) == ()


def test_a_step_is_tried_again(desk: Any) -> None:
    desk.edit("FACTOR = 2", "FACTOR = 2\nTRIES = iter([OSError, OSError, None])")
    desk.edit("@names.step\ndef train", "@names.step(retries=2)\ndef train")
    desk.edit("    return half", "    error = next(TRIES)\n    if error:\n        raise error\n    return half")
    assert desk.outcomes() == ["prepare: executed", "train: executed"]


class Damaged:
    """A vault one of whose files is not what its digest says."""

    def __init__(self, vault: Any, digest: str, error: Exception) -> None:
        self._vault, self._digest, self._error = vault, digest, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vault, name)

    def read(self, ref: Any, *more: Any) -> Any:
        if ref.digest == self._digest:
            raise self._error
        return self._vault.read(ref, *more)


@pytest.mark.parametrize("error", [Corrupt("a chunk is damaged")], ids=["corrupt"])
def test_a_damaged_output_is_made_again_and_said_so(desk: Any, error: Exception) -> None:
    result = desk.run()
    record = desk.store.queries.ask(StepById(step=result.steps[0].step))
    (entry,) = desk.store.vault.entries(record.done.output.root)
    whole = desk.store
    object.__setattr__(desk, "store", _with_vault(whole, Damaged(whole.vault, entry.file.digest, error)))
    assert desk.why("prepare") == ("its stored output cannot be used: a chunk is damaged",)
    desk.store = whole
    assert desk.outcomes() == REUSED


def test_an_erased_output_is_made_again(desk: Any) -> None:
    result = desk.run()
    record = desk.store.queries.ask(StepById(step=result.steps[0].step))
    (entry,) = desk.store.vault.entries(record.done.output.root)
    desk.store.vault._chunks[entry.file.digest] = b"[erased]"
    (reason,) = desk.why("prepare")
    assert "erased" in reason


def _with_vault(store: Any, vault: Any) -> Any:
    return type(store)(
        journal=store.journal,
        vault=vault,
        commands=store.commands,
        queries=store.queries,
        clock=store.clock,
        actor=store.actor,
    )


def test_a_forgotten_output_is_made_again_and_its_bytes_are_free(desk: Any) -> None:
    result = desk.run()
    records = [desk.store.queries.ask(StepById(step=step.step)) for step in result.steps]
    held = desk.store.queries.ask(HeldDigests())
    assert {record.done.output.root for record in records} <= set(held)
    assert len(forget(desk.store, older_than=0, name=records[0].done.name, dry_run=True)) == 1
    assert desk.outcomes() == REUSED
    assert len(forget(desk.store, older_than=0)) == 2
    assert desk.store.queries.ask(StepsByKey(key=records[0].done.key)) == ()
    assert records[0].done.output.root not in desk.store.queries.ask(HeldDigests())
    assert desk.why("prepare") == ("its stored output was forgotten",)
    assert forget(desk.store, older_than=3600) == ()


def test_a_file_that_a_step_read_is_an_input(desk: Any) -> None:
    (desk.folder / "factors").mkdir()
    (desk.folder / "factors/one.txt").write_text("7")
    desk.edit("import charkh_step", f"from pathlib import Path\nHERE = Path({str(desk.folder)!r})\nimport charkh_step")
    desk.edit("number * FACTOR", "number * int((HERE / 'factors/one.txt').read_text())")
    assert desk.run().value == 10.5
    assert desk.outcomes() == REUSED
    (desk.folder / "factors/one.txt").write_text("8")
    assert desk.why("prepare") == ("file factors/one.txt changed",)
    (desk.folder / "factors/one.txt").write_text("7")
    assert desk.outcomes() == REUSED


def test_files_of_the_store_and_outside_are_no_inputs(desk: Any, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside") / "x.txt"
    (desk.folder / ".charkh").mkdir()
    (desk.folder / "store").mkdir()
    paths = [outside, desk.folder / ".charkh/x", desk.folder / "store/x"]
    for path in paths:
        path.write_text("1")
    lines = "".join(f"    open({str(path)!r}).close()\n" for path in [*paths, desk.folder / "written.txt"])
    desk.edit('    """Make numbers."""\n', f"    open({str(desk.folder / 'written.txt')!r}, 'w').close()\n{lines}")
    result = desk.run(ignore=[desk.folder / "store"])
    assert desk.store.queries.ask(StepById(step=result.steps[0].step)).done.reads == {}


def test_declared_files_variables_and_versions(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGION_TOKEN", "hunter2hunter2")
    (desk.folder / "a.sql").write_text("select 1")
    desk.edit("@names.step\ndef prepare", "@names.step(files=['*.sql'], variables=['REGION_TOKEN'])\ndef prepare")
    desk.run()
    assert desk.outcomes() == REUSED
    (desk.folder / "a.sql").write_text("select 2")
    assert desk.why("prepare") == ("file a.sql changed",)
    (desk.folder / "b.sql").write_text("select 3")
    assert desk.why("prepare") == ("file b.sql changed",)
    monkeypatch.setenv("REGION_TOKEN", "hunter3hunter3")
    assert desk.why("prepare") == ("variable REGION_TOKEN changed",)
    payloads = b"".join(payload for batch in desk.store.journal.read({}) for payload in batch.payloads)
    assert b"hunter2" not in payloads
    desk.edit("variables=['REGION_TOKEN'])", "variables=['REGION_TOKEN'], version='2')")
    assert desk.why("prepare") == ("version none -> 2",)


def test_a_secret_param_is_compared_but_not_shown(desk: Any) -> None:
    desk.edit("count: int = 4", "count: int = 4\n    api_token: str = 'hunter2hunter2'", "charkh_step_names.py")
    desk.run()
    assert desk.outcomes() == REUSED
    (reason,) = desk.why("train", params={"api_token": "hunter3hunter3"})
    assert reason.startswith("param p.api_token [")
    records = desk.store.queries.ask(StepsNamed())
    assert not any("hunter" in str(record.done) for record in records)


def test_an_uncached_step_is_executed_each_time(desk: Any) -> None:
    desk.edit("@names.step\ndef train", "@names.step(cache=False)\ndef train")
    desk.edit("    return half", "    prepare(2)\n    return half")
    desk.run()
    result = desk.run()
    assert [f"{step.short_name}: {step.outcome}" for step in result.steps] == [
        "prepare: reused",
        "prepare: reused",
        "train: executed",
    ]
    assert result.steps[2].reasons == ("it is not cached",)


def test_a_step_inside_a_cached_step_is_its_code(desk: Any) -> None:
    desk.edit("    return half(sum(data))", "    return half(sum(prepare(3)))")
    assert desk.outcomes() == ["prepare: executed", "train: executed"]
    desk.edit("number * FACTOR", "number - FACTOR")
    assert "code of prepare changed" in desk.why("train")


def test_an_output_that_cannot_be_kept_says_what_to_do(desk: Any) -> None:
    desk.edit("    return half(sum(data)) * p.rate", "    return object()")
    with pytest.raises(Invalid, match="train") as refused:
        desk.run()
    assert "cache=False" in refused.value.hint


def test_a_step_cannot_change_what_others_see(desk: Any) -> None:
    desk.edit("    return half(sum(data))", "    data.append(1000)\n    return half(sum(data))")
    desk.edit("    return train(data, p)", "    train(data, p)\n    data.append(1)\n    return train(data, p)")
    result = desk.run()
    assert result.value == (12 + 1 + 1000) / 4
    assert [step.outcome for step in result.steps] == ["executed", "executed", "executed"]


def test_metrics_of_a_reused_step_are_logged_again(desk: Any) -> None:
    desk.edit("import charkh_step", "from charkh.runs.active import current\nimport charkh_step")
    lines = (
        "    for i in range(3):\n        current().log({'loss': 1.0 / (i + 1)}, step=i, context='val')\n    return half"
    )
    desk.edit("    return half", lines)
    first, second = desk.run(), desk.run()
    for result in (first, second):
        assert find_run(desk.store, result.run).metrics["loss[val]"] == pytest.approx(1 / 3)


def test_an_execution_is_a_run_with_params_and_edges(desk: Any) -> None:
    result = desk.run(params={"rate": 0.25})
    assert current() is None
    run = find_run(desk.store, result.run)
    assert (run.name, run.status, run.params["rate"]) == ("flow", "finished", 0.25)
    prepare, train = (f"step:{step.step}" for step in result.steps)
    edges = {(edge.relation, edge.target) for edge in desk.store.queries.ask(EdgesFrom(subject=run.subject))}
    assert {("executed", prepare), ("executed", train)} <= edges
    assert [edge.target for edge in desk.store.queries.ask(EdgesFrom(subject=train))] == [prepare]
    assert [record.done.name for record in desk.store.queries.ask(StepsOfRun(run=run.id))] == [
        "charkh_flow:prepare",
        "charkh_flow:train",
    ]
    again = desk.run(params={"rate": 0.25})
    edges = {(edge.relation, edge.target) for edge in desk.store.queries.ask(EdgesFrom(subject=f"run:{again.run}"))}
    assert {("reused", prepare), ("reused", train)} <= edges
    execution = desk.store.queries.ask(ExecutionByRun(run=again.run))
    assert execution.status == "finished"
    assert [step.outcome for step in execution.ended.steps] == ["reused", "reused"]
    described = desk.store.queries.ask(Describe(subject=prepare))
    assert described.title == "step charkh_flow:prepare"
    assert desk.store.queries.ask(Describe(subject="step:" + "0" * 32)) is None


def test_an_execution_that_has_not_ended_is_running(desk: Any) -> None:
    desk.run()
    payloads = [payload for batch in desk.store.journal.read({}) for payload in batch.payloads]
    other = type(desk)(desk.folder).store
    other.journal.append([payload for payload in payloads if ENDED_KIND.encode() not in payload])
    (execution,) = other.queries.ask(Executions())
    assert (execution.status, execution.ended) == ("running", None)


def test_two_at_once_give_the_same(desk: Any) -> None:
    flow = desk.load()
    from charkh.pipelines.run import run_pipeline

    values: list[Any] = []
    barrier = threading.Barrier(2)

    def work() -> None:
        barrier.wait()
        values.append(run_pipeline(desk.store, flow, folder=desk.folder).value)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == [3.0, 3.0]
    assert desk.outcomes() == REUSED


def test_a_plan_executes_nothing(desk: Any) -> None:
    planned = desk.plan()
    assert [(step.short_name, step.verdict) for step in planned.steps] == [("prepare", "execute"), ("train", "unknown")]
    assert planned.steps[1].reasons == ("depends on prepare",)
    assert planned.blind == ""
    assert desk.store.queries.ask(StepsNamed()) == ()
    desk.run()
    assert [step.verdict for step in desk.plan().steps] == ["reuse", "reuse"]


@pytest.mark.parametrize(
    "looks",
    ["if data: pass", "data[0] + 1", "sorted(data)", "print(f'{data.x.y:.2f}')", "len(data.first(2))", "data == 3"],
)
def test_a_plan_ends_where_the_body_looks_at_what_is_not_there(desk: Any, looks: str) -> None:
    desk.edit("    return train", f"    {looks}\n    return train")
    planned = desk.plan()
    assert [step.short_name for step in planned.steps] == ["prepare"]
    assert "prepare" in planned.blind


def test_a_plan_raises_what_the_body_raises_by_itself(desk: Any) -> None:
    desk.edit("    data = prepare", "    1 / 0\n    data = prepare")
    with pytest.raises(ZeroDivisionError):
        desk.plan()


def test_a_pipeline_is_found_by_name(desk: Any) -> None:
    flow = desk.load()
    assert find_pipeline({"flow": flow}, "flow") is flow
    with pytest.raises(LookupError, match="flwo"):
        find_pipeline({"flow": flow}, "flwo")


def test_notify_hears_of_every_step(desk: Any) -> None:
    heard: list[str] = []
    desk.run(notify=lambda report: heard.append(report.short_name))
    assert heard == ["prepare", "train"]


def test_the_folder_need_not_be_the_current_one(desk: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    desk.run()
    assert desk.outcomes() == REUSED


def test_steps_that_follow_fast_are_recorded_together(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "GATHER_SECONDS", 3600.0)
    desk.edit(
        "    data = prepare(p.count)\n    return train(data, p)",
        "    first, again = [train(prepare(count), p) for count in (1, 2, 3)], train(prepare(2), p)\n"
        "    return sum(first) + again",
    )
    result = desk.run()
    assert [step.outcome for step in result.steps] == [*["executed"] * 6, "reused", "reused"]
    assert result.steps[2].reasons == ("param count 1 -> 2",)
    recorded = desk.store.queries.ask(StepsOfRun(run=result.run))
    assert [record.done.step for record in recorded] == [step.step for step in result.steps[:6]]
    assert {step.outcome for step in desk.run().steps} == {"reused"}


def test_a_failure_keeps_what_waits_to_be_recorded(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "GATHER_SECONDS", 3600.0)
    desk.edit("return half(sum(data)) * p.rate", "raise RuntimeError(sum(data))")
    desk.edit("    data = prepare(p.count)", "    prepare(1)\n    data = prepare(p.count)")
    with pytest.raises(RuntimeError, match="12"):
        desk.run()
    assert len(desk.store.queries.ask(StepsNamed(name="charkh_flow:prepare"))) == 2
