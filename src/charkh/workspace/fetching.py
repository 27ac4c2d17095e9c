"""Fetch a source of the settings: what is new since its state, screened, becomes a version of its dataset."""

import os
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from charkh.checks.check import Check
from charkh.core.errors import NotFound, Unavailable
from charkh.core.ids import new_id
from charkh.core.quantities import parse_duration
from charkh.core.refs import parse_name
from charkh.core.source_settings import (
    AnySource,
    FilesSource,
    HttpSource,
    ObjectsSource,
    SqlSource,
    StoreSource,
    kind_of_source,
)
from charkh.datasets.dataset import DatasetVersion
from charkh.ports.vault import Progress
from charkh.sources.collecting import Collected, Collector
from charkh.sources.commit import Fetching, commit, has_news, record_checked
from charkh.sources.files import FilesCollector
from charkh.sources.index import KnownSources
from charkh.sources.source import Fetch
from charkh.sources.staging import staging_of
from charkh.sources.starting import start
from charkh.workspace.workspace import Workspace

Builder = Callable[[Workspace, str, AnySource], Collector]
"""Makes the collector of a source, given its workspace, name and settings."""

Status = Literal["fetched", "nothing new", "would fetch"]


class FetchOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a fetch came to.

    Attributes:
        source: name of the source.
        status: `would fetch` for a look that was to bring nothing.
        dataset: name of the dataset.
        new: what the source had not offered before: files, or parts of a query's result.
        changed: what has other content than before.
        gone: what it no longer offers.
        size: bytes that came, or would come where the source says how many.
        notes: what a person should know.
        version: the version that was made.
        fetch: the fetch that was recorded.
        check: the check that the new rows went through.
    """

    source: str
    status: Status
    dataset: str
    new: int
    changed: int
    gone: int
    size: int
    notes: tuple[str, ...] = ()
    version: DatasetVersion | None = None
    fetch: Fetch | None = None
    check: Check | None = None


def fetch(
    workspace: Workspace,
    name: str,
    *,
    full: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
    bridges: Mapping[str, Builder] | None = None,
) -> FetchOutcome:
    """Fetch a source once.

    Args:
        workspace: whose settings name it.
        name: of the source.
        full: take everything anew; the version then holds what the source has now, and nothing else.
        dry_run: say what would come, and bring and record nothing.
        progress: called with the bytes that came since the last call.
        bridges: by kind, how the collectors of other tools are made.

    Raises:
        NotFound: the settings have no such source, or the source is not there.
        Locked: another process fetches it now.
        Conflict: somebody else was faster; fetch again.
        GateRefused: the new rows fail their checks; nothing but the check is recorded.
        Unavailable: the source does not answer; what came so far is kept for the next fetch.
    """
    settings = source_settings(workspace, name)
    store = workspace.store
    dataset = parse_name(settings.dataset or name, "dataset name")
    collector = _collector(workspace, name, settings, bridges or {})
    with staging_of(workspace.store_folder / "sources", name) as staging:
        begun = start(store, name, dataset, settings.used_mode, full=full)
        found = collector.collect(begun.state, staging, dry_run=dry_run, progress=progress)
        fetching = Fetching(
            source=name,
            fetch=new_id(),
            kind=collector.kind,
            address=collector.address,
            settings=settings,
            dataset=dataset,
            full=full,
        )
        if dry_run:
            return _outcome(fetching, found, "would fetch" if has_news(fetching, found) else "nothing new")
        if not has_news(fetching, found):
            record_checked(store, fetching, begun, found)
            return _outcome(fetching, found, "nothing new")
        ready, origins, check = found, found.origins, None
        if settings.recipe or settings.checks:
            # Here, because most sources have neither, and the rooms of both take a while to load.
            from charkh.workspace.screening import screen

            ready, more, check = screen(workspace, settings, begun.state, found, staging, f"fetch:{fetching.fetch}")
            origins = (*origins, *more)
        done = commit(store, fetching, begun, ready, origins)
        staging.clear()
        outcome = _outcome(fetching, found, "fetched")
    return msgspec.structs.replace(outcome, version=done.version, fetch=done.fetch, check=check)


def due_sources(workspace: Workspace, moment: float, looked: Mapping[str, float]) -> list[str]:
    """The sources that `charkh up` fetches at `moment` (seconds since the epoch): their `every` has passed.

    Args:
        workspace: whose settings name them.
        moment: now.
        looked: when this process looked at each last; the facts say it to the hour only.
    """
    timed = {name: each for name, each in workspace.settings.source.items() if each.every}
    if not timed:
        return []
    known = {each.source: each.looked or 0.0 for each in workspace.store.queries.ask(KnownSources())}
    last = {name: max(known.get(name, 0.0), looked.get(name, 0.0)) for name in timed}
    return sorted(name for name, each in timed.items() if moment - last[name] >= parse_duration(each.every))


def source_settings(workspace: Workspace, name: str) -> AnySource:
    """What the settings say about a source.

    Raises:
        NotFound: they name no such source.
    """
    settings = workspace.settings.source.get(name)
    if settings is None:
        known = ", ".join(sorted(workspace.settings.source)) or "none"
        raise NotFound(
            f"charkh.toml has no source {name!r}",
            code="source.not_configured",
            hint=f"Write [source.{name}]; known: {known}.",
        )
    return settings


def _outcome(fetching: Fetching, found: Collected, status: Status) -> FetchOutcome:
    changed = sum(arrival.changed for arrival in found.arrivals)
    return FetchOutcome(
        source=fetching.source,
        status=status,
        dataset=fetching.dataset,
        new=len(found.arrivals) - changed,
        changed=changed,
        gone=len(found.gone),
        size=found.size,
        notes=found.notes,
    )


def _files(workspace: Workspace, _name: str, settings: AnySource) -> Collector:
    assert isinstance(settings, FilesSource)
    return FilesCollector(settings, workspace.folder)


def _http(_workspace: Workspace, _name: str, settings: AnySource) -> Collector:
    # Here, because a fetch of files should not wait for the HTTP library to load.
    from charkh.sources.http import HttpCollector

    assert isinstance(settings, HttpSource)
    return HttpCollector(settings, os.environ)


def _sql(workspace: Workspace, _name: str, settings: AnySource) -> Collector:
    from charkh.sources.sql import SqlCollector

    assert isinstance(settings, SqlSource)
    return SqlCollector(settings, os.environ, workspace.folder)


def _objects(_workspace: Workspace, _name: str, settings: AnySource) -> Collector:
    from charkh.sources.objects import ObjectsCollector

    assert isinstance(settings, ObjectsSource)
    return ObjectsCollector(settings, os.environ)


def _charkh(workspace: Workspace, _name: str, settings: AnySource) -> Collector:
    from charkh.sources.store import StoreCollector
    from charkh.workspace.foreign_store import foreign_store

    assert isinstance(settings, StoreSource)
    other = foreign_store(workspace, settings.remote)
    return StoreCollector(settings, other.store, other.address)


_BUILDERS: Mapping[str, Builder] = {
    "files": _files,
    "http": _http,
    "sql": _sql,
    "objects": _objects,
    "charkh": _charkh,
}


def _collector(workspace: Workspace, name: str, settings: AnySource, bridges: Mapping[str, Builder]) -> Collector:
    kind = kind_of_source(settings)
    build = _BUILDERS.get(kind) or bridges.get(kind)
    if build is None:
        raise Unavailable(
            f"source {name!r} is of the kind {kind!r}, which cannot be fetched from here",
            code="source.no_bridge",
            hint=f"Fetch it from the command line: charkh source fetch {name}.",
        )
    return build(workspace, name, settings)
