"""Search runs by params, metrics, tags, data, files and their own words."""

import base64
import binascii
import time
from collections.abc import Iterable, Sequence

import msgspec

from charkh.core.digests import digest_of
from charkh.core.errors import Invalid
from charkh.ports.journal import DataSegment
from charkh.ports.store import Store
from charkh.runs.index import ArtifactsOf, FindRuns, LinksOf, RunCounts, RunsByIds
from charkh.runs.live import CREATED, Known, open_segments, with_many
from charkh.runs.projects import list_projects
from charkh.runs.query import NEWEST_FIRST, All, Comparison, Condition, Field, Order, matches, sorting_key
from charkh.runs.query_parser import parse_condition, parse_order
from charkh.runs.resolve import comparisons, resolve, resolve_order, unknown_names
from charkh.runs.run import Run

ASPECTS = frozenset({"low", "high", "first", "count"})
"""What of a metric a run itself does not say."""


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an answer.

    Attributes:
        runs: in order.
        next: what to ask for the following ones with; empty behind the last.
        hints: sentences about names in the search that no run has, where nothing was found.
    """

    runs: tuple[Run, ...]
    next: str = ""
    hints: tuple[str, ...] = ()


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page begins: behind so many runs of those that there were at a moment, for one search."""

    offset: int
    moment: float
    search: str


def search(
    store: Store,
    text: str = "",
    *,
    order: str = "",
    limit: int = 100,
    offset: int = 0,
    deleted: bool | None = False,
    projects: Sequence[str] = (),
) -> tuple[Run, ...]:
    """The runs that meet `text`, in order; the grammar is `charkh.runs.query_parser`'s.

    Args:
        store: where to look.
        text: such as `params.rate >= 0.1 and metrics.auc > 0.7`; every run when empty.
        order: such as `metrics.auc desc, created`; newest first when empty.
        limit: how many at most.
        offset: how many are left out before.
        deleted: those in the trash instead; None for both.
        projects: ids of the projects that are looked through; empty for all.

    Raises:
        Invalid: `text` or `order` is not of the grammar; the message points at the place.
        NotFound: a dataset that it names is not there.
    """
    where, keys = parse_condition(text), parse_order(order)
    return find_runs(store, where, keys, limit=limit, offset=offset, deleted=deleted, projects=projects)


def search_page(store: Store, text: str = "", *, order: str = "", limit: int = 100, token: str = "") -> RunPage:
    """As `search`, page by page: runs that begin meanwhile move nothing from one page to another.

    Args:
        store: where to look.
        text: as in `search`.
        order: as in `search`.
        limit: how many a page has at most.
        token: `next` of the page before; the first page when empty.

    Raises:
        Invalid: also where the token is none, or of another search.
    """
    asked = digest_of(f"{text}\0{order}".encode())[:16]
    place = _place(token, asked) if token else _Place(0, time.time(), asked)
    where, keys = parse_condition(text, now=place.moment), parse_order(order)
    until = Comparison(Field("run", "created"), "<=", (place.moment,))
    limited = until if where is None else All((where, until))
    found = find_runs(store, limited if token else where, keys, limit=limit + 1, offset=place.offset)
    following = _Place(place.offset + limit, place.moment, asked)
    return RunPage(
        runs=found[:limit],
        next=_token(following) if len(found) > limit else "",
        hints=() if found or token else unknown_names(store, where, keys),
    )


def find_runs(
    store: Store,
    where: Condition | None,
    keys: Sequence[Order],
    *,
    limit: int = 100,
    offset: int = 0,
    deleted: bool | None = False,
    projects: Sequence[str] = (),
) -> tuple[Run, ...]:
    """As `search`, for a condition and an order that have been read already, of whatever grammar; newest first without.

    Raises:
        Invalid: nobody said which values of a metric are the best.
        NotFound: a dataset that is named is not there.
    """
    where, keys = resolve(store, where), resolve_order(store, keys or NEWEST_FIRST)
    now = time.time()
    # Segments before the catalog: one that is sealed in between is met in both, never in neither.
    segments = open_segments(store)
    unsettled = tuple(sorted(segments))
    query = FindRuns(
        where=where,
        order=keys,
        limit=limit,
        offset=offset,
        now=now,
        deleted=deleted,
        projects=tuple(projects),
    )
    if not unsettled:
        return store.queries.ask(query)
    query = msgspec.structs.replace(query, without=unsettled, offset=0, limit=offset + limit)
    found = store.queries.ask(query)
    meeting = _open_ones(store, segments, query)
    together = [*(Known(run=run) for run in found), *meeting]
    if any(key.field.family in ASPECTS for key in keys):
        together = [*with_many(store, found, {}), *meeting]
    together.sort(key=lambda each: each.run.stamp, reverse=True)
    # What is said behind the moment tells runs of one moment apart; where nothing is, their stamps do.
    ends = keys[-1].field == CREATED
    together.sort(key=lambda each: sorting_key(keys, each.sort_lookup if ends else each.lookup))
    return tuple(each.run for each in together[offset : offset + limit])


def _open_ones(store: Store, segments: dict[str, list[DataSegment]], query: FindRuns) -> list[Known]:
    """The runs with open segments that meet what is asked, read plainly."""
    runs = [
        run
        for run in store.queries.ask(RunsByIds(runs=query.without, now=query.now))
        if not run.purged
        and (query.deleted is None or (run.deleted is not None) == query.deleted)
        and (not query.projects or run.project in query.projects)
    ]
    fields = {each.field for each in comparisons(query.where)} | {each.field for each in query.order}
    known = filled(store, with_many(store, runs, segments), fields)
    return [each for each in known if matches(query.where, each.lookup)]


def count_runs(store: Store, *, deleted: bool = False) -> dict[str, int]:
    """How many runs there are, by id of their project; with `deleted`, of those in the trash."""
    return store.queries.ask(RunCounts(deleted=deleted))


def with_fields(store: Store, runs: Sequence[Run], fields: Sequence[Field]) -> list[Known]:
    """Runs together with what these fields need to know beside them, so that each can be looked up."""
    if any(field.family in ASPECTS for field in fields):
        known = with_many(store, runs, open_segments(store))
    else:
        known = [Known(run=run) for run in runs]
    return filled(store, known, fields)


def filled(store: Store, known: Sequence[Known], fields: Iterable[Field]) -> list[Known]:
    """With what these fields need to know beside a run and its metrics."""
    families = {field.family for field in fields}
    found = list(known)
    if Field("run", "project") in fields:
        names = {each.id: each.name for each in list_projects(store, deleted=None)}
        found = [msgspec.structs.replace(each, project=names.get(each.run.project, "")) for each in found]
    if "used" in families:
        found = [msgspec.structs.replace(each, used=_used(store, each.run)) for each in found]
    if "artifact" in families:
        found = [msgspec.structs.replace(each, artifacts=_paths(store, each.run)) for each in found]
    return found


def _used(store: Store, run: Run) -> tuple[str, ...]:
    return tuple(edge.target for edge in store.queries.ask(LinksOf(run=run.id)) if edge.source == run.subject)


def _paths(store: Store, run: Run) -> tuple[str, ...]:
    return tuple(each.path for each in store.queries.ask(ArtifactsOf(run=run.id)))


def _token(place: _Place) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def _place(token: str, asked: str) -> _Place:
    try:
        place = msgspec.msgpack.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=_Place)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise _no_token() from error
    if place.search != asked or place.offset < 0:
        raise _no_token()
    return place


def _no_token() -> Invalid:
    return Invalid(
        "this is no page of this search",
        code="run.bad_token",
        hint="Give the token that the page before came with, with the same search and order.",
    )
