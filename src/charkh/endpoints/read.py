"""Read predictions back: as a table, or one by its id; sealed or still in an open segment."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import polars as pl

from charkh.core.errors import NotFound
from charkh.core.gates import CHAMPION
from charkh.core.refs import parse_name
from charkh.endpoints.deployment import Deployment, Sealed
from charkh.endpoints.find import find
from charkh.endpoints.index import Deployments
from charkh.endpoints.log import CONTENT
from charkh.endpoints.log_index import SealedSegment, SealedSegments
from charkh.endpoints.prediction import Prediction, PredictionId, parse_prediction_id
from charkh.endpoints.rollouts.index import RolloutById
from charkh.endpoints.table import (
    ERROR,
    INPUT,
    OUTPUT,
    Source,
    cells_of,
    from_parquet,
    row_of,
    shown,
    source_of,
    table_of,
)
from charkh.ports.store import Store

Result = TypeVar("Result")
_NOT_HERE = "journal.no_segment"


def predictions(
    store: Store,
    endpoint: str,
    *,
    since: float | None = None,
    until: float | None = None,
    failed: bool = False,
    shadows: bool = True,
) -> pl.DataFrame:
    """The logged predictions of an endpoint, oldest first, with the columns that `table.shown` names.

    Args:
        store: where they are.
        endpoint: name of the endpoint.
        since: seconds since the epoch of the first, or None.
        until: of the first that is not wanted any more, or None.
        failed: the requests that got no answer instead, with the column `error`.
        shadows: also what candidates said that were only asked, and that nobody was answered with.
    """
    parts = list(scan_predictions(store, endpoint, since=since, until=until, failed=failed, shadows=shadows))
    if not parts:
        return pl.DataFrame(schema={"prediction_id": pl.String, "time": pl.Datetime("us", "UTC")})
    return pl.concat(parts, how="diagonal_relaxed").sort("time", maintain_order=True)


def scan_predictions(
    store: Store,
    endpoint: str,
    *,
    since: float | None = None,
    until: float | None = None,
    failed: bool = False,
    shadows: bool = True,
) -> Iterator[pl.DataFrame]:
    """The same, a segment at a time: a log of any length takes the memory of one segment.

    Within a segment the records are in the order in which they were written; of segments that several processes or
    deployments wrote at once, the one that began first comes first. None is empty.
    """
    name = parse_name(endpoint, "endpoint name")
    deployments = store.queries.ask(Deployments(endpoint=name))
    routes = {each.id: each.made.route or CHAMPION for each in deployments}
    hidden = frozenset[str]() if shadows else _shadows(store, deployments)
    # Open segments first: one that is sealed meanwhile is then met twice, never missed.
    found = [segment.header for segment in store.journal.list_data()]
    waiting = {each.segment: each for each in found if each.content == CONTENT and each.subject == f"endpoint:{name}"}
    sealed = store.queries.ask(SealedSegments(endpoint=name, since=since, until=until))
    for each in sealed:
        waiting.pop(each.segment, None)
        if each.deployment in hidden:
            continue
        yield from _within(_sealed_table(store, each), _source(each, routes), since, until, failed)
    for header in waiting.values():
        source = source_of(header)
        if source.deployment in hidden:
            continue
        table = _unless_gone(lambda segment=header.segment: table_of(store.journal.read_data(segment)))
        if table is None:
            late = store.queries.ask(SealedSegment(segment=header.segment))
            table = pl.DataFrame() if late is None else _sealed_table(store, late)
        yield from _within(table, source._replace(route=routes.get(source.deployment, CHAMPION)), since, until, failed)


def _shadows(store: Store, deployments: Sequence[Deployment]) -> frozenset[str]:
    """The deployments of candidates that are only asked."""
    tried = {each.made.rollout for each in deployments if each.made.rollout}
    found = (store.queries.ask(RolloutById(rollout=each)) for each in tried)
    ways = {each.id: each.begun.plan.way for each in found if each is not None}
    return frozenset(
        each.id
        for each in deployments
        if ways.get(each.made.rollout) == "shadow" and each.made.route not in {"", CHAMPION}
    )


def _within(
    table: pl.DataFrame, source: Source, since: float | None, until: float | None, failed: bool
) -> Iterator[pl.DataFrame]:
    """The part of a segment's table that is wanted, as it is shown; nothing where there is none."""
    if not table.height or (failed and ERROR not in table.columns):
        return
    if ERROR in table.columns:
        table = table.filter(pl.col(ERROR).is_not_null() if failed else pl.col(ERROR).is_null())
    if since is not None:
        table = table.filter(pl.col("@time") >= since)
    if until is not None:
        table = table.filter(pl.col("@time") < until)
    if table.height:
        yield shown(table, source, failed=failed)


def prediction(store: Store, identifier: str) -> Prediction:
    """One prediction, with what it was made from and what made it.

    One that was not logged still says which deployment and model answered.

    Raises:
        Invalid: the text is no prediction id.
        NotFound: the deployment is not known here, or the record is gone.
    """
    where = parse_prediction_id(identifier)
    deployment = find(store, where.deployment)
    known = Prediction(
        id=identifier.strip(),
        deployment=where.deployment,
        endpoint=deployment.made.endpoint,
        model=deployment.made.model,
        logged=where.logged,
        route=deployment.made.route or CHAMPION,
    )
    if not where.logged:
        return known
    row = row_of(_table_of_segment(store, where), where.ordinal, where.row)
    if row is None:
        raise _gone(where)
    return Prediction(
        id=known.id,
        deployment=known.deployment,
        endpoint=known.endpoint,
        model=known.model,
        logged=True,
        time=row["@time"],
        route=known.route,
        error=row.get(ERROR) or "",
        request=row["@request"],
        inputs=cells_of(row, INPUT),
        outputs=cells_of(row, OUTPUT),
    )


def _table_of_segment(store: Store, where: PredictionId) -> pl.DataFrame:
    table = _unless_gone(lambda: table_of(store.journal.read_data(where.segment)))
    if table is not None:
        return table
    sealed = store.queries.ask(SealedSegment(segment=where.segment))
    if sealed is None:
        raise _gone(where)
    return _sealed_table(store, sealed)


def _sealed_table(store: Store, sealed: Sealed) -> pl.DataFrame:
    return from_parquet(b"".join(store.vault.read(sealed.file))) if sealed.file else pl.DataFrame()


def _source(sealed: Sealed, routes: Mapping[str, str]) -> Source:
    route = routes.get(sealed.deployment, CHAMPION)
    return Source(sealed.segment, sealed.endpoint, sealed.deployment, sealed.model, sealed.version, route)


def _unless_gone(read: Callable[[], Result]) -> Result | None:
    """What `read` gives, or None where the segment has been sealed and dropped meanwhile."""
    try:
        return read()
    except NotFound as error:
        if error.code != _NOT_HERE:
            raise
        return None


def _gone(where: PredictionId) -> NotFound:
    return NotFound(
        f"the record of this prediction is not here (segment {where.segment}, record {where.ordinal})",
        code="prediction.not_found",
        hint="It is with the store that answered: `charkh sync` brings it, unless it was deleted.",
        facts={"deployment": where.deployment, "segment": where.segment},
    )
