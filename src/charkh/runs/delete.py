"""Delete a run: its bytes need no longer be kept on its behalf, and it is found no more."""

from charkh.core.errors import Conflict
from charkh.core.events import Draft
from charkh.ports.store import Store
from charkh.runs.find import find
from charkh.runs.live import open_segments
from charkh.runs.run import DELETED_KIND, MAX_TEXT, Run, RunDeleted, bounded_text


def delete(store: Store, ref: str, *, reason: str = "") -> Run:
    """Delete the run that `ref` means, and return what it was; collecting garbage then frees its bytes.

    Raises:
        NotFound: there is no such run, or it was deleted before.
        Conflict: a process still writes it, or `ref` means several.
        Unavailable: the store cannot be written.
    """
    run = find(store, ref)
    segments = open_segments(store).get(run.id, [])
    if any(each.live for each in segments):
        raise Conflict(
            f"run {run.id} is still written", code="run.live", hint="End it, or wait for its process to end."
        )
    body = RunDeleted(run=run.id, reason=bounded_text(reason, "reason", MAX_TEXT))
    store.record(Draft(kind=DELETED_KIND, subject=run.subject, body=body, drops=(run.subject,)), durable=True)
    for each in segments:
        store.journal.drop_data(each.header.segment)
    return run
