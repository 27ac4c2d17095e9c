"""`/api/projects`: what runs belong to; making, renaming, tagging, deleting and restoring them."""

import msgspec
from litestar import get, post
from litestar.datastructures import State
from litestar.params import FromPath, FromQuery, JSONBody

from charkh.runs.project import Project
from charkh.runs.projects import (
    create_project,
    delete_project,
    find_project,
    list_projects,
    rename_project,
    restore_project,
    tag_project,
)
from charkh.runs.search import count_runs
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy

READ = {"policy": Policy.READ, "scoped": True}
WRITE = {"policy": Policy.WRITE, "scoped": True}


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A project, and how many runs it has."""

    project: Project
    runs: int


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A project's name and, where it is made, its tags."""

    name: str
    tags: dict[str, str] = {}


class Labels(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tags by name; null removes one."""

    tags: dict[str, str | None]


@get("/api/projects", opt=READ, sync_to_thread=True)
def list_all(state: State, deleted: FromQuery[bool] = False) -> tuple[Counted, ...]:
    """The projects by name, the default project first."""
    store = workspace_of(state).store
    counts = count_runs(store, deleted=deleted)
    return tuple(Counted(project=each, runs=counts.get(each.id, 0)) for each in list_projects(store, deleted=deleted))


@get("/api/projects/{project:str}", opt=READ, sync_to_thread=True)
def show(state: State, project: FromPath[str]) -> Project:
    """One project, by its id."""
    return find_project(workspace_of(state).store, project)


@post("/api/projects", opt=WRITE, sync_to_thread=True, status_code=201)
def create(state: State, data: JSONBody[Named]) -> Project:
    """Make a project."""
    return create_project(workspace_of(state).store, data.name, tags=data.tags)


@post("/api/projects/{project:str}/name", opt=WRITE, sync_to_thread=True, status_code=200)
def rename(state: State, project: FromPath[str], data: JSONBody[Named]) -> Project:
    """Give a project another name."""
    return rename_project(workspace_of(state).store, project, data.name)


@post("/api/projects/{project:str}/tags", opt=WRITE, sync_to_thread=True, status_code=200)
def set_tags(state: State, project: FromPath[str], data: JSONBody[Labels]) -> Project:
    """Set or remove tags."""
    return tag_project(workspace_of(state).store, project, data.tags)


@post("/api/projects/{project:str}/delete", opt=WRITE, sync_to_thread=True, status_code=200)
def delete(state: State, project: FromPath[str]) -> Project:
    """Put a project into the trash, with its runs."""
    return delete_project(workspace_of(state).store, project)


@post("/api/projects/{project:str}/restore", opt=WRITE, sync_to_thread=True, status_code=200)
def restore(state: State, project: FromPath[str]) -> Project:
    """Take a project out of the trash."""
    return restore_project(workspace_of(state).store, project)


HANDLERS = (list_all, show, create, rename, set_tags, delete, restore)
