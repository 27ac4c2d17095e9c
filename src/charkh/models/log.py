"""Log a model that nobody has registered yet, and what is found out about it afterwards."""

import secrets
from collections.abc import Mapping, Sequence
from time import time

from charkh.core.errors import Invalid, NotFound
from charkh.core.events import Draft, Edge
from charkh.core.files import FileRef
from charkh.core.redact import redact
from charkh.models.logged import (
    ARTIFACT_KIND,
    CHANGED_KIND,
    DELETED_KIND,
    LINKED_KIND,
    LOGGED_KIND,
    MEASURED_KIND,
    NOUN,
    LinkRole,
    LoggedArtifact,
    LoggedChanged,
    LoggedDeleted,
    LoggedLinked,
    LoggedModel,
    LoggedStatus,
    Measurement,
    ModelLogged,
    ModelMeasured,
    parse_logged_id,
)
from charkh.models.logged_index import LoggedById
from charkh.models.registered import MAX_TAG
from charkh.ports.store import Store

MAX_MEASUREMENTS = 1000
MAX_LONG = 1_000_000


def log_model(
    store: Store,
    name: str,
    *,
    project: str = "",
    run: str = "",
    type: str = "",
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    logged: str = "",
    created: float = 0.0,
) -> LoggedModel:
    """Record that a model is there; its files follow by `add_logged_file`, and `finish_logged` says that it is whole.

    Args:
        store: where it goes.
        name: for people; it need not be the only one of its name.
        project: id of the project, empty for the default one.
        run: id of the run that makes it, or empty.
        type: what its maker calls this kind of model.
        params: what it was made with.
        tags: about it.
        logged: its id, where it has one already; minted otherwise.
        created: seconds since the epoch, where it is known better than now.

    Raises:
        Invalid: an id that is none.
    """
    identifier = parse_logged_id(logged) if logged else f"m-{secrets.token_hex(16)}"
    made = ModelLogged(
        logged=identifier, project=project, name=redact(name), run=run, type=redact(type), created=created or time()
    )
    subject = f"{NOUN}:{identifier}"
    edges = (Edge(subject, "produced_by", f"run:{run}"),) if run else ()
    drafts = [Draft(kind=LOGGED_KIND, subject=subject, body=made, edges=edges)]
    drafts += _changes(store, identifier, params=params, tags=tags)
    store.record(*drafts, durable=True)
    return find_logged(store, identifier)


def find_logged(store: Store, ref: str) -> LoggedModel:
    """The logged model with this id.

    Raises:
        NotFound: there is none, or it was deleted.
        Invalid: `ref` is no id.
    """
    model = store.queries.ask(LoggedById(logged=parse_logged_id(ref)))
    if model is None or model.deleted is not None:
        raise no_logged(ref)
    return model


def no_logged(ref: str) -> NotFound:
    """The error of naming a logged model that is not there."""
    return NotFound(
        f"there is no logged model {ref}",
        code="model.no_logged",
        hint="`charkh model candidates` lists them.",
    )


def change_logged(
    store: Store,
    logged: str,
    *,
    status: LoggedStatus | None = None,
    message: str = "",
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str | None] | None = None,
) -> LoggedModel:
    """Say more of a logged model: params (the first value stays), tags (None removes one), or its status."""
    model = find_logged(store, logged)
    drafts = _changes(store, model.id, status=status or "", message=message, params=params, tags=tags)
    if drafts:
        store.record(*drafts, durable=status is not None)
    return find_logged(store, model.id)


def measure(store: Store, run: str, measured: Mapping[str, Sequence[Measurement]]) -> None:
    """Record what a run measured about logged models, by their ids; saying it again changes nothing.

    Raises:
        Invalid: an id that is none, or more than `MAX_MEASUREMENTS` values of one model at once.
    """
    drafts: list[Draft] = []
    for logged, values in measured.items():
        if len(values) > MAX_MEASUREMENTS:
            raise Invalid(
                f"{len(values)} measurements at once are more than {MAX_MEASUREMENTS}",
                code="model.too_many_measurements",
                hint="Send them in portions.",
            )
        body = ModelMeasured(logged=parse_logged_id(logged), run=run, values=tuple(values))
        drafts.append(Draft(kind=MEASURED_KIND, subject=f"{NOUN}:{logged}", body=body))
    if drafts:
        store.record(*drafts)


def add_logged_file(store: Store, logged: str, path: str, file: FileRef | None) -> None:
    """Let a file whose bytes are durable in the vault be one of the model's; None takes the path away."""
    body = LoggedArtifact(logged=parse_logged_id(logged), path=path, file=file)
    holds = () if file is None else (file.held,)
    store.record(Draft(kind=ARTIFACT_KIND, subject=f"{NOUN}:{logged}", body=body, holds=holds), durable=True)


def link_logged(store: Store, run: str, logged: Mapping[str, int], role: LinkRole) -> None:
    """Say that a run left these logged models (by id, at a step), or used them."""
    drafts: list[Draft] = []
    for identifier, step in logged.items():
        body = LoggedLinked(logged=parse_logged_id(identifier), run=run, role=role, step=step)
        subject, other = f"{NOUN}:{identifier}", f"run:{run}"
        edge = Edge(subject, "produced_by", other) if role == "output" else Edge(other, "used", subject)
        drafts.append(Draft(kind=LINKED_KIND, subject=subject, body=body, edges=(edge,)))
    if drafts:
        store.record(*drafts)


def delete_logged(store: Store, logged: str, *, reason: str = "") -> None:
    """Delete a logged model; versions that were registered from it keep their bytes."""
    model = find_logged(store, logged)
    body = LoggedDeleted(logged=model.id, reason=redact(reason))
    store.record(Draft(kind=DELETED_KIND, subject=model.subject, body=body, drops=(model.subject,)), durable=True)


def _changes(
    store: Store,
    logged: str,
    *,
    status: str = "",
    message: str = "",
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str | None] | None = None,
) -> list[Draft]:
    """What is said, in one fact; long texts go to the vault first."""
    short_params, long_params = _split(store, params or {})
    short_tags, long_tags = _split(store, tags or {})
    if not (status or short_params or long_params or short_tags or long_tags):
        return []
    if long_params or long_tags:
        store.vault.flush()
    body = LoggedChanged(
        logged=logged,
        status=status,
        message=redact(message)[:MAX_TAG],
        params={name: value for name, value in short_params.items() if value is not None},
        tags=short_tags,
        long_params=long_params,
        long_tags=long_tags,
    )
    holds = tuple(file.held for file in (*long_params.values(), *long_tags.values()))
    return [Draft(kind=CHANGED_KIND, subject=f"{NOUN}:{logged}", body=body, holds=holds)]


def _split(store: Store, texts: Mapping[str, str | None]) -> tuple[dict[str, str | None], dict[str, FileRef]]:
    short: dict[str, str | None] = {}
    long: dict[str, FileRef] = {}
    for name, text in texts.items():
        clean = None if text is None else redact(text).encode("utf-8", "replace").decode()
        if clean is None or len(clean) <= MAX_TAG:
            short[name] = clean
        elif len(clean) > MAX_LONG:
            raise Invalid(f"{name!r} has more than {MAX_LONG} characters", code="model.text_too_long")
        else:
            long[name] = store.vault.put_bytes(clean.encode(), "text.txt")
    return short, long
