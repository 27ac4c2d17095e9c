"""The points that show of many runs' metrics, with their steps and times, of sealed and open segments together."""

from collections.abc import Mapping, Sequence

from charkh.ports.journal import DataSegment
from charkh.ports.store import Store
from charkh.runs.index import LatestOf, LatestPoint, SealedOfRuns
from charkh.runs.live import shown_series


def latest_points(
    store: Store, runs: Sequence[str], segments: Mapping[str, Sequence[DataSegment]]
) -> dict[str, tuple[LatestPoint, ...]]:
    """By run, what shows of its metrics, by name; runs without one may be left out.

    Args:
        store: where to look.
        runs: ids.
        segments: by run, what `charkh.runs.live.open_segments` said before the runs were asked for.
    """
    settled = tuple(run for run in runs if run not in segments)
    unsettled = tuple(run for run in runs if run in segments)
    found = dict(store.queries.ask(LatestOf(runs=settled))) if settled else {}
    sealed = store.queries.ask(SealedOfRuns(runs=unsettled)) if unsettled else {}
    for run in unsettled:
        shown = shown_series(store, segments[run], sealed.get(run, ()))
        found[run] = tuple(LatestPoint(name, each.last, each.last_step, each.last_time) for name, each in shown.items())
    return found
