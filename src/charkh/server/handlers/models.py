"""`/api/models`: models, versions, logged models, aliases and their history, and the verbs that change them."""

import msgspec
from litestar import get, post
from litestar.datastructures import State
from litestar.params import FromQuery, JSONBody

from charkh.core.errors import NotFound
from charkh.models.annotate import describe, tag
from charkh.models.declare import declare, find_model
from charkh.models.delete import delete
from charkh.models.find import find
from charkh.models.index import AliasHistory, Models, ModelVersions
from charkh.models.logged import LoggedModel
from charkh.models.logged_index import LoggedModels
from charkh.models.model import CHAMPION, AliasHolder, AliasMove, ModelSummary, ModelVersion
from charkh.models.registered import HistoryEntry
from charkh.models.remove import remove
from charkh.models.rename import rename
from charkh.models.served import history_of, served_at
from charkh.models.stage import move_to_stage
from charkh.server.asking import who_asks
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy
from charkh.users.gatekeeper import not_allowed
from charkh.workspace.promoting import move_by_hand, remove_by_hand, roll_back_by_hand


class Move(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let the version that `ref` means hold `alias`; `expect` is the id of who is believed to hold it now.

    `override` is the reason to pass by the gate that guards the alias; an admin alone may.
    """

    ref: str
    alias: str
    expect: str | None = None
    reason: str = ""
    override: str = ""


class Undo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Put the previous holder of `alias` back."""

    name: str
    alias: str = CHAMPION
    expect: str | None = None
    reason: str = ""


class NewName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Register a name before it has a version."""

    name: str
    description: str = ""
    tags: dict[str, str] = {}


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tags (None removes one) and a description (None leaves it) of a model `delay` or a version `delay@3`."""

    about: str
    tags: dict[str, str | None] = {}
    description: str | None = None


class Renaming(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Call the model `new` from now on."""

    name: str
    new: str
    reason: str = ""


class Staging(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move a version to one of MLflow's deprecated stages."""

    ref: str
    stage: str
    archive: bool = False
    reason: str = ""


class Unheld(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let nobody hold an alias; `expect` and `override` as in `Move`."""

    name: str
    alias: str
    expect: str | None = None
    reason: str = ""
    override: str = ""


class Deletion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Delete a version (`delay@3`), or the model `delay` with all of them; `held` although aliases are on them."""

    ref: str
    held: bool = False
    reason: str = ""


@get("/api/models", opt={"policy": Policy.READ, "scoped": True}, sync_to_thread=True)
def list_models(state: State, prefix: FromQuery[str] = "") -> tuple[ModelSummary, ...]:
    """Models by name."""
    return workspace_of(state).store.queries.ask(Models(prefix=prefix))


@get("/api/models/versions", opt={"policy": Policy.READ, "scoped": True}, sync_to_thread=True)
def list_versions(state: State, name: FromQuery[str]) -> tuple[ModelVersion, ...]:
    """Versions of one model, newest first."""
    return workspace_of(state).store.queries.ask(ModelVersions(name=name))


@get("/api/models/version", opt={"policy": Policy.READ, "scoped": True}, sync_to_thread=True)
def show_version(state: State, ref: FromQuery[str]) -> ModelVersion:
    """The version that a reference means."""
    return find(workspace_of(state).store, ref)


@get("/api/models/history", opt={"policy": Policy.READ, "scoped": True}, sync_to_thread=True)
def list_moves(state: State, name: FromQuery[str], alias: FromQuery[str] = "") -> tuple[AliasMove, ...]:
    """Who moved which alias, when and why, newest first."""
    return workspace_of(state).store.queries.ask(AliasHistory(name=name, alias=alias))


@post("/api/models/alias", opt={"policy": Policy.WRITE, "scoped": True}, sync_to_thread=True, status_code=200)
def move(state: State, data: JSONBody[Move]) -> ModelVersion:
    """Move an alias by hand."""
    if data.override:
        require_admin()
    return move_by_hand(
        workspace_of(state), data.ref, data.alias, expect=data.expect, reason=data.reason, override=data.override
    )


@post("/api/models/rollback", opt={"policy": Policy.WRITE, "scoped": True}, sync_to_thread=True, status_code=200)
def undo(state: State, data: JSONBody[Undo]) -> ModelVersion:
    """Roll an alias back."""
    return roll_back_by_hand(workspace_of(state), data.name, alias=data.alias, expect=data.expect, reason=data.reason)


@post("/api/models/unalias", opt={"policy": Policy.WRITE}, sync_to_thread=True, status_code=200)
def unalias(state: State, data: JSONBody[Unheld]) -> ModelSummary:
    """Let nobody hold an alias."""
    workspace = workspace_of(state)
    if data.override:
        require_admin()
    remove_by_hand(workspace, data.name, data.alias, expect=data.expect, reason=data.reason, override=data.override)
    return find_model(workspace.store, data.name)


@get("/api/models/served", opt={"policy": Policy.READ}, sync_to_thread=True)
def show_served(
    state: State, name: FromQuery[str], alias: FromQuery[str] = CHAMPION, at: FromQuery[float | None] = None
) -> AliasHolder:
    """Which version an alias stood for at a time, in seconds since the epoch; now without one."""
    holder = served_at(workspace_of(state).store, name, alias, at)
    if holder is None:
        raise NotFound(f"nobody had held {name}@{alias} then", code="model.nobody_served")
    return holder


@get("/api/models/decisions", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_decisions(state: State, name: FromQuery[str]) -> tuple[HistoryEntry, ...]:
    """Everything that was decided about a model, newest first."""
    return history_of(workspace_of(state).store, name)


@get("/api/models/candidates", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_candidates(state: State, run: FromQuery[str] = "") -> tuple[LoggedModel, ...]:
    """Logged models, newest first; of one run (its id) or all."""
    return workspace_of(state).store.queries.ask(LoggedModels(run=run))


@post("/api/models", opt={"policy": Policy.WRITE}, sync_to_thread=True, status_code=201)
def make_name(state: State, data: JSONBody[NewName]) -> ModelSummary:
    """Register a model's name."""
    return declare(workspace_of(state).store, data.name, description=data.description, tags=data.tags)


@post("/api/models/words", opt={"policy": Policy.WRITE}, sync_to_thread=True, status_code=200)
def say(state: State, data: JSONBody[Words]) -> ModelSummary:
    """Tag and describe a model or a version; the model is answered."""
    store = workspace_of(state).store
    if data.tags:
        tag(store, data.about, data.tags)
    if data.description is not None:
        describe(store, data.about, data.description)
    is_model = "@" not in data.about and not data.about.startswith("model:")
    return find_model(store, data.about if is_model else find(store, data.about).made.name)


@post("/api/models/rename", opt={"policy": Policy.WRITE}, sync_to_thread=True, status_code=200)
def call_it(state: State, data: JSONBody[Renaming]) -> ModelSummary:
    """Give a model another name."""
    return rename(workspace_of(state).store, data.name, data.new, reason=data.reason)


@post("/api/models/stage", opt={"policy": Policy.WRITE}, sync_to_thread=True, status_code=200)
def stage(state: State, data: JSONBody[Staging]) -> ModelVersion:
    """Move a version to a stage."""
    store = workspace_of(state).store
    return move_to_stage(store, data.ref, data.stage, archive=data.archive, reason=data.reason)


@post("/api/models/delete", opt={"policy": Policy.WRITE}, sync_to_thread=True, status_code=204)
def delete_it(state: State, data: JSONBody[Deletion]) -> None:
    """Delete a version, or a model with all of its versions."""
    store = workspace_of(state).store
    if "@" in data.ref or data.ref.startswith("model:"):
        delete(store, data.ref, reason=data.reason)
    else:
        remove(store, data.ref, held=data.held, reason=data.reason)


def require_admin() -> None:
    """Refuse a caller that is no admin: passing by a gate is not what a writer may.

    Raises:
        Denied: it is none.
    """
    if not who_asks().may_everywhere("admin"):
        raise not_allowed("admin", everywhere=True)


HANDLERS = (
    list_models,
    list_versions,
    show_version,
    list_moves,
    move,
    undo,
    unalias,
    show_served,
    list_decisions,
    list_candidates,
    make_name,
    say,
    call_it,
    stage,
    delete_it,
)
