"""What happens at each step call while a pipeline runs: look up, or execute and keep."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from charkh.core.errors import Invalid
from charkh.core.events import Draft, Edge
from charkh.core.ids import new_id
from charkh.pipelines.cache import Cache, Found, leaf_digest
from charkh.pipelines.digests import Digests, own_copy
from charkh.pipelines.execution import (
    STEP_DONE_KIND,
    STEP_FAILED_KIND,
    KeyParts,
    StepDone,
    StepFailed,
    StepRecord,
    StepReport,
    bounded_error,
    shown_parts,
)
from charkh.pipelines.explain import FORCED, explain
from charkh.pipelines.index import StepsNamed
from charkh.pipelines.invoke import Invoked, invoke
from charkh.pipelines.key import Keyed, bound, keyed
from charkh.pipelines.step import Step
from charkh.ports.executors import Executor
from charkh.ports.store import Store
from charkh.runs.active import current

NOT_CACHED = "it is not cached"

FORMER = 20
"""Executions among which the nearest is looked for, to say what differs from it."""
GATHER_SECONDS = 0.1
"""Steps that end within so long after the last record wait to be recorded together: what a kill may undo."""


class Surroundings(NamedTuple):
    """What a running pipeline hands to its steps.

    Attributes:
        store: where outputs and events are.
        pipeline: its name.
        folder: the workspace.
        ignore: folders inside it that hold no inputs.
        force: names of steps that are executed again whatever the cache has; `*` for all.
        executor: where cached steps run; None for here.
        notify: called with each report.
    """

    store: Store
    pipeline: str
    folder: Path
    ignore: tuple[Path, ...] = ()
    force: Collection[str] = ()
    executor: Executor | None = None
    notify: Callable[[StepReport], None] | None = None


class Running:
    """One execution of a pipeline's body, as its step calls see it.

    Args:
        around: what it hands to its steps.
        digests: with the codecs for what they give and take.

    Attributes:
        reports: what became of each call, in order.
        reused: subjects of the executions whose outputs were reused.
    """

    def __init__(self, around: Surroundings, digests: Digests) -> None:
        self.reports: list[StepReport] = []
        self.reused: dict[str, None] = {}
        self._around = around
        self._digests = digests
        self._cache = Cache(around.store, digests, around.folder)
        self._makers: dict[str, str] = {}
        self._gathered: list[Draft] = []
        self._fresh: dict[str, StepRecord] = {}
        self._settled = 0.0

    def call(self, step: "Step[..., Any]", arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """The step's output, from the cache or from its body."""
        began = time.perf_counter()
        if not step.options.cache:
            return self._call_uncached(step, arguments, named, began)
        fitted = bound(step, arguments, named)
        call = keyed(step, fitted.arguments, self._digests, self._around.folder)
        key = call.parts.key
        forced = is_forced(step.name, self._around.force)
        found = Found(None, troubles=(FORCED,)) if forced else self._cache.find(key, self._fresh.get(key))
        if found.record is not None:
            return self._reuse(step, found, began)
        shown = shown_parts(call.parts)
        reasons = found.troubles or explain(shown, self._former(step.name))
        fitted.arguments.update({name: own_copy(apart) for name, apart in call.inputs.items()})
        try:
            invoked = self._invoke(step, fitted.args, fitted.kwargs)
            return self._keep(step, key, shown, call, invoked, reasons, began)
        except Exception as error:
            self._note_failure(step, key, error, reasons, began)
            raise

    def settle(self) -> None:
        """Record the steps that wait for it; their outputs are durable first.

        Raises:
            Unavailable: the store cannot be written; they wait on.
        """
        self._settled = time.monotonic()
        if not self._gathered:
            return
        self._around.store.vault.flush()
        self._around.store.record(*self._gathered)
        self._gathered, self._fresh = [], {}

    def _former(self, name: str) -> Sequence[StepRecord]:
        """Executions of a step, newest first."""
        waiting = [record for record in reversed(self._fresh.values()) if record.done.name == name]
        return (*waiting[:FORMER], *self._around.store.queries.ask(StepsNamed(name=name, limit=FORMER)))

    def _reuse(self, step: "Step[..., Any]", found: Found, began: float) -> Any:
        record = found.record
        assert record is not None
        self._made_by(record.subject, found.digests)
        self.reused.setdefault(record.subject)
        active = current()
        if record.done.metrics and active is not None:
            _log_again(active, record.done.metrics)
        reason = f"executed by {record.actor} in {record.done.seconds:.2g} s"
        self._report(
            StepReport(
                name=step.name,
                outcome="reused",
                reasons=(reason,),
                seconds=time.perf_counter() - began,
                step=record.done.step,
            )
        )
        return found.value

    def _invoke(self, step: "Step[..., Any]", arguments: Sequence[Any], named: Mapping[str, Any]) -> Invoked:
        around = self._around
        for left in range(step.options.retries, -1, -1):
            try:
                if around.executor is None:
                    return invoke(step, arguments, named, around.folder, around.ignore)
                call = around.executor.submit(invoke, step, arguments, named, around.folder, around.ignore)
                return call.result()
            except Exception:
                if not left:
                    raise
        raise AssertionError("a step is called at least once")

    def _keep(
        self,
        step: "Step[..., Any]",
        key: str,
        shown: KeyParts,
        call: Keyed,
        invoked: Invoked,
        reasons: tuple[str, ...],
        began: float,
    ) -> Any:
        try:
            kept = self._cache.keep(invoked.value)
        except Invalid as error:
            raise Invalid(
                f"the output of the step {step.name}: {error.message}",
                code=error.code,
                hint=error.hint,
                facts={**error.facts, "step": step.name},
            ) from error
        active = current()
        run = active.id if active is not None else ""
        done = StepDone(
            step=new_id(),
            name=step.name,
            key=key,
            parts=shown,
            output=kept.tree,
            seconds=invoked.seconds,
            reads=invoked.reads,
            metrics=invoked.metrics,
            run=run,
            pipeline=self._around.pipeline,
        )
        subject = f"step:{done.step}"
        sources = dict.fromkeys((*call.origins, *self._makers_of(call)))
        edges = [Edge(subject, "used", source) for source in sources if source != subject]
        if run:
            edges.append(Edge(f"run:{run}", "executed", subject))
        self._gathered.append(
            Draft(kind=STEP_DONE_KIND, subject=subject, body=done, edges=tuple(edges), holds=(kept.tree.root,))
        )
        self._fresh[key] = StepRecord(done=done, actor=self._around.store.actor, at=time.time(), stamp="")
        if time.monotonic() - self._settled >= GATHER_SECONDS:
            self.settle()
        self._made_by(subject, kept.digests)
        self._report(
            StepReport(
                name=step.name,
                outcome="executed",
                reasons=reasons,
                seconds=time.perf_counter() - began,
                step=done.step,
            )
        )
        return kept.value

    def _call_uncached(
        self, step: "Step[..., Any]", arguments: tuple[Any, ...], named: Mapping[str, Any], began: float
    ) -> Any:
        try:
            value = step.function(*arguments, **named)
        except Exception as error:
            self._note_failure(step, "", error, (NOT_CACHED,), began)
            raise
        seconds = time.perf_counter() - began
        self._report(StepReport(name=step.name, outcome="executed", reasons=(NOT_CACHED,), seconds=seconds))
        return value

    def _note_failure(
        self, step: "Step[..., Any]", key: str, error: Exception, reasons: tuple[str, ...], began: float
    ) -> None:
        seconds = time.perf_counter() - began
        active = current()
        run = active.id if active is not None else ""
        body = StepFailed(
            name=step.name,
            key=key,
            error=bounded_error(error),
            seconds=seconds,
            run=run,
            pipeline=self._around.pipeline,
        )
        self._around.store.record(Draft(kind=STEP_FAILED_KIND, subject=f"run:{run or new_id()}", body=body))
        self._report(StepReport(name=step.name, outcome="failed", reasons=reasons, seconds=seconds))
        error.add_note(f"in the step {step.name}; what was finished before it is kept and reused by the next run")

    def _report(self, report: StepReport) -> None:
        self.reports.append(report)
        if self._around.notify is not None:
            self._around.notify(report)

    def _made_by(self, subject: str, digests: Sequence[str]) -> None:
        for digest in digests:
            self._makers.setdefault(digest, subject)

    def _makers_of(self, call: Keyed) -> list[str]:
        """The steps whose outputs, or parts of them, the inputs are."""
        makers: list[str] = []
        for name, apart in call.inputs.items():
            digests = [call.parts.inputs[name]]
            digests += [leaf_digest(leaf.codec.name, self._digests.leaf_files(leaf)) for leaf in apart.leaves]
            makers += [self._makers[digest] for digest in digests if digest in self._makers]
        return makers


def is_forced(name: str, force: Collection[str]) -> bool:
    """Whether a step is named, by its function's name or in full."""
    return bool({"*", name, name.rpartition(":")[2]} & set(force))


def _log_again(active: Any, metrics: Mapping[str, float]) -> None:
    """Say the metrics of a reused step to the run that reuses it."""
    for name, value in metrics.items():
        key, opened, context = name.partition("[")
        active.log({key: value}, context=context.removesuffix("]") if opened else "")
