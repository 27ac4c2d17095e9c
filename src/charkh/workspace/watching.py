"""Watch an endpoint: what it was asked since the last look, beside what its model learned from, and the late truth."""

from collections.abc import Sequence

import polars as pl
from blake3 import blake3

from charkh.core.errors import Invalid, NotFound
from charkh.core.monitor_settings import AlertSettings, MonitorSettings
from charkh.core.quantities import parse_duration
from charkh.datasets.index import DatasetById
from charkh.datasets.read import scan_table
from charkh.endpoints.find import find as find_deployment
from charkh.endpoints.read import predictions as read_predictions
from charkh.models.find import find as find_model
from charkh.models.model import ModelVersion
from charkh.monitors.alerting import AlertTerms
from charkh.monitors.bins import EXACT
from charkh.monitors.collect import Report, collect, kept_reference
from charkh.monitors.index import LatestCollection
from charkh.monitors.odd import learned
from charkh.monitors.sketches.table import Batches, TableSketch, batches_of, sketch_reference
from charkh.workspace.estimating import estimate_live, judge_together
from charkh.workspace.late_truth import late_truth
from charkh.workspace.predicted import SCORE, requests
from charkh.workspace.serving import Prepare, preparing
from charkh.workspace.workspace import Workspace


def watch(workspace: Workspace, name: str, *, moment: float | None = None) -> Report:
    """Collect a monitor once.

    Drift is measured on the model's inputs, as its recipes prepare them, of the requests since the last
    collection; the reference is the data that the model was trained on. Truth is what the newest version of the
    truth's dataset added, or what was sent since, joined with the predictions that were still waiting for it.

    Args:
        workspace: whose monitor it is.
        name: of the monitor in the settings.
        moment: seconds since the epoch for which it speaks, for a replay of the past; now by default.

    Raises:
        NotFound: the settings have no such monitor, or nothing is deployed at its endpoint.
        Invalid: there was no request since the last collection.
    """
    settings = _settings(workspace, name)
    store = workspace.store
    endpoint = settings.endpoint or name
    deployment = find_deployment(store, endpoint)
    version = find_model(store, deployment.made.model)
    prepare = preparing(store, deployment.made.recipes)
    last = store.queries.ask(LatestCollection(monitor=name))
    since = last.at if last is not None else 0.0
    asked = read_predictions(store, endpoint, since=since, shadows=False)
    asked = asked.filter(pl.col("time").dt.epoch("us") > since * 1e6)
    if asked.is_empty():
        lately = f"since monitor {name!r} collected last" if last is not None else "yet"
        raise _nothing_to_see(endpoint, lately, read_predictions(store, endpoint, since=since, failed=True).height)
    inputs = [spec.name for spec in version.made.signature.inputs]
    late = late_truth(workspace, settings, endpoint, prepare, since, moment=moment)
    live = prepare(requests(asked, settings.score))
    named = dict.fromkeys((settings.block, *settings.segments, settings.embedding))
    beside = [each for each in named if each in live.columns]
    rows = _reference(workspace, version, prepare, [*inputs, *(each for each in beside if each not in inputs)])
    # What the sketch is of: with another model, recipe or schema the reference is another one.
    key = blake3(repr((version.id, deployment.made.recipes, inputs)).encode()).hexdigest()
    live = live.select(list(dict.fromkeys((*inputs, *beside))))
    return collect(
        store,
        name,
        endpoint=endpoint,
        reference_key=key,
        reference=kept_reference(store, name, key) or _small_or_sketched(rows),
        live=live,
        rows=rows,
        columns=inputs,
        truth=late.new,
        predictions=late.waiting,
        key=late.keys,
        target=settings.target,
        score=SCORE if late.new is not None else "",
        block=settings.block,
        segments=settings.segments,
        alerts=[each.when for each in settings.alerts],
        terms={each.when: _terms(each) for each in settings.alerts},
        sources=[version.subject],
        moment=moment,
        estimated=estimate_live(workspace, settings, version, prepare, endpoint=endpoint, asked=asked, since=since),
        multivariate=judge_together(settings, rows, live, inputs),
        lateness=late.lateness,
    )


def due(workspace: Workspace, moment: float) -> list[str]:
    """The monitors that `charkh up` collects at `moment` (seconds since the epoch): their `every` has passed."""
    waiting: list[str] = []
    for name, settings in sorted(workspace.settings.monitor.items()):
        if settings.every:
            last = workspace.store.queries.ask(LatestCollection(monitor=name))
            if last is None or moment - last.at >= parse_duration(settings.every):
                waiting.append(name)
    return waiting


def _terms(settings: AlertSettings) -> AlertTerms:
    return AlertTerms(
        severity=settings.severity,
        owner=settings.owner,
        runbook=settings.runbook,
        cooldown=parse_duration(settings.cooldown),
    )


def _nothing_to_see(endpoint: str, lately: str, failed: int) -> Invalid:
    """That there is no answer to look at; requests that were all refused are not told as silence."""
    if failed:
        return Invalid(
            f"{endpoint} has answered nobody {lately}: {failed} requests failed",
            code="monitor.no_requests",
            hint=f"`charkh endpoint predictions {endpoint} --failed` says why.",
        )
    return Invalid(
        f"nobody has asked {endpoint} {lately}",
        code="monitor.no_requests",
        hint="Collect again when there are requests; `[endpoint] capture` says which share is logged.",
    )


def _settings(workspace: Workspace, name: str) -> MonitorSettings:
    settings = workspace.settings.monitor.get(name)
    if settings is None:
        known = ", ".join(sorted(workspace.settings.monitor)) or "none"
        raise NotFound(
            f"charkh.toml has no monitor {name!r}",
            code="monitor.not_configured",
            hint=f"Write [monitor.{name}]; known: {known}.",
        )
    return settings


def _reference(workspace: Workspace, version: ModelVersion, prepare: Prepare, columns: Sequence[str]) -> Batches:
    """What the model was trained on, prepared as a request is; columns that it lacks are left out."""
    for identifier in version.made.datasets:
        dataset = workspace.store.queries.ask(DatasetById(version=identifier))
        if dataset is not None and dataset.made.kind == "table":
            read = batches_of(scan_table(workspace.store, dataset, cache=workspace.table_cache))
            return lambda: (_selected(prepare(batch), columns) for batch in read())
    raise Invalid(
        f"{version.ref} does not say which dataset it was trained on",
        code="monitor.no_reference",
        hint="Make the model with data=… so that its origin is recorded.",
    )


def _selected(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    return frame.select([name for name in columns if name in frame.columns])


def _small_or_sketched(rows: Batches) -> pl.DataFrame | TableSketch:
    """Few rows as they are, so that distances are exact; many as a sketch, and none of them is held."""
    held, kept = list[pl.DataFrame](), 0
    for batch in rows():
        held.append(batch)
        kept += batch.height
        if kept > EXACT:
            return learned(sketch_reference(rows), rows)
    return pl.concat(held)
