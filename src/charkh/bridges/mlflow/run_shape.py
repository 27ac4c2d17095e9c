"""A run as MLflow's clients read it."""

from collections.abc import Mapping, Sequence
from typing import Any

from charkh.bridges.mlflow.envelope import number
from charkh.bridges.mlflow.service import Service, param_text, tags_of
from charkh.models.logged import ModelLink
from charkh.models.logged_index import ModelLinks
from charkh.ports.journal import DataSegment
from charkh.ports.store import Store
from charkh.runs.index import LatestPoint
from charkh.runs.inputs import InputsOfRuns, RunInput
from charkh.runs.latest import latest_points
from charkh.runs.project import Project
from charkh.runs.recorder import SILENT_SECONDS
from charkh.runs.run import Run

STATUSES = {
    "running": "RUNNING",
    "scheduled": "SCHEDULED",
    "finished": "FINISHED",
    "failed": "FAILED",
    "killed": "KILLED",
    "lost": "FAILED",
}
"""MLflow knows no lost runs: who gave no sign of life has failed."""

RUN_NAME = "mlflow.runName"
PARENT = "mlflow.parentRunId"
CONTEXT = "mlflow.data.context"
COMMIT = "mlflow.source.git.commit"
BRANCH = "mlflow.source.git.branch"

Fields = dict[str, Any]


def run_shapes(
    store: Store, service: Service, runs: Sequence[Run], segments: Mapping[str, Sequence[DataSegment]]
) -> list[Fields]:
    """Runs with everything that is known of them, with few questions to the catalog for all of them.

    Args:
        store: where to look.
        service: knows of whom clients were heard.
        runs: as the catalog answers them.
        segments: by run, what `charkh.runs.live.open_segments` said before.
    """
    ids = tuple(run.id for run in runs)
    if not ids:
        return []
    points = latest_points(store, ids, segments)
    inputs = store.queries.ask(InputsOfRuns(runs=ids))
    links: dict[str, list[ModelLink]] = {}
    for link in store.queries.ask(ModelLinks(runs=ids)):
        links.setdefault(link.run, []).append(link)
    projects = service.projects()
    return [
        {
            "info": info_shape(run, projects.get(run.project), service),
            "data": _data(store, run, points.get(run.id, ())),
            "inputs": _inputs(store, inputs.get(run.id, ()), links.get(run.id, ())),
            "outputs": _outputs(links.get(run.id, ())),
        }
        for run in runs
    ]


def fresh_shape(store: Store, run: Run, project: Project, service: Service) -> Fields:
    """A run that has no points, data or models yet."""
    return {
        "info": info_shape(run, project, service),
        "data": _data(store, run, ()),
        "inputs": _inputs(store, (), ()),
        "outputs": _outputs(()),
    }


def info_shape(run: Run, project: Project | None, service: Service) -> Fields:
    """What MLflow calls the info of a run in a project."""
    location = "" if project is None else project.location
    info: Fields = {
        "run_id": run.id,
        "run_uuid": run.id,
        "run_name": run.name,
        "experiment_id": run.project,
        "user_id": run.user,
        "status": status_of(run, service),
        "start_time": milliseconds(run.created),
        "artifact_uri": below(artifact_root(run.project, location), f"{run.id}/artifacts"),
        "lifecycle_stage": "active" if run.deleted is None else "deleted",
    }
    if run.ended is not None:
        info["end_time"] = milliseconds(run.ended)
    return info


def status_of(run: Run, service: Service) -> str:
    """A run's status in MLflow's words; a run whose client was heard of here within the last hour is running."""
    if run.status == "lost":
        silent = service.recorder.silent_for(run.id)
        if silent is not None and silent < SILENT_SECONDS:
            return "RUNNING"
    return STATUSES[run.status]


def artifact_root(project: str, location: str) -> str:
    """Where the artifacts of an experiment's runs are, for a client."""
    return location.rstrip("/") if location else f"mlflow-artifacts:/{project}"


def below(root: str, path: str) -> str:
    """A place below another one; a query of the address stays at its end."""
    place, mark, query = root.partition("?")
    return f"{place.rstrip('/')}/{path}{mark}{query}"


def milliseconds(moment: float) -> int:
    """Seconds since the epoch as MLflow says them."""
    return round(moment * 1000)


def run_tags(store: Store, run: Run) -> dict[str, str]:
    """A run's tags, with those that MLflow's clients expect and charkh keeps elsewhere."""
    tags = tags_of(store, run)
    tags[RUN_NAME] = run.name
    if run.started.parent:
        tags.setdefault(PARENT, run.started.parent)
    if run.provenance is not None:
        for name, value in ((COMMIT, run.provenance.commit), (BRANCH, run.provenance.branch)):
            if value:
                tags.setdefault(name, value)
    return tags


def _data(store: Store, run: Run, points: Sequence[LatestPoint]) -> Fields:
    return {
        "metrics": [
            {
                "key": point.name,
                "value": number(point.value),
                "timestamp": milliseconds(point.time),
                "step": point.step,
                "run_id": run.id,
            }
            for point in points
        ],
        "params": [{"key": name, "value": param_text(store, value)} for name, value in run.params.items()],
        "tags": [{"key": name, "value": value} for name, value in sorted(run_tags(store, run).items())],
    }


def _inputs(store: Store, inputs: Sequence[RunInput], links: Sequence[ModelLink]) -> Fields:
    return {
        "dataset_inputs": [_dataset(store, each) for each in inputs],
        "model_inputs": [{"model_id": link.logged} for link in links if link.role == "input"],
    }


def _outputs(links: Sequence[ModelLink]) -> Fields:
    return {"model_outputs": [{"model_id": link.logged, "step": link.step} for link in links if link.role == "output"]}


def _dataset(store: Store, data: RunInput) -> Fields:
    tags = [{"key": name, "value": value} for name, value in sorted(data.tags.items())]
    if data.context:
        tags.append({"key": CONTEXT, "value": data.context})
    dataset: Fields = {
        "name": data.name,
        "digest": data.digest,
        "source_type": data.source_type,
        "source": data.source,
    }
    for field, file in (("source", data.long_source), ("schema", data.schema), ("profile", data.profile)):
        if file is not None:
            dataset[field] = b"".join(store.vault.read(file)).decode("utf-8", "replace")
    return {"tags": tags, "dataset": dataset}
