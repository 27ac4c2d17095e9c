"""What stands in a workspace at one look: the newest of every noun, for a page or a terminal."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from charkh.datasets.dataset import DatasetSummary
from charkh.datasets.index import Datasets
from charkh.endpoints.deployment import EndpointSummary
from charkh.endpoints.index import Endpoints
from charkh.evaluations.evaluation import Evaluation
from charkh.evaluations.index import Evaluations
from charkh.loops.index import Decisions
from charkh.loops.loop import Decision
from charkh.models.index import ModelById, Models
from charkh.models.model import ModelSummary
from charkh.monitors.alert_index import Alerts
from charkh.monitors.monitor import Alert
from charkh.ports.projections import Queries
from charkh.runs.project import DEFAULT_PROJECT
from charkh.runs.projects import list_projects
from charkh.runs.run import Run
from charkh.runs.search import search
from charkh.workspace.workspace import Workspace

NEWEST = 20


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The newest of every noun.

    Attributes:
        folder: of the workspace.
        datasets: by name.
        runs: the newest.
        models: by name.
        evaluations: the newest.
        endpoints: by name.
        alerts: the newest.
        decisions: of the loops, the newest.
        projects: by id, the name of every project but the default one.
        names: by subject, the reference of every model version that is spoken of above.
        stale: other processes' newest facts could not be folded in yet.
    """

    folder: Path
    datasets: tuple[DatasetSummary, ...]
    runs: tuple[Run, ...]
    models: tuple[ModelSummary, ...]
    evaluations: tuple[Evaluation, ...]
    endpoints: tuple[EndpointSummary, ...]
    alerts: tuple[Alert, ...]
    decisions: tuple[Decision, ...]
    projects: dict[str, str]
    names: dict[str, str]
    stale: bool


def overview(workspace: Workspace) -> Overview:
    """The newest of every noun."""
    queries = workspace.store.queries
    endpoints = queries.ask(Endpoints())
    evaluations = queries.ask(Evaluations())[:NEWEST]
    spoken_of = {each.current.made.model for each in endpoints if each.current} | {
        each.made.about for each in evaluations
    }
    return Overview(
        folder=workspace.folder,
        datasets=queries.ask(Datasets()),
        runs=search(workspace.store, limit=NEWEST),
        models=queries.ask(Models()),
        evaluations=evaluations,
        endpoints=endpoints,
        alerts=queries.ask(Alerts())[:NEWEST],
        decisions=queries.ask(Decisions(limit=NEWEST)),
        projects={each.id: each.name for each in list_projects(workspace.store) if each.id != DEFAULT_PROJECT},
        names=_references(queries, spoken_of),
        stale=queries.stale,
    )


def _references(queries: Queries, subjects: Iterable[str]) -> dict[str, str]:
    versions = {subject: queries.ask(ModelById(version=subject.removeprefix("model:"))) for subject in subjects}
    return {subject: version.ref for subject, version in versions.items() if version is not None}
