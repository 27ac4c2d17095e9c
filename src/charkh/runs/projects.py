"""Make, find, rename, tag, delete and restore projects.

To delete one hides its runs, and to restore it shows exactly those that were not deleted themselves.
"""

from collections.abc import Mapping

from charkh.core.errors import Conflict, NotFound
from charkh.core.events import Draft
from charkh.ports.store import Store
from charkh.runs.project import (
    DEFAULT_PROJECT,
    DELETED_KIND,
    MAX_LOCATION,
    RESTORED_KIND,
    TAGGED_KIND,
    Project,
    ProjectDeleted,
    ProjectRestored,
    ProjectTagged,
    project_id,
    project_name,
)
from charkh.runs.project_index import AllProjects, CreateProject, RenameProject, made_draft
from charkh.runs.run import MAX_TEXT, bounded_text
from charkh.runs.values import plain_tags


def ensure_project(store: Store, name: str) -> Project:
    """The project that is called `name`, made where there is none; no lock is waited for.

    Raises:
        Invalid: no project can be called so.
        Conflict: it is in the trash.
        Unavailable: the store cannot be written.
    """
    wanted = project_name(name)
    known = {each.id: each for each in list_projects(store, deleted=None)}
    for each in known.values():
        if each.name == wanted:
            if each.deleted is not None:
                raise Conflict(
                    f"the project {wanted!r} is in the trash",
                    code="project.deleted",
                    hint=f"Restore it: charkh project restore {wanted!r}",
                )
            return each
    number = 0
    while (identifier := project_id(wanted, number)) in known:
        number += 1
    store.record(made_draft(identifier, wanted))
    return find_project(store, identifier)


def create_project(
    store: Store, name: str, *, tags: Mapping[str, str] | None = None, location: str = "", created: float = 0.0
) -> Project:
    """Make a project that nobody has made.

    Args:
        store: where.
        name: `/` between folders.
        tags: short labels.
        location: where another tool was told that artifacts lie; only shown.
        created: seconds since the epoch where it was made elsewhere before.

    Raises:
        Invalid: no project can be called so, or a tag cannot be kept.
        Conflict: there is one of this name, which may be in the trash (`facts["deleted"]`).
    """
    labels = plain_tags(tags or {})
    place = bounded_text(location, "project's location", MAX_LOCATION)
    command = CreateProject(name=project_name(name), location=place, created=created)
    (event,) = store.commands.decide(command)
    identifier = event.subject.partition(":")[2]
    return tag_project(store, identifier, labels) if labels else find_project(store, identifier)


def rename_project(store: Store, id_or_name: str, name: str) -> Project:
    """Give a project another name; its id stays.

    Raises:
        NotFound: there is no such project.
        Invalid: no project can be called so.
        Conflict: another one is called so.
    """
    project = find_project(store, id_or_name)
    store.commands.decide(RenameProject(project=project.id, name=project_name(name)))
    return find_project(store, project.id)


def delete_project(store: Store, id_or_name: str, *, reason: str = "") -> Project:
    """Put a project into the trash, with its runs; nothing is freed before `purge_runs`.

    Raises:
        NotFound: there is no such project, or it is in the trash.
        Conflict: it is the default project, which is always there.
    """
    project = find_project(store, id_or_name, deleted=False)
    if project.id == DEFAULT_PROJECT:
        raise Conflict(
            f"{project.name!r} is the default project, which is always there",
            code="project.default",
            hint="Delete its runs: charkh run delete.",
        )
    body = ProjectDeleted(project=project.id, reason=bounded_text(reason, "reason", MAX_TEXT))
    store.record(Draft(kind=DELETED_KIND, subject=project.subject, body=body), durable=True)
    return find_project(store, project.id)


def restore_project(store: Store, id_or_name: str) -> Project:
    """Take a project out of the trash, with the runs that were not deleted themselves.

    Raises:
        NotFound: there is no such project.
    """
    project = find_project(store, id_or_name)
    if project.deleted is not None:
        body = ProjectRestored(project=project.id)
        store.record(Draft(kind=RESTORED_KIND, subject=project.subject, body=body), durable=True)
    return find_project(store, project.id)


def tag_project(store: Store, id_or_name: str, tags: Mapping[str, str | None]) -> Project:
    """Set tags of a project, None removing one.

    Raises:
        NotFound: there is no such project.
        Invalid: a tag cannot be kept.
    """
    project = find_project(store, id_or_name)
    plain = plain_tags(tags)
    if plain:
        body = ProjectTagged(project=project.id, tags=plain)
        store.record(Draft(kind=TAGGED_KIND, subject=project.subject, body=body))
    return find_project(store, project.id)


def find_project(store: Store, id_or_name: str, *, deleted: bool = True) -> Project:
    """The project with this id or name; of several, the one that is not deleted.

    Args:
        store: where to look.
        id_or_name: an id before a name.
        deleted: those in the trash are found too.

    Raises:
        NotFound: there is none.
    """
    ref = id_or_name.removeprefix("project:")
    among = list_projects(store, deleted=None if deleted else False)
    found = [each for each in among if each.id == ref] or sorted(
        (each for each in among if each.name == ref), key=lambda each: (each.deleted is not None, each.created, each.id)
    )
    if not found:
        raise NotFound(
            f"there is no project {id_or_name!r}", code="project.not_found", hint="`charkh project list` shows them."
        )
    return found[0]


def list_projects(store: Store, *, deleted: bool | None = False) -> tuple[Project, ...]:
    """Projects by name, the default project first; with `deleted` those in the trash, with None all."""
    found = store.queries.ask(AllProjects())
    return tuple(each for each in found if deleted is None or (each.deleted is not None) == deleted)
