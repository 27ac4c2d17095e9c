"""A logged model of MLflow's, under the same id, with its files."""

import msgspec

from charkh.bridges.mlflow.exchanged import Logged, MeasuredBy, Source
from charkh.bridges.mlflow.importing.landing import Landing
from charkh.core.errors import CharkhError
from charkh.core.events import Draft
from charkh.core.redact import redact
from charkh.models.log import MAX_MEASUREMENTS, change_logged, log_model, measure
from charkh.models.logged import (
    ARTIFACT_KIND,
    ID_PATTERN,
    LoggedArtifact,
    LoggedModel,
    LoggedStatus,
    Measurement,
)
from charkh.models.logged_index import LoggedById, LoggedFiles
from charkh.models.texts import all_tags
from charkh.runs.project import DEFAULT_PROJECT, Project

LOGGED_TAG = "charkh.logged_model"
"""Names the logged model here that one of an MLflow server was exported from: such a server gives ids of its own."""

STATUSES: dict[str, LoggedStatus] = {"pending": "pending", "ready": "ready", "failed": "failed"}


def land_logged(landing: Landing, source: Source, model: Logged, project: Project, ids: dict[str, str]) -> None:
    """Let everything of a logged model be here that is not yet.

    Raises:
        Unavailable: the store cannot be written.
    """
    store, tally = landing.store, landing.tally
    where, files = f"model {model.id}", source.files(model.location, model.id)
    if ID_PATTERN.fullmatch(exported := model.tags.get(LOGGED_TAG, "")):
        ids[model.id] = exported
        tags = {key: value for key, value in model.tags.items() if key != LOGGED_TAG}
        model = msgspec.structs.replace(model, id=exported, tags=tags)
    if model.deleted or not ID_PATTERN.fullmatch(model.id):
        tally.left("logged model", "it was deleted" if model.deleted else "its id is none of MLflow 3's")
        return
    known = store.queries.ask(LoggedById(logged=model.id))
    if known is not None and known.deleted is not None:
        tally.left("logged model", "it was deleted here")
        return
    try:
        if known is None:
            tally.new("logged model")
            known = log_model(
                store,
                model.name,
                project="" if project.id == DEFAULT_PROJECT else project.id,
                run=ids.get(model.run, model.run),
                type=model.type,
                logged=model.id,
                created=model.created,
            )
        else:
            tally.there("logged model")
        _say(landing, model, known)
    except CharkhError as error:
        tally.tell(where, error.message)
        return
    _measure(landing, model, known, ids)
    held = {each.path: each.file for each in store.queries.ask(LoggedFiles(logged=model.id))}
    drafts: list[Draft] = []
    for path, file in landing.take(files, held, "artifact", where):
        body = LoggedArtifact(logged=model.id, path=path, file=file)
        drafts.append(Draft(kind=ARTIFACT_KIND, subject=known.subject, body=body, holds=(file.held,)))
    landing.add(drafts)


def _say(landing: Landing, model: Logged, known: LoggedModel) -> None:
    store = landing.store
    params = all_tags(store, known.params, known.long_params)
    tags = all_tags(store, known.tags, known.long_tags)
    new = {key: value for key, value in model.params.items() if key not in params}
    said: dict[str, str | None] = {key: value for key, value in model.tags.items() if tags.get(key) != redact(value)}
    status = STATUSES.get(model.status, "ready")
    if new or said or status != known.status:
        change_logged(
            store,
            known.id,
            status=status if status != known.status else None,
            message=model.message,
            params=new,
            tags=said,
        )


def _measure(landing: Landing, model: Logged, known: LoggedModel, ids: dict[str, str]) -> None:
    here = {_comparable(each.run, each.value) for each in known.metrics}
    by_run: dict[str, list[Measurement]] = {}
    for each in model.metrics:
        run = _run_of(each, ids)
        if _comparable(run, each.value) not in here:
            by_run.setdefault(run, []).append(each.value)
    for run, values in by_run.items():
        for start in range(0, len(values), MAX_MEASUREMENTS):
            measure(landing.store, run, {known.id: values[start : start + MAX_MEASUREMENTS]})


def _run_of(measured: MeasuredBy, ids: dict[str, str]) -> str:
    return ids.get(measured.run, measured.run)


def _comparable(run: str, value: Measurement) -> tuple[object, ...]:
    """A measurement as what can be looked up: every NaN is the same."""
    return (run, value.key, repr(value.value), value.time, value.step, value.dataset, value.digest)
