"""Find the run that a reference means."""

import time

from charkh.core.errors import Conflict, NotFound
from charkh.ports.store import Store
from charkh.runs.index import MOST_LIKE, RunsByIds, RunsLike
from charkh.runs.live import open_segments, with_segments
from charkh.runs.run import Run


def find(store: Store, ref: str, *, deleted: bool = False) -> Run:
    """The run that `ref` means: `run:1f3a`, an id or the beginning of one, or a name that one run has.

    What its open segments say is part of it.

    Args:
        store: where to look.
        ref: see above.
        deleted: whether those in the trash are meant, and only they.

    Raises:
        NotFound: no run is meant, or it has been deleted.
        Conflict: several are; the error lists them.
    """
    prefix = ref.removeprefix("run:")
    found = store.queries.ask(RunsLike(prefix=prefix, deleted=deleted)) if prefix else ()
    exact = [each for each in found if each == prefix]
    if len(found) > 1 and not exact:
        several = f"{len(found)} runs" if len(found) < MOST_LIKE else f"{len(found)} runs or more"
        raise Conflict(
            f"{ref!r} means {several}, the newest: {', '.join(f'run:{each}' for each in found[:3])}",
            code="run.ambiguous",
            hint="Name the one you mean by its id: `charkh run list` and `charkh run search` show them.",
            facts={"runs": list(found)},
        )
    if not found:
        trash = " in the trash" if deleted else ""
        raise NotFound(
            f"there is no run {ref!r}{trash}", code="run.not_found", hint=_hint(store, prefix, deleted=deleted)
        )
    return by_id(store, exact[0] if exact else found[0])


def _hint(store: Store, prefix: str, *, deleted: bool) -> str:
    if deleted:
        return "`charkh run list --deleted` shows what is there."
    if prefix and store.queries.ask(RunsLike(prefix=prefix, deleted=True)):
        return f"It is in the trash: `charkh run restore {prefix!r}` brings it back."
    return "`charkh run list` shows the latest."


def by_id(store: Store, identifier: str) -> Run:
    """The run with this id, what its open segments say included; deleted ones too.

    Raises:
        NotFound: there is none.
    """
    segments = open_segments(store).get(identifier, [])
    found = store.queries.ask(RunsByIds(runs=(identifier,), now=time.time()))
    if not found:
        raise NotFound(
            f"there is no run {identifier}", code="run.not_found", hint="`charkh run list` shows the latest runs."
        )
    return with_segments(store, found[0], segments).run if segments else found[0]
