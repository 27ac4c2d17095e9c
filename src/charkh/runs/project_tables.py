"""The catalog tables of projects, and how each kind of event folds into them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, Float, MetaData, String, Table

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.ports.folding import keep_rows
from charkh.runs.project import (
    DELETED_KIND,
    MADE_KIND,
    RENAMED_KIND,
    RESTORED_KIND,
    TAGGED_KIND,
    ProjectDeleted,
    ProjectMade,
    ProjectRenamed,
    ProjectRestored,
    ProjectTagged,
)

METADATA = MetaData()
"""Of runs and projects together: a search for runs asks which projects are deleted."""

projects = Table(
    "run_project",
    METADATA,
    Column("id", String, primary_key=True),
    Column("name", String, index=True),
    Column("location", String),
    Column("created", Float),
    Column("stamp", String),
    Column("new_name", String),
    Column("renamed_stamp", String),
    Column("deleted", Float),
    Column("deleted_stamp", String),
)
"""A project by id. Facts about it may come in any order, so that all but its id may be missing."""

project_tags = Table(
    "run_project_tag",
    METADATA,
    Column("project", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", String),
    Column("stamp", String, nullable=False),
)


def fold_made(connection: Connection, events: Sequence[Event]) -> None:
    """Projects were made."""
    bodies = [(event, body_of(event, ProjectMade)) for event in events]
    rows = [
        {
            "id": body.project,
            "name": body.name,
            "location": body.location,
            "created": body.created or seconds(event.clock),
            "stamp": event.stamp,
        }
        for event, body in bodies
    ]
    keep_rows(connection, projects, rows, stamp="stamp", keep="earliest")


def fold_renamed(connection: Connection, events: Sequence[Event]) -> None:
    """Projects got other names."""
    bodies = [(event, body_of(event, ProjectRenamed)) for event in events]
    rows = [{"id": body.project, "new_name": body.name, "renamed_stamp": event.stamp} for event, body in bodies]
    keep_rows(connection, projects, rows, stamp="renamed_stamp")


def fold_deleted(connection: Connection, events: Sequence[Event]) -> None:
    """Projects went into the trash."""
    _fold_trash(connection, [(event, body_of(event, ProjectDeleted).project) for event in events], deleted=True)


def fold_restored(connection: Connection, events: Sequence[Event]) -> None:
    """Projects came back."""
    _fold_trash(connection, [(event, body_of(event, ProjectRestored).project) for event in events], deleted=False)


def fold_tagged(connection: Connection, events: Sequence[Event]) -> None:
    """Projects were labelled."""
    bodies = [(event, body_of(event, ProjectTagged)) for event in events]
    rows: list[dict[str, Any]] = [
        {"project": body.project, "name": name, "value": value, "stamp": event.stamp}
        for event, body in bodies
        for name, value in body.tags.items()
    ]
    keep_rows(connection, project_tags, rows, stamp="stamp")


def _fold_trash(connection: Connection, moved: Sequence[tuple[Event, str]], *, deleted: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": project,
            "deleted": seconds(event.clock) if deleted else None,
            "deleted_stamp": event.stamp,
        }
        for event, project in moved
    ]
    keep_rows(connection, projects, rows, stamp="deleted_stamp")


PROJECT_FOLDS = {
    MADE_KIND: fold_made,
    RENAMED_KIND: fold_renamed,
    DELETED_KIND: fold_deleted,
    RESTORED_KIND: fold_restored,
    TAGGED_KIND: fold_tagged,
}
