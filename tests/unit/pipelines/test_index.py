"""The catalog of steps and executions is a function of the set of events."""

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.events import Draft
from charkh.core.files import TreeRef
from charkh.pipelines.execution import (
    ENDED_KIND,
    STARTED_KIND,
    STEP_DONE_KIND,
    STEP_FAILED_KIND,
    STEP_FORGOTTEN_KIND,
    Execution,
    KeyParts,
    PipelineEnded,
    PipelineStarted,
    StepDone,
    StepFailed,
    StepForgotten,
    StepRecord,
    StepReport,
    shown_parts,
)
from charkh.pipelines.explain import FORGOTTEN, NEVER, explain
from charkh.pipelines.index import (
    PROJECTION,
    ExecutionByRun,
    Executions,
    FailuresOfRun,
    StepById,
    StepsByKey,
    StepsNamed,
    StepsOfRun,
)
from charkh.testing.projections import assert_order_free
from charkh.testing.stores import memory_store

PARTS = KeyParts(code={"m:f": "a" * 64}, params={"p": {"rate": 0.1}}, inputs={}, environment={"python": "3.11"})


def draft(kind: str, number: int, run: int) -> Draft:
    step, subject = str(number), f"step:{number}"
    if kind == "done":
        body: Any = StepDone(
            step=step,
            name=f"m:f{number % 2}",
            key=str(number % 3),
            parts=shown_parts(PARTS),
            output=TreeRef("0" * 64, 1, 1),
            seconds=0.5,
            run=str(run),
        )
        return Draft(kind=STEP_DONE_KIND, subject=subject, body=body)
    if kind == "failed":
        body = StepFailed(name="m:f", key="k", error=f"OSError: {number}", seconds=1.0, run=str(run))
        return Draft(kind=STEP_FAILED_KIND, subject=f"run:{run}", body=body)
    if kind == "forgotten":
        return Draft(kind=STEP_FORGOTTEN_KIND, subject=subject, body=StepForgotten(step=step), drops=(subject,))
    if kind == "started":
        body = PipelineStarted(pipeline=f"flow{run % 2}", run=str(run))
        return Draft(kind=STARTED_KIND, subject=f"run:{run}", body=body)
    body = PipelineEnded(
        pipeline=f"flow{run % 2}",
        run=str(run),
        status="finished" if number % 2 else "failed",
        steps=(StepReport(name="m:f", outcome="executed", step=step),),
        calls=1,
        seconds=float(number),
    )
    return Draft(kind=ENDED_KIND, subject=f"run:{run}", body=body)


DRAFTS = st.lists(
    st.tuples(
        st.sampled_from(["done", "done", "failed", "forgotten", "started", "ended"]),
        st.integers(0, 6),
        st.integers(0, 3),
    ).map(lambda triple: draft(*triple)),
    min_size=1,
    max_size=15,
)
QUERIES = [
    *(StepsByKey(key=str(key)) for key in range(3)),
    StepsNamed(),
    StepsNamed(name="m:f1", limit=2),
    StepById(step="1"),
    StepsOfRun(run="1"),
    FailuresOfRun(run="1"),
    Executions(),
    Executions(pipeline="flow1", limit=1),
    ExecutionByRun(run="2"),
]


def payloads_of(drafts: Sequence[Draft]) -> list[bytes]:
    store = memory_store(PROJECTION)
    store.record(*drafts)
    return [payload for batch in store.journal.read({}) for payload in batch.payloads]


@settings(max_examples=15)
@given(DRAFTS)
def test_the_catalog_is_a_function_of_the_set_of_events(drafts: list[Draft]) -> None:
    assert_order_free([PROJECTION], payloads_of(drafts), QUERIES, rounds=2)


def test_answers_survive_json() -> None:
    store = memory_store(PROJECTION)
    store.record(draft("done", 1, 1), draft("started", 1, 1), draft("ended", 1, 1))
    for query, answer in [(StepsNamed(), tuple[StepRecord, ...]), (Executions(), tuple[Execution, ...])]:
        seen = store.queries.ask(query)
        assert len(seen) == 1
        assert msgspec.json.decode(msgspec.json.encode(seen), type=answer) == seen


def record_of(parts: KeyParts) -> StepRecord:
    body = draft("done", 1, 1).body
    return StepRecord(done=msgspec.structs.replace(body, parts=shown_parts(parts)), actor="a", at=0.0, stamp="")


def test_explanations() -> None:
    shown = shown_parts(PARTS)
    assert explain(shown, []) == (NEVER,)
    assert explain(shown, [record_of(PARTS)]) == (FORGOTTEN,)
    other = KeyParts(
        code={"m:g": "b" * 64},
        params={"p": {"rate": 0.1, "new": None}, "gone": 1},
        inputs={"data": "c" * 64},
        environment={"python": "3.12", "polars": "1"},
        declared={"version": "1", "file a.sql": "d" * 64},
    )
    assert explain(shown_parts(other), [record_of(PARTS)]) == (
        "code of g is new",
        "code of f is gone",
        "param p.new is new: None",
        "param gone is new: 1",
        "input data is new",
        "python 3.11 -> 3.12",
        "polars is new: 1",
        "version none -> 1",
        "file a.sql changed",
    )
    typed = msgspec.structs.replace(PARTS, params={"p": {"rate": 1}})
    assert explain(shown_parts(msgspec.structs.replace(PARTS, params={"p": {"rate": True}})), [record_of(typed)]) == (
        "param p.rate 1 -> True",
    )


def test_what_an_event_shows_is_bounded_and_without_credentials() -> None:
    parts = msgspec.structs.replace(
        PARTS, params={"url": "postgres://me:hunter2@db/x", "long": "x" * 500, "token": 3, "note": "ok"}
    )
    shown = shown_parts(parts)
    assert shown.params["note"] == "ok"
    assert all(str(shown.params[name]).startswith("[") for name in ("url", "long", "token"))
    assert "hunter2" not in str(shown)
    assert shown.code == {"m:f": "a" * 16}
    assert parts.key == msgspec.structs.replace(parts).key != PARTS.key
