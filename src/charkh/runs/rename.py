"""Give a run another name."""

from charkh.core.events import Draft
from charkh.ports.store import Store
from charkh.runs.find import by_id, find
from charkh.runs.run import RENAMED_KIND, Run, RunRenamed, bounded_text


def rename_run(store: Store, ref: str, name: str) -> Run:
    """Call the run that `ref` means `name`, and return it; runs may share a name.

    Raises:
        NotFound: there is no such run.
        Conflict: `ref` means several.
        Invalid: the name is too long.
    """
    run = find(store, ref)
    body = RunRenamed(run=run.id, name=bounded_text(name, "run's name"))
    if body.name != run.name:
        store.record(Draft(kind=RENAMED_KIND, subject=run.subject, body=body))
    return by_id(store, run.id)
