"""`/api/models`: versions, aliases and their history; moving an alias, and rolling back."""

import msgspec
from litestar import get, post
from litestar.datastructures import State
from litestar.params import FromQuery, JSONBody

from charkh.models.alias import move_alias
from charkh.models.find import find
from charkh.models.index import AliasHistory, Models, ModelVersions
from charkh.models.model import CHAMPION, AliasMove, ModelSummary, ModelVersion
from charkh.models.roll_back import roll_back
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy


class Move(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let the version that `ref` means hold `alias`; `expect` is the id of who is believed to hold it now."""

    ref: str
    alias: str
    expect: str | None = None
    reason: str = ""


class Undo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Put the previous holder of `alias` back."""

    name: str
    alias: str = CHAMPION
    expect: str | None = None
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
    store = workspace_of(state).store
    return move_alias(store, data.ref, data.alias, expect=data.expect, reason=data.reason)


@post("/api/models/rollback", opt={"policy": Policy.WRITE, "scoped": True}, sync_to_thread=True, status_code=200)
def undo(state: State, data: JSONBody[Undo]) -> ModelVersion:
    """Roll an alias back."""
    store = workspace_of(state).store
    return roll_back(store, data.name, alias=data.alias, expect=data.expect, reason=data.reason)


HANDLERS = (list_models, list_versions, show_version, list_moves, move, undo)
