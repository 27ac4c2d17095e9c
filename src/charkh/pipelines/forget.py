"""Forget step outputs that nobody needs, so that the collector can free their bytes."""

import time

from charkh.core.events import Draft
from charkh.pipelines.execution import STEP_FORGOTTEN_KIND, StepForgotten, StepRecord
from charkh.pipelines.index import StepsNamed
from charkh.ports.store import Store

ALL = 1_000_000


def forget(store: Store, *, older_than: float, name: str = "", dry_run: bool = False) -> tuple[StepRecord, ...]:
    """Let go of outputs; a later run executes those steps again.

    Args:
        store: where they are.
        older_than: seconds since the step was executed.
        name: of the function (`module:qualname`); all of them by default.
        dry_run: only say which ones.

    Returns:
        The executions whose outputs go.
    """
    before = time.time() - older_than
    records = store.queries.ask(StepsNamed(name=name, limit=ALL))
    old = tuple(record for record in records if not record.forgotten and record.at <= before)
    if old and not dry_run:
        store.record(*(_draft(record) for record in old), durable=True)
    return old


def _draft(record: StepRecord) -> Draft:
    body = StepForgotten(step=record.done.step)
    return Draft(kind=STEP_FORGOTTEN_KIND, subject=record.subject, body=body, drops=(record.subject,))
