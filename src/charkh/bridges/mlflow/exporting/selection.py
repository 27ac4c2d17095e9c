"""What of this store is exported, as MLflow's records: the opposite of an import, read by every way of writing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from charkh.bridges.mlflow.exchanged import (
    DatasetInput,
    Experiment,
    FoundFile,
    KeyPoints,
    Logged,
    MeasuredBy,
    MlflowRun,
    Registered,
    Trouble,
    Version,
)
from charkh.bridges.mlflow.exporting.names import contexts_tag, named_metrics
from charkh.bridges.mlflow.importing.registry import VERSION_TAG
from charkh.bridges.mlflow.metrics import points_of
from charkh.bridges.mlflow.run_filters import run_order
from charkh.bridges.mlflow.run_shape import CONTEXT, RUN_NAME, STATUSES, run_tags
from charkh.bridges.mlflow.service import texts_of
from charkh.core.files import FileRef
from charkh.models.index import Models, ModelVersions
from charkh.models.logged import LoggedModel
from charkh.models.logged_index import LoggedFiles, LoggedModels, ModelLinks
from charkh.models.model import ModelSummary, ModelVersion
from charkh.models.texts import all_tags, read_text
from charkh.ports.store import Store
from charkh.runs.find import find
from charkh.runs.history import metric_names
from charkh.runs.index import ArtifactsOf
from charkh.runs.inputs import InputsOfRuns, RunInput
from charkh.runs.points import SeriesName
from charkh.runs.project import Project
from charkh.runs.projects import find_project, list_projects
from charkh.runs.run import SYSTEM_CONTEXT, Run, series_name
from charkh.runs.search import find_runs

AT_ONCE = 500
_STATUSES = {"pending": "pending", "ready": "ready", "failed": "failed"}


class Selection:
    """Some runs, the projects they are in, and what was left and registered by them; or everything.

    Args:
        store: that is read.
        runs: references of runs; with none, all of the chosen projects.
        projects: ids or names of projects; with none, all.

    Raises:
        NotFound: there is no such run or project.
    """

    def __init__(self, store: Store, runs: Sequence[str] = (), projects: Sequence[str] = ()) -> None:
        self.trouble: list[Trouble] = []
        self._store = store
        self._all = not runs and not projects
        chosen = {found.id: found for found in (find(store, ref) for ref in runs)}
        self._chosen = {
            run.project: [each for each in chosen.values() if each.project == run.project] for run in chosen.values()
        }
        if runs:
            self._projects = [find_project(store, project) for project in self._chosen]
        elif projects:
            self._projects = [find_project(store, each) for each in projects]
        else:
            self._projects = list(list_projects(store, deleted=None))
        self._runs: set[str] = set()

    def experiments(self) -> Iterator[Experiment]:
        """The projects."""
        for project in self._projects:
            yield Experiment(
                id=project.id,
                name=project.name,
                location=project.location,
                created=project.created,
                updated=project.updated,
                tags=dict(project.tags),
                deleted=project.deleted is not None,
            )

    def runs(self, experiment: str) -> Iterator[MlflowRun]:
        """The runs of a project, the oldest first; those that were deleted for good are gone."""
        project = next(each for each in self._projects if each.id == experiment)
        for some in self._pages(project):
            ids = tuple(run.id for run in some)
            inputs = self._store.queries.ask(InputsOfRuns(runs=ids))
            made: dict[str, dict[str, int]] = {}
            used: dict[str, list[str]] = {}
            for link in self._store.queries.ask(ModelLinks(runs=ids)):
                if link.role == "output":
                    made.setdefault(link.run, {})[link.logged] = link.step
                else:
                    used.setdefault(link.run, []).append(link.logged)
            for run in some:
                self._runs.add(run.id)
                yield self._run(run, inputs.get(run.id, ()), made.get(run.id, {}), used.get(run.id, []))

    def points(self, run: MlflowRun) -> Iterator[KeyPoints]:
        """Every point that was logged; what was measured of the machine stays here."""
        import numpy as np  # whoever exports loads it

        for name, key in self._metrics(run.id).items():
            found = points_of(self._store, run.id, series_name(name.key, name.context))
            yield KeyPoints(
                key,
                np.array([each.step for each in found], np.int64),
                np.array([each.timestamp * 1000 for each in found], np.int64),
                np.array([each.value for each in found], np.float64),
            )

    def logged(self, experiment: str) -> Iterator[Logged]:
        """The logged models of a project, or of the chosen runs of it."""
        for model in reversed(self._store.queries.ask(LoggedModels(projects=(experiment,)))):
            if not self._chosen or model.made.run in self._runs:
                yield _logged(self._store, experiment, model)

    def registered(self) -> Iterator[Registered]:
        """The registered models; of chosen runs or projects, the versions that came from them."""
        for model in self._store.queries.ask(Models()):
            versions = [each for each in self._store.queries.ask(ModelVersions(name=model.name)) if self._came(each)]
            if versions or self._all:
                yield _registered(self._store, model, versions)

    def version(self, name: str, number: int) -> ModelVersion:
        """The version behind a record."""
        found = self._store.queries.ask(ModelVersions(name=name))
        return next(each for each in found if each.made.number == number)

    def left(self) -> dict[str, int]:
        """Nothing is counted."""
        return {}

    def files(self, location: str, owner: str) -> VaultFiles:  # noqa: ARG002 - the owner says enough
        """The files of a run or logged model."""
        if owner.startswith("m-"):
            return VaultFiles(self._store, {e.path: e.file for e in self._store.queries.ask(LoggedFiles(logged=owner))})
        return VaultFiles(self._store, {e.path: e.file for e in self._store.queries.ask(ArtifactsOf(run=owner))})

    def close(self) -> None:
        """There is nothing to let go of."""

    def _came(self, version: ModelVersion) -> bool:
        return self._all or version.made.run in self._runs

    def _pages(self, project: Project) -> Iterator[list[Run]]:
        if project.id in self._chosen:
            yield self._chosen[project.id]
            return
        found: list[Run] = []
        while True:
            page = find_runs(
                self._store, None, run_order(()), limit=AT_ONCE, offset=len(found), deleted=None, projects=(project.id,)
            )
            found += page
            if len(page) < AT_ONCE:
                break
        found = sorted((run for run in found if not run.purged), key=lambda run: (run.created, run.id))
        for start in range(0, len(found), AT_ONCE):
            yield found[start : start + AT_ONCE]

    def _run(self, run: Run, inputs: Sequence[RunInput], made: dict[str, int], used: list[str]) -> MlflowRun:
        tags = {**run_tags(self._store, run), **contexts_tag(self._metrics(run.id)), RUN_NAME: run.name}
        return MlflowRun(
            id=run.id,
            experiment=run.project,
            name=run.name,
            user=run.user,
            status=STATUSES[run.status],
            began=run.created,
            ended=run.ended,
            deleted=run.deleted is not None,
            params=texts_of(self._store, run.params),
            tags=tags,
            inputs=tuple(self._input(each) for each in inputs),
            used=tuple(used),
            made=made,
        )

    def _metrics(self, run: str) -> dict[SeriesName, str]:
        """The metrics that MLflow can have, with their keys there."""
        names = {SeriesName(each.key, each.context) for each in metric_names(self._store, run)}
        names = {name for name in names if name.context != SYSTEM_CONTEXT}
        named = named_metrics(names)
        for name in sorted(names - set(named)):
            trouble = Trouble(f"run {run}", f"MLflow takes no metric called {series_name(*name)[:80]!r}")
            if trouble not in self.trouble:
                self.trouble.append(trouble)
        return named

    def _input(self, data: RunInput) -> DatasetInput:
        tags = {**data.tags, **({CONTEXT: data.context} if data.context else {})}
        return DatasetInput(
            name=data.name,
            digest=data.digest,
            source_type=data.source_type,
            source=self._text(data.long_source) or data.source,
            schema=self._text(data.schema),
            profile=self._text(data.profile),
            tags=tags,
        )

    def _text(self, file: FileRef | None) -> str:
        return "" if file is None else b"".join(self._store.vault.read(file)).decode("utf-8", "replace")


class VaultFiles:
    """Files of this store, by path."""

    local = False

    def __init__(self, store: Store, files: dict[str, FileRef]) -> None:
        self._store = store
        self.refs = files

    def list(self) -> list[FoundFile]:
        """See `charkh.bridges.mlflow.exchanged.Files`."""
        return [FoundFile(path, file.size) for path, file in sorted(self.refs.items())]

    def read(self, path: str) -> Iterator[bytes]:
        """The content, piece by piece."""
        return self._store.vault.read(self.refs[path])

    def take(self, path: str, scratch: Path) -> Path:
        """The content, in a file of `scratch`."""
        target = scratch / "artifact"
        write_file(target, self.read(path))
        return target


def write_file(target: Path, pieces: Iterator[bytes]) -> None:
    """Write pieces into a file whose folder is made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        for piece in pieces:
            file.write(piece)


def _logged(store: Store, experiment: str, model: LoggedModel) -> Logged:
    made = model.made
    return Logged(
        id=made.logged,
        experiment=experiment,
        name=made.name,
        run=made.run,
        type=made.type,
        created=made.created,
        status=_STATUSES.get(model.status, "ready"),
        message=model.message,
        params=all_tags(store, model.params, model.long_params),
        tags=all_tags(store, model.tags, model.long_tags),
        metrics=tuple(MeasuredBy(run=each.run, value=each.value) for each in model.metrics),
    )


def _registered(store: Store, model: ModelSummary, versions: Sequence[ModelVersion]) -> Registered:
    numbers = {version.made.number for version in versions}
    return Registered(
        name=model.name,
        description=read_text(store, model.description),
        created=model.created,
        tags=all_tags(store, model.tags, model.long_tags),
        aliases={alias: number for alias, number in model.aliases.items() if number in numbers},
        versions=tuple(_version(store, each) for each in sorted(versions, key=lambda each: each.made.number)),
    )


def _version(store: Store, version: ModelVersion) -> Version:
    made = version.made
    return Version(
        number=made.number,
        source=made.source,
        run=made.run,
        logged=made.logged,
        stage=version.stage or "None",
        description=read_text(store, version.description),
        link=made.link,
        created=version.created,
        tags={**all_tags(store, version.tags, version.long_tags), VERSION_TAG: version.id},
    )
