"""Write a selection as an MLflow file store, the folder that `mlflow ui --backend-store-uri FOLDER` opens.

Ids stay as they are. Writing into the folder of an earlier export replaces what is the same and adds what is new. The
layout is that of `charkh.bridges.mlflow.importing.file_store`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charkh.bridges.mlflow.exchanged import Experiment, KeyPoints, Logged, MlflowRun, Registered, Version
from charkh.bridges.mlflow.exporting.mlmodel_folder import version_files
from charkh.bridges.mlflow.exporting.names import fits
from charkh.bridges.mlflow.exporting.report import ExportTally
from charkh.bridges.mlflow.exporting.selection import Selection, VaultFiles, write_file
from charkh.bridges.mlflow.importing.file_store import LOGGED_STATUSES, META, MODELS, STATUSES, TRASH
from charkh.bridges.mlflow.importing.places import scheme_of
from charkh.core.digests import digest_of
from charkh.core.errors import CharkhError, Unavailable
from charkh.core.refs import is_safe_path
from charkh.ports.store import Store

_NUMBERS = {word: number for number, word in STATUSES.items()}
_LOGGED_NUMBERS = {word: number for number, word in LOGGED_STATUSES.items()}


def write_folder(store: Store, selection: Selection, root: Path, tally: ExportTally) -> None:
    """Write everything that is selected below `root`.

    Raises:
        Unavailable: a file cannot be written.
        Corrupt: bytes of this store are not what their digest says.
    """
    try:
        _Writer(store, selection, root.resolve(), tally).write()
    except OSError as error:
        raise Unavailable(
            f"{error.filename or root} cannot be written: {error.strerror}",
            code="mlflow.not_written",
            hint="Look at the space and permissions there, and export again.",
        ) from error


class _Writer:
    def __init__(self, store: Store, selection: Selection, root: Path, tally: ExportTally) -> None:
        self._store = store
        self._selection = selection
        self._root = root
        self._tally = tally
        self._logged: set[str] = set()

    def write(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        for experiment in self._selection.experiments():
            self._experiment(experiment)
        for model in self._selection.registered():
            if "/" in model.name or ":" in model.name:
                self._tally.left("registered model", f"MLflow allows neither / nor : in names, as in {model.name}")
                continue
            self._model(model)

    def _experiment(self, experiment: Experiment) -> None:
        folder = self._root / experiment.id
        trash = self._root / TRASH / experiment.id
        if not experiment.deleted:
            shutil.rmtree(trash, ignore_errors=True)
        place = trash if experiment.deleted else folder
        self._meta(
            place,
            artifact_location=folder.as_uri(),
            creation_time=_milliseconds(experiment.created),
            experiment_id=experiment.id,
            last_update_time=_milliseconds(experiment.updated),
            lifecycle_stage="deleted" if experiment.deleted else "active",
            name=experiment.name,
        )
        self._texts(place / "tags", experiment.tags)
        self._tally.done("experiment")
        for run in self._selection.runs(experiment.id):
            self._run(place, folder, run, deleted=run.deleted)
        for model in self._selection.logged(experiment.id):
            self._logged_model(place, folder, model)

    def _run(self, place: Path, said: Path, run: MlflowRun, *, deleted: bool) -> None:
        folder = place / run.id
        self._meta(
            folder,
            artifact_uri=(said / run.id / "artifacts").as_uri(),
            end_time=_milliseconds(run.ended) if run.ended is not None else None,
            entry_point_name="",
            experiment_id=run.experiment,
            lifecycle_stage="deleted" if deleted else "active",
            run_id=run.id,
            run_name=run.name,
            run_uuid=run.id,
            source_name="",
            source_type=4,
            source_version="",
            start_time=_milliseconds(run.began),
            status=_NUMBERS.get(run.status, 1),
            tags=[],
            user_id=run.user,
        )
        for name in ("metrics", "params", "artifacts"):
            (folder / name).mkdir(exist_ok=True)
        self._texts(folder / "params", run.params)
        self._texts(folder / "tags", run.tags)
        for points in self._selection.points(run):
            self._points(folder / "metrics", points)
        self._inputs(place, folder, run)
        self._files(folder / "artifacts", self._selection.files("", run.id))
        self._tally.done("run")

    def _points(self, folder: Path, points: KeyPoints) -> None:
        target = self._target(folder, points.key)
        if target is None:
            return
        columns = (points.times.tolist(), points.values.tolist(), points.steps.tolist())
        lines = [f"{time // 1000} {value!r} {step}\n" for time, value, step in zip(*columns, strict=True)]
        write_file(target, iter([text.encode() for text in lines]))
        self._tally.done("point", len(lines))

    def _inputs(self, place: Path, folder: Path, run: MlflowRun) -> None:
        for data in run.inputs:
            identifier = digest_of(f"{data.name}\0{data.digest}\0{run.experiment}".encode())[:32]
            self._meta(
                place / "datasets" / identifier,
                digest=data.digest,
                name=data.name,
                profile=data.profile or None,
                schema=data.schema or None,
                source=data.source,
                source_type=data.source_type,
            )
            self._meta(
                folder / "inputs" / digest_of(f"{identifier}\0{run.id}".encode())[:32],
                destination_id=identifier,
                destination_type="RUN",
                source_id=identifier,
                source_type="DATASET",
                tags=data.tags,
            )
            self._tally.done("dataset input")
        for model in run.used:
            self._meta(
                folder / "inputs" / model,
                destination_id=model,
                destination_type="MODEL_INPUT",
                source_id=model,
                source_type="RUN_INPUT",
                tags={},
            )
        for model, step in run.made.items():
            self._meta(
                folder / "outputs" / model,
                destination_id=model,
                destination_type="MODEL_OUTPUT",
                source_id=model,
                source_type="RUN_OUTPUT",
                step=step,
                tags={},
            )

    def _logged_model(self, place: Path, said: Path, model: Logged) -> None:
        folder = place / MODELS / model.id
        self._meta(
            folder,
            artifact_location=(said / MODELS / model.id / "artifacts").as_uri(),
            creation_timestamp=_milliseconds(model.created),
            experiment_id=model.experiment,
            last_updated_timestamp=_milliseconds(model.created),
            model_id=model.id,
            model_type=model.type or None,
            name=model.name,
            source_run_id=model.run or None,
            status=_LOGGED_NUMBERS.get(model.status, 2),
            status_message=model.message or None,
        )
        (folder / "metrics").mkdir(exist_ok=True)
        self._texts(folder / "params", model.params)
        self._texts(folder / "tags", model.tags)
        by_key: dict[str, list[str]] = {}
        for each in model.metrics:
            value = each.value
            data = f" {value.dataset} {value.digest}" if value.dataset and " " not in value.dataset else ""
            line = f"{value.time} {value.value!r} {value.step} {each.run}{data}\n"
            by_key.setdefault(value.key, []).append(line)
        for key, lines in by_key.items():
            if (target := self._target(folder / "metrics", key)) is not None:
                write_file(target, iter([line.encode() for line in lines]))
        self._files(folder / "artifacts", self._selection.files("", model.id))
        self._logged.add(model.id)
        self._tally.done("logged model")

    def _model(self, model: Registered) -> None:
        folder = self._root / MODELS / model.name
        self._meta(
            folder,
            aliases={alias: str(number) for alias, number in model.aliases.items()},
            creation_timestamp=_milliseconds(model.created),
            description=model.description or None,
            last_updated_timestamp=_milliseconds(max((each.created for each in model.versions), default=model.created)),
            name=model.name,
        )
        (folder / "tags").mkdir(exist_ok=True)
        self._texts(folder / "tags", model.tags)
        self._texts(folder / "aliases", {alias: str(number) for alias, number in model.aliases.items()})
        self._tally.done("registered model")
        for version in model.versions:
            self._version(model.name, folder / f"version-{version.number}", version)

    def _version(self, name: str, folder: Path, version: Version) -> None:
        made = self._selection.version(name, version.number)
        storage = ""
        if version.logged in self._logged:
            found = next(self._root.glob(f"*/{MODELS}/{version.logged}"), None)
            storage = (found / "artifacts").as_uri() if found is not None else ""
        if not storage and not made.made.elsewhere:
            try:
                files = version_files(self._store, made)
            except CharkhError as error:
                self._tally.tell(f"{name}@{version.number}", error.message)
                files = {}
            for path, data in files.items():
                write_file(folder / "artifacts" / path, iter([data]))
            self._tally.done("artifact", len(files))
            storage = (folder / "artifacts").as_uri()
        source = version.source if scheme_of(version.source) in {"runs", "models"} or not storage else storage
        self._meta(
            folder,
            creation_timestamp=_milliseconds(version.created),
            current_stage=version.stage,
            description=version.description or None,
            last_updated_timestamp=_milliseconds(version.created),
            model_id=version.logged or None,
            name=name,
            run_id=version.run or None,
            run_link=version.link or None,
            source=source,
            status="READY",
            status_message=None,
            storage_location=storage or source,
            user_id=None,
            version=version.number,
        )
        self._texts(folder / "tags", version.tags)
        self._tally.done("version")

    def _meta(self, folder: Path, **fields: Any) -> None:
        """JSON is YAML, too: what needs quotes has them."""
        lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in sorted(fields.items())]
        write_file(folder / META, iter([line.encode("utf-8", "replace") for line in lines]))

    def _texts(self, folder: Path, texts: Mapping[str, str]) -> None:
        for key, value in texts.items():
            target = self._target(folder, key)
            if target is not None:
                write_file(target, iter([value.encode("utf-8", "replace")]))

    def _target(self, folder: Path, key: str) -> Path | None:
        """The file of a key, which is a path for MLflow; None where it can be none."""
        target = folder / key
        if (
            not fits(key)
            or not is_safe_path(key)
            or target.is_dir()
            or any(part.is_file() for part in target.parents if part != folder)
        ):
            self._tally.left("key", f"MLflow takes none that is called {key[:80]!r}")
            return None
        return target

    def _files(self, folder: Path, files: VaultFiles) -> None:
        for each in files.list():
            target = folder / each.path
            if (
                not target.is_file()
                or target.stat().st_size != each.size
                or not _is(target, files.refs[each.path].digest)
            ):
                write_file(target, files.read(each.path))
            self._tally.done("artifact")


def _is(path: Path, digest: str) -> bool:
    from blake3 import blake3  # only where a file is there already

    return blake3().update_mmap(path).hexdigest() == digest


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)
