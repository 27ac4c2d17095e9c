"""Tag a run after the fact: the decision names the tags that it replaces."""

from collections.abc import Mapping

from charkh.core.events import Draft
from charkh.ports.store import Store
from charkh.runs.find import find
from charkh.runs.index import TagEvents
from charkh.runs.run import TAGGED_KIND, Run, RunTagged
from charkh.runs.values import plain_tags


def tag(store: Store, ref: str, tags: Mapping[str, str | None]) -> Run:
    """Set tags of the run that `ref` means, None removing one, and return it as it is then.

    Raises:
        NotFound: there is no such run.
        Conflict: `ref` means several.
        Invalid: a name cannot be kept, or a value is too long.
    """
    run = find(store, ref)
    plain = plain_tags(tags)
    if plain:
        known = store.queries.ask(TagEvents(run=run.id))
        replaces = {name: known[name] for name in plain if name in known}
        body = RunTagged(run=run.id, tags=plain, replaces=replaces)
        store.record(Draft(kind=TAGGED_KIND, subject=run.subject, body=body))
    return find(store, run.id)
