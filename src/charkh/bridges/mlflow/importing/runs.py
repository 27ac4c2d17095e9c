"""A run of MLflow's as a run here: under the same id, so that a second import finds it and adds what is new."""

from collections.abc import Mapping, Sequence
from typing import Any

from charkh.bridges.mlflow.exchanged import MlflowRun, Source
from charkh.bridges.mlflow.importing.landing import Landing
from charkh.bridges.mlflow.importing.points import CONTEXTS_TAG, contexts_in, points_drafts
from charkh.bridges.mlflow.run_shape import CONTEXT, PARENT, RUN_NAME
from charkh.bridges.mlflow.runs import ENDS
from charkh.core.digests import digest_of
from charkh.core.errors import CharkhError, Invalid
from charkh.core.events import Draft
from charkh.core.ids import ID_PATTERN
from charkh.core.redact import redact
from charkh.models.log import link_logged
from charkh.models.logged import ID_PATTERN as LOGGED_PATTERN
from charkh.models.logged import LinkRole
from charkh.models.logged_index import LoggedById, ModelLinks
from charkh.ports.store import Store
from charkh.runs.facts import ended_draft, params_draft, started_draft, tagged_draft
from charkh.runs.index import ArtifactsOf, TagEvents
from charkh.runs.inputs import InputsOfRuns, input_draft
from charkh.runs.project import DEFAULT_PROJECT, Project
from charkh.runs.run import (
    ARTIFACT_KIND,
    MAX_NAME,
    RENAMED_KIND,
    TRASHED_KIND,
    Run,
    RunArtifact,
    RunRenamed,
    RunTrashed,
    bounded_text,
)
from charkh.runs.values import checked_key, long_tags

RUN_TAG = "charkh.run"
"""Names the run here that a run of an MLflow server was exported from: such a server gives ids of its own."""


def run_id(run: MlflowRun) -> str:
    """The id that a run has here: its own, or one made from it where that is none."""
    exported = run.tags.get(RUN_TAG, "")
    if ID_PATTERN.fullmatch(exported):
        return exported
    return run.id if ID_PATTERN.fullmatch(run.id) else digest_of(f"mlflow run {run.id}".encode())[:32]


def land_run(
    landing: Landing, source: Source, run: MlflowRun, project: Project, known: Run | None, ids: Mapping[str, str]
) -> None:
    """Let everything of a run be here that is not yet.

    Args:
        landing: where it goes.
        source: gives its points and files.
        run: what the source says of it.
        project: that it belongs to.
        known: what is here of it, or None.
        ids: by id in the source, the ids that runs have here.

    Raises:
        Unavailable: the store cannot be written.
    """
    store, tally, identifier = landing.store, landing.tally, ids[run.id]
    where = f"run {identifier}"
    if known is not None and (known.purged or (known.deleted is not None and not run.deleted)):
        tally.left("run", "it was deleted here")
        return
    try:
        drafts = [] if known is not None else [_started(run, identifier, project, ids)]
    except CharkhError as error:
        tally.tell(where, error.message)
        return
    tally.new("run") if known is None else tally.there("run")
    drafts += _renamed(run, identifier, known)
    drafts += _params(landing, run, identifier, known)
    drafts += _tags(landing, run, identifier, known)
    drafts += _inputs(landing, run, identifier, known)
    drafts += points_drafts(store, identifier, source.points(run), contexts_in(run.tags), tally)
    held = {each.path: each.file for each in store.queries.ask(ArtifactsOf(run=identifier))} if known else {}
    before = tally.bytes
    for path, file in landing.take(source.files(run.location, run.id), held, "artifact", where):
        body = RunArtifact(run=identifier, path=path, file=file)
        drafts.append(Draft(kind=ARTIFACT_KIND, subject=f"run:{identifier}", body=body, holds=(file.held,)))
    drafts += _ended(run, identifier, known)
    if run.deleted and project.deleted is None and (known is None or known.deleted is None):
        body = RunTrashed(run=identifier, reason="deleted in MLflow")
        drafts.append(Draft(kind=TRASHED_KIND, subject=f"run:{identifier}", body=body))
    landing.add(drafts, tally.bytes - before)


def _started(run: MlflowRun, identifier: str, project: Project, ids: Mapping[str, str]) -> Draft:
    parent = run.tags.get(PARENT, "")
    parent = ids.get(parent, parent)
    return started_draft(
        identifier,
        bounded_text(run.name[:MAX_NAME], "run's name"),
        "",
        parent if ID_PATTERN.fullmatch(parent) else "",
        "",
        0,
        project="" if project.id == DEFAULT_PROJECT else project.id,
        user=run.user[:MAX_NAME],
        began=run.began,
    )


def _renamed(run: MlflowRun, identifier: str, known: Run | None) -> list[Draft]:
    name = redact(run.name.strip()).encode("utf-8", "replace").decode()[:MAX_NAME]
    if known is None or not name or name == known.name:
        return []
    return [Draft(kind=RENAMED_KIND, subject=f"run:{identifier}", body=RunRenamed(run=identifier, name=name))]


def _params(landing: Landing, run: MlflowRun, identifier: str, known: Run | None) -> list[Draft]:
    here: Mapping[str, Any] = known.params if known is not None else {}
    sound = _sound(landing, run.params, identifier, "param")
    new = {key: value for key, value in sound.items() if key not in here}
    landing.tally.new("param", len(new))
    landing.tally.there("param", len(sound) - len(new))
    return [params_draft(landing.store, identifier, new)] if new else []


def _tags(landing: Landing, run: MlflowRun, identifier: str, known: Run | None) -> list[Draft]:
    plain = {key: value for key, value in run.tags.items() if key not in {RUN_NAME, RUN_TAG, CONTEXTS_TAG}}
    if (known is not None and known.started.parent) or ID_PATTERN.fullmatch(plain.get(PARENT, "")):
        plain.pop(PARENT, None)
    sound = _sound(landing, plain, identifier, "tag")
    kept = long_tags(sound)
    changed = {key: value for key, value in sound.items() if known is None or not _same(known, kept, key)}
    landing.tally.new("tag", len(changed))
    landing.tally.there("tag", len(sound) - len(changed))
    if not changed:
        return []
    earlier = landing.store.queries.ask(TagEvents(run=identifier)) if known is not None else {}
    replaces = {key: earlier[key] for key in changed if key in earlier}
    return [tagged_draft(landing.store, identifier, changed, replaces)]


def _same(known: Run, kept: Any, key: str) -> bool:
    if known.tags.get(key) != kept.values[key]:
        return False
    large = known.large_tags.get(key)
    return (large is None) == (key not in kept.large) and (large is None or large.digest == digest_of(kept.large[key]))


def _sound(landing: Landing, texts: Mapping[str, str], identifier: str, what: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in texts.items():
        try:
            found[checked_key(key, what)] = value
        except Invalid as error:
            landing.tally.tell(f"run {identifier}", error.message)
    return found


def _inputs(landing: Landing, run: MlflowRun, identifier: str, known: Run | None) -> list[Draft]:
    store = landing.store
    here = store.queries.ask(InputsOfRuns(runs=(identifier,))).get(identifier, ()) if known is not None else ()
    names = {(each.name, each.digest) for each in here}
    drafts: list[Draft] = []
    for each in run.inputs:
        tags = dict(each.tags)
        draft = input_draft(
            store,
            identifier,
            name=each.name,
            digest=each.digest,
            source_type=each.source_type,
            source=each.source,
            context=tags.pop(CONTEXT, ""),
            tags=tags,
            schema=each.schema,
            profile=each.profile,
        )
        if (draft.body.name, draft.body.digest) in names:
            landing.tally.there("dataset input")
        else:
            names.add((draft.body.name, draft.body.digest))
            landing.tally.new("dataset input")
            drafts.append(draft)
    return drafts


def _ended(run: MlflowRun, identifier: str, known: Run | None) -> list[Draft]:
    if run.status in ENDS and (known is None or not known.over):
        return [ended_draft(identifier, ENDS[run.status], "", 0, moment=run.ended or 0.0)]
    if run.status == "SCHEDULED" and known is None:
        return [ended_draft(identifier, "scheduled", "", 0, moment=run.ended or 0.0)]
    return []


def link_run(store: Store, identifier: str, made: Mapping[str, int], used: Sequence[str]) -> None:
    """Link a run to the logged models that it left (by id, at a step) and used, where they are here."""
    said: dict[LinkRole, Mapping[str, int]] = {"output": made, "input": dict.fromkeys(used, 0)}
    here = {(each.role, each.logged) for each in store.queries.ask(ModelLinks(runs=(identifier,)))}
    for role, models in said.items():
        new = {model: step for model, step in models.items() if (role, model) not in here and _is_here(store, model)}
        if new:
            link_logged(store, identifier, new, role)


def _is_here(store: Store, model: str) -> bool:
    return bool(LOGGED_PATTERN.fullmatch(model)) and store.queries.ask(LoggedById(logged=model)) is not None
