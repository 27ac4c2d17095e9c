"""Empty the trash: deleted runs let go of their bytes, for good; collecting garbage then frees them."""

import time
from collections.abc import Sequence

import msgspec

from charkh.core.events import Draft
from charkh.ports.store import Store
from charkh.runs.find import find
from charkh.runs.index import TrashedRuns
from charkh.runs.run import DELETED_KIND, RunDeleted

TOGETHER = 500
"""Runs whose facts share one sync."""


class PurgedRuns(msgspec.Struct, frozen=True, kw_only=True):
    """What a purge did, or with `dry_run` would do.

    Attributes:
        runs: ids of the runs that let go of their bytes.
        kept: ids of those that a process still writes.
    """

    runs: tuple[str, ...]
    kept: tuple[str, ...] = ()


def purge_runs(store: Store, *, older_than: float = 0.0, refs: Sequence[str] = (), dry_run: bool = False) -> PurgedRuns:
    """Let runs in the trash go for good: nothing of theirs is held any more, and points not sealed yet are dropped.

    Bytes that a model, a dataset or another run holds as well stay; `charkh gc` frees the others.

    Args:
        store: where.
        older_than: seconds that a run has been in the trash at least.
        refs: only these; all when empty.
        dry_run: only say which.

    Raises:
        NotFound: one of `refs` is not in the trash.
        Conflict: one of `refs` means several.
        Unavailable: the store cannot be written; what was purged before stays so.
    """
    found = store.queries.ask(TrashedRuns(moment=time.time() - older_than + 0.001))
    if refs:
        chosen = {find(store, ref, deleted=True).id for ref in refs}
        found = tuple(each for each in found if each in chosen)
    segments: dict[str, list[str]] = {}
    live: set[str] = set()
    for each in store.journal.list_data():
        noun, _, identifier = each.header.subject.partition(":")
        if noun == "run":
            segments.setdefault(identifier, []).append(each.header.segment)
            live.update((identifier,) if each.live else ())
    going = tuple(each for each in found if each not in live)
    kept = tuple(each for each in found if each in live)
    for start in range(0, 0 if dry_run else len(going), TOGETHER):
        portion = going[start : start + TOGETHER]
        store.record(*map(_draft, portion), durable=True)
        for run in portion:
            for segment in segments.get(run, ()):
                store.journal.drop_data(segment)
    return PurgedRuns(runs=going, kept=kept)


def _draft(run: str) -> Draft:
    return Draft(kind=DELETED_KIND, subject=f"run:{run}", body=RunDeleted(run=run), drops=(f"run:{run}",))
