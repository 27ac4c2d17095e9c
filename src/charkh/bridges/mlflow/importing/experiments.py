"""An experiment as a project: of its own id where that is free, and found again by its name, or by id and moment."""

from charkh.bridges.mlflow.exchanged import Experiment
from charkh.bridges.mlflow.importing.landing import Landing
from charkh.bridges.mlflow.importing.places import is_foreign
from charkh.core.errors import CharkhError
from charkh.ports.store import Store
from charkh.runs.project import DEFAULT_PROJECT, MAX_LOCATION, Project, project_name
from charkh.runs.project_index import made_draft
from charkh.runs.projects import (
    delete_project,
    ensure_project,
    find_project,
    list_projects,
    rename_project,
    tag_project,
)
from charkh.runs.values import plain_tags


def land_experiment(landing: Landing, experiment: Experiment) -> Project:
    """The project that an experiment is, made where there is none.

    Raises:
        Invalid: no project can be called so.
        Unavailable: the store cannot be written.
    """
    store, name = landing.store, project_name(experiment.name)
    found = _known(store, experiment, name)
    if found is None:
        landing.tally.new("experiment")
        found = _made(store, experiment, name)
    else:
        landing.tally.there("experiment")
        if found.name != name and not any(each.name == name for each in list_projects(store, deleted=None)):
            found = rename_project(store, found.id, name)
    for key, value in experiment.tags.items():
        try:
            kept = plain_tags({key: value})
        except CharkhError as error:
            landing.tally.tell(f"experiment {experiment.name}", error.message)
            continue
        if found.tags.get(key) == kept[key]:
            landing.tally.there("tag")
        else:
            landing.tally.new("tag")
            found = tag_project(store, found.id, kept)
    if experiment.deleted and found.deleted is None and found.id != DEFAULT_PROJECT:
        found = delete_project(store, found.id, reason="deleted in MLflow")
    return found


def _known(store: Store, experiment: Experiment, name: str) -> Project | None:
    if experiment.id == DEFAULT_PROJECT:
        return find_project(store, DEFAULT_PROJECT)
    projects = list_projects(store, deleted=None)
    renamed = (each for each in projects if each.id == experiment.id and each.created == experiment.created)
    return next((each for each in projects if each.name == name), None) or next(renamed, None)


def _made(store: Store, experiment: Experiment, name: str) -> Project:
    taken = {each.id for each in list_projects(store, deleted=None)}
    # Where charkh takes the bytes, clients find them here; an address that they use themselves stays.
    location = experiment.location[:MAX_LOCATION] if is_foreign(experiment.location) else ""
    if not experiment.id.isdecimal() or experiment.id in taken:
        return ensure_project(store, name)
    store.record(made_draft(experiment.id, name, location, experiment.created))
    return find_project(store, experiment.id)
