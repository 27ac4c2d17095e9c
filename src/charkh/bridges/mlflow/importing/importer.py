"""Import an MLflow store: what is here already stays, what is new is added, and a report says what was not carried."""

import time
from collections.abc import Callable
from pathlib import Path

from charkh.bridges.mlflow.exchanged import MlflowRun, Source
from charkh.bridges.mlflow.importing.experiments import land_experiment
from charkh.bridges.mlflow.importing.landing import Landing
from charkh.bridges.mlflow.importing.logged import land_logged
from charkh.bridges.mlflow.importing.places import local_folder, scheme_of
from charkh.bridges.mlflow.importing.registry import land_registered
from charkh.bridges.mlflow.importing.report import MlflowReport, Tally
from charkh.bridges.mlflow.importing.runs import land_run, link_run, run_id
from charkh.core.errors import CharkhError, Invalid, NotFound, Unavailable
from charkh.core.ids import new_id
from charkh.runs.index import RunsByIds
from charkh.runs.project import Project
from charkh.workspace.workspace import Workspace

AT_ONCE = 200
NOT_CARRIED = "charkh has no such thing"


def import_mlflow(
    workspace: Workspace,
    address: str,
    *,
    buckets: bool = False,
    artifact_root: Path | None = None,
    dry: bool = False,
    progress: Callable[[int], None] | None = None,
) -> MlflowReport:
    """Take everything of an MLflow store that is not here.

    A second import adds nothing, one of a store that has grown what is new, and one that was interrupted goes on. What
    was deleted here is not brought back.

    Args:
        workspace: where it goes.
        address: a folder (`mlruns`), `sqlite:///…`, `postgresql://…`, or `http(s)://…` of a server.
        buckets: bring artifacts that lie in object stores, with the credentials of this environment.
        artifact_root: the folder in which artifacts lie where their addresses do not lead to them.
        dry: count what there is, and write nothing.
        progress: called with the bytes of artifacts that were taken since the last call.

    Raises:
        NotFound: there is no such store.
        Invalid: it is no address of one.
        Unavailable: it cannot be read, or this store cannot be written.
    """
    source = open_source(address, buckets=buckets, artifact_root=artifact_root)
    try:
        if dry:
            return _survey(source)
        tally = Tally()
        landing = Landing(workspace.store, tally, workspace.scratch / f"mlflow-{new_id()}", progress)
        try:
            _land(source, landing)
        finally:
            landing.close()
        return tally.report()
    finally:
        source.close()


def open_source(address: str, *, buckets: bool = False, artifact_root: Path | None = None) -> Source:
    """The store at an address; see `import_mlflow`."""
    scheme = scheme_of(address)
    if scheme in {"http", "https"}:
        # Each way of reading is imported where it is gone.
        from charkh.bridges.mlflow.importing.server import ServerStore

        return ServerStore(address, buckets=buckets)
    if scheme.partition("+")[0] in {"sqlite", "postgresql", "postgres", "mysql", "mssql", "oracle"}:
        from charkh.bridges.mlflow.importing.sql_store import SqlStore

        uri = "postgresql" + address[len(scheme) :] if scheme == "postgres" else address
        return SqlStore(uri, buckets=buckets, artifact_root=artifact_root)
    folder = local_folder(address)
    if folder is None:
        raise Invalid(
            f"{address[:100]!r} is no address of an MLflow store",
            code="mlflow.bad_uri",
            hint="Give a folder, sqlite:///mlflow.db, postgresql://…, or the http address of a server.",
        )
    if folder.is_file():
        return open_source(f"sqlite:///{folder}", buckets=buckets, artifact_root=artifact_root)
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}", code="mlflow.no_store", hint="It is `mlruns` by default.")
    from charkh.bridges.mlflow.importing.file_store import FileStore

    return FileStore(folder, buckets=buckets, artifact_root=artifact_root)


def _land(source: Source, landing: Landing) -> None:
    ids: dict[str, str] = {}
    projects: list[tuple[str, Project]] = []
    for experiment in source.experiments():
        try:
            projects.append((experiment.id, land_experiment(landing, experiment)))
        except CharkhError as error:
            if isinstance(error, Unavailable):
                raise
            landing.tally.tell(f"experiment {experiment.name}", error.message)
    links: list[MlflowRun] = []
    for identifier, project in projects:
        batch: list[MlflowRun] = []
        for run in source.runs(identifier):
            ids[run.id] = run_id(run)
            batch.append(run)
            if run.made or run.used:
                links.append(run)
            if len(batch) == AT_ONCE:
                _land_runs(source, landing, batch, project, ids)
                batch = []
        _land_runs(source, landing, batch, project, ids)
    for identifier, project in projects:
        for logged in source.logged(identifier):
            land_logged(landing, source, logged, project, ids)
    landing.commit()
    for run in links:
        made = {ids.get(model, model): step for model, step in run.made.items()}
        link_run(landing.store, ids[run.id], made, [ids.get(model, model) for model in run.used])
    for model in source.registered():
        land_registered(landing, source, model, ids)
    landing.commit()
    for what, count in source.left().items():
        landing.tally.left(what, NOT_CARRIED, count)
    landing.tally.tell_all(source.trouble)


def _land_runs(source: Source, landing: Landing, runs: list[MlflowRun], project: Project, ids: dict[str, str]) -> None:
    if not runs:
        return
    wanted = tuple(ids[run.id] for run in runs)
    known = {run.id: run for run in landing.store.queries.ask(RunsByIds(runs=wanted, now=time.time()))}
    for run in runs:
        land_run(landing, source, run, project, known.get(ids[run.id]), ids)
        landing.tally.tell_all(source.trouble)


def _survey(source: Source) -> MlflowReport:
    """What there is, counted as if nothing of it were here."""
    tally = Tally(dry=True)
    for experiment in source.experiments():
        tally.new("experiment")
        tally.new("tag", len(experiment.tags))
        for run in source.runs(experiment.id):
            tally.new("run")
            tally.new("param", len(run.params))
            tally.new("tag", len(run.tags))
            tally.new("dataset input", len(run.inputs))
            tally.new("point", sum(each.steps.size for each in source.points(run)))
            _survey_files(source, tally, run.location, run.id, "runs")
        for model in source.logged(experiment.id):
            tally.new("logged model")
            _survey_files(source, tally, model.location, model.id, "models")
    for registered in source.registered():
        tally.new("registered model")
        tally.new("version", len(registered.versions))
        tally.new("alias", len(registered.aliases))
    for what, count in source.left().items():
        tally.left(what, NOT_CARRIED, count)
    tally.tell_all(source.trouble)
    return tally.report()


def _survey_files(source: Source, tally: Tally, location: str, owner: str, what: str) -> None:
    files = source.files(location, owner)
    if isinstance(files, str):
        tally.left("artifact folder", files)
        return
    try:
        for each in files.list():
            tally.new("artifact")
            tally.bytes += each.size or 0
    except CharkhError as error:
        tally.tell(f"{what} {owner}", error.message)
