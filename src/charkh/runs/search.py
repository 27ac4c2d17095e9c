"""Search runs by params, metrics, tags and their own words."""

import time

from charkh.ports.store import Store
from charkh.runs.index import FindRuns, RunsByIds
from charkh.runs.live import Known, open_segments, with_segments
from charkh.runs.query import matches, parse_condition, parse_order, sorting_key
from charkh.runs.run import Run


def search(store: Store, text: str = "", *, order: str = "", limit: int = 100) -> tuple[Run, ...]:
    """The runs that meet `text`, in order; the grammar is `charkh.runs.query`'s.

    Args:
        store: where to look.
        text: such as `params.rate >= 0.1 and metrics.auc > 0.7`; every run when empty.
        order: such as `metrics.auc desc, created`; newest first when empty.
        limit: how many at most.

    Raises:
        Invalid: `text` or `order` is not of the grammar; the message points at the place.
    """
    where, keys = parse_condition(text), parse_order(order)
    now = time.time()
    # Segments before the catalog: one that is sealed in between is met in both, never in neither.
    segments = open_segments(store)
    unsettled = tuple(sorted(segments))
    found = store.queries.ask(FindRuns(where=where, order=keys, limit=limit, without=unsettled, now=now))
    if not unsettled:
        return found
    looked_at = (
        with_segments(store, run, segments[run.id])
        for run in store.queries.ask(RunsByIds(runs=unsettled, now=now))
        if run.deleted is None
    )
    meeting = [each for each in looked_at if matches(where, each.lookup)]
    together = [*(Known(run=run) for run in found), *meeting]
    if any(key.field.family in {"low", "high"} for key in keys):
        together = [*(with_segments(store, run, ()) for run in found), *meeting]
    together.sort(key=lambda each: each.run.stamp, reverse=True)
    together.sort(key=lambda each: sorting_key(keys, each.sort_lookup))
    return tuple(each.run for each in together[:limit])
