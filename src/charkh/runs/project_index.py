"""Projects' part of the catalog: the questions about them, and the decisions that need the lock."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from charkh.core.clock import seconds
from charkh.core.errors import Conflict, NotFound
from charkh.core.events import Draft
from charkh.ports.projections import Command, Decide, Description, Query, Reply
from charkh.runs.project import (
    DEFAULT_NAME,
    DEFAULT_PROJECT,
    MADE_KIND,
    RENAMED_KIND,
    Project,
    ProjectMade,
    ProjectRenamed,
    project_id,
)
from charkh.runs.project_tables import project_tags, projects
from charkh.runs.tables import runs


class AllProjects(Query[tuple[Project, ...]], frozen=True, kw_only=True):
    """Every project, deleted ones included, the default project first and the others by name."""


class CreateProject(Command, frozen=True, kw_only=True):
    """Make a project that nobody has made; its id is decided here."""

    name: str
    location: str = ""
    created: float = 0.0


class RenameProject(Command, frozen=True, kw_only=True):
    """Give a project a name that no other one has."""

    project: str
    name: str


def all_projects(connection: Connection, _query: AllProjects | None = None) -> tuple[Project, ...]:
    tags: dict[str, dict[str, str]] = {}
    touched: dict[str, str] = {}
    for row in connection.execute(select(project_tags).order_by(project_tags.c.name)):
        touched[row.project] = max(row.stamp, touched.get(row.project, ""))
        if row.value is not None:
            tags.setdefault(row.project, {})[row.name] = row.value
    found = {
        row.id: _project(row, tags.get(row.id, {}), touched.get(row.id, ""))
        for row in connection.execute(select(projects))
        if row.stamp is not None or row.id == DEFAULT_PROJECT
    }
    if DEFAULT_PROJECT not in found:
        updated = seconds(_clock_of(touched.get(DEFAULT_PROJECT, "")))
        labels = tags.get(DEFAULT_PROJECT, {})
        found[DEFAULT_PROJECT] = Project(
            id=DEFAULT_PROJECT, name=DEFAULT_NAME, created=0.0, updated=updated, tags=labels
        )
    if not found[DEFAULT_PROJECT].created:
        found[DEFAULT_PROJECT] = _with_its_age(connection, found[DEFAULT_PROJECT])
    return tuple(sorted(found.values(), key=lambda each: (each.id != DEFAULT_PROJECT, each.name, each.id)))


def create_project(connection: Connection, command: CreateProject) -> Sequence[Draft]:
    _refuse_taken(connection, command.name)
    taken = set(connection.execute(select(projects.c.id)).scalars()) | {DEFAULT_PROJECT}
    number = 0
    while (identifier := project_id(command.name, number)) in taken:
        number += 1
    return [made_draft(identifier, command.name, command.location, command.created)]


def rename_project(connection: Connection, command: RenameProject) -> Sequence[Draft]:
    known = {each.id: each for each in all_projects(connection)}
    if command.project not in known:
        raise NotFound(f"there is no project {command.project}", code="project.not_found")
    if known[command.project].name == command.name:
        return []
    _refuse_taken(connection, command.name)
    body = ProjectRenamed(project=command.project, name=command.name)
    return [Draft(kind=RENAMED_KIND, subject=f"project:{command.project}", body=body)]


def made_draft(identifier: str, name: str, location: str = "", created: float = 0.0) -> Draft:
    """A project was made."""
    body = ProjectMade(project=identifier, name=name, location=location, created=created)
    return Draft(kind=MADE_KIND, subject=f"project:{identifier}", body=body)


def portray_project(connection: Connection, identifier: str) -> Description | None:
    for each in all_projects(connection):
        if each.id == identifier:
            lines = [("deleted", "its runs are in the trash")] if each.deleted is not None else []
            return Description(title=each.name, lines=tuple(lines))
    return None


def _refuse_taken(connection: Connection, name: str) -> None:
    for each in all_projects(connection):
        if each.name == name:
            gone = each.deleted is not None
            raise Conflict(
                f"there is a project {name!r} already" + (", in the trash" if gone else ""),
                code="project.exists",
                hint=f"Restore it: charkh project restore {name!r}" if gone else "Choose another name.",
                facts={"project": each.id, "deleted": gone},
            )


def _project(row: Any, tags: Mapping[str, str], touched: str) -> Project:
    # Of what was said again the first counts, so that to be used is no change.
    last = max(row.stamp or "", row.renamed_stamp or "", row.deleted_stamp or "", touched)
    return Project(
        id=row.id,
        name=row.new_name or row.name or DEFAULT_NAME,
        created=row.created or 0.0,
        updated=seconds(_clock_of(last)) if last != row.stamp else row.created,
        tags=dict(tags),
        location=row.location or "",
        deleted=row.deleted,
    )


def _with_its_age(connection: Connection, project: Project) -> Project:
    """Nobody makes the default project: it is as old as its first run."""
    first = connection.execute(select(func.min(runs.c.created)).where(runs.c.project == project.id)).scalar() or 0.0
    return Project(
        id=project.id,
        name=project.name,
        created=first,
        updated=project.updated or first,
        tags=project.tags,
        location=project.location,
        deleted=project.deleted,
    )


def _clock_of(stamp: str) -> int:
    return int(stamp[:16], 16) if stamp else 0


PROJECT_ANSWERS: Mapping[type[Query[Any]], Reply] = {AllProjects: all_projects}
PROJECT_DECISIONS: Mapping[type[Command], Decide] = {CreateProject: create_project, RenameProject: rename_project}
