"""An MLflow file store (`mlruns/`), the one that MLflow 1 and 2 write by default.

Its layout, as MLflow 2.22 and 3.17 write it:

    EXPERIMENT/meta.yaml, tags/KEY                     `.trash/EXPERIMENT` where it is deleted
    EXPERIMENT/RUN/meta.yaml, params/KEY, tags/KEY     one value a file; keys with `/` are folders
    EXPERIMENT/RUN/metrics/KEY                         lines `MILLISECONDS VALUE [STEP]`
    EXPERIMENT/RUN/inputs/ID/meta.yaml                 a dataset of EXPERIMENT/datasets/ID, or a model
    EXPERIMENT/RUN/outputs/LOGGED/meta.yaml            a logged model that it left, at a step
    EXPERIMENT/models/LOGGED/meta.yaml, params, tags   its metrics: lines `MILLISECONDS VALUE STEP RUN [DATASET DIGEST]`
    models/NAME/meta.yaml, tags/KEY, aliases/ALIAS, version-N/meta.yaml, version-N/tags/KEY
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from charkh.bridges.mlflow.exchanged import (
    DatasetInput,
    Experiment,
    Files,
    KeyPoints,
    Logged,
    MeasuredBy,
    MlflowRun,
    Registered,
    Trouble,
    Version,
)
from charkh.bridges.mlflow.importing.places import Places
from charkh.bridges.mlflow.importing.yaml_files import moment_of, read_yaml, text_of
from charkh.core.errors import CharkhError, Corrupt
from charkh.models.logged import Measurement

META = "meta.yaml"
MODELS = "models"
TRASH = ".trash"
STATUSES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
LOGGED_STATUSES = {1: "pending", 2: "ready", 3: "failed"}
MAX_TEXT = 20 * 1024 * 1024
_NOT_RUNS = frozenset({"tags", "datasets", "traces", MODELS})


class FileStore:
    """Reads a folder.

    Args:
        root: `mlruns/`.
        buckets: read artifacts in object stores, too.
        artifact_root: where artifacts lie that the addresses do not lead to.
    """

    def __init__(self, root: Path, *, buckets: bool = False, artifact_root: Path | None = None) -> None:
        self.trouble: list[Trouble] = []
        self._root = root.resolve()
        self._places = Places([self._root, *([artifact_root] if artifact_root else [])], buckets=buckets)

    def experiments(self) -> Iterator[Experiment]:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        for folder in self._experiment_folders():
            meta = self._meta(folder)
            if meta is None:
                continue
            yield Experiment(
                id=folder.name,
                name=text_of(meta, "name") or folder.name,
                location=text_of(meta, "artifact_location"),
                created=moment_of(meta.get("creation_time")),
                updated=moment_of(meta.get("last_update_time")),
                tags=self._texts(folder / "tags"),
                deleted=folder.parent.name == TRASH or meta.get("lifecycle_stage") == "deleted",
            )

    def runs(self, experiment: str) -> Iterator[MlflowRun]:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        found = [(folder, meta) for folder in self._run_folders(experiment) if (meta := self._meta(folder)) is not None]
        found.sort(key=lambda each: (moment_of(each[1].get("start_time")), each[0].name))
        for folder, meta in found:
            try:
                yield self._run(experiment, folder, meta)
            except (CharkhError, OSError) as error:
                self._tell(folder, error)

    def points(self, run: MlflowRun) -> Iterator[KeyPoints]:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        folder = self._experiment(run.experiment) / run.id / "metrics"
        for file in _files(folder):
            key = file.relative_to(folder).as_posix()
            rows: list[list[str]] = []
            damaged = 0
            for line in self._lines(file):
                words = line.split()
                if words:
                    rows.append(words)
            found = _columns(key, rows)
            damaged = len(rows) - found.steps.size
            if damaged:
                self.trouble.append(Trouble(str(file), f"{damaged} of {len(rows)} lines are no points"))
            if found.steps.size:
                yield found

    def logged(self, experiment: str) -> Iterator[Logged]:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        for folder in _folders(self._experiment(experiment) / MODELS):
            meta = self._meta(folder)
            if meta is None:
                continue
            yield Logged(
                id=folder.name,
                experiment=experiment,
                name=text_of(meta, "name"),
                run=text_of(meta, "source_run_id"),
                type=text_of(meta, "model_type"),
                created=moment_of(meta.get("creation_timestamp")),
                status=LOGGED_STATUSES.get(_whole(meta.get("status"), 2), "ready"),
                message=text_of(meta, "status_message"),
                location=text_of(meta, "artifact_location") or _own_artifacts(folder),
                params=self._texts(folder / "params"),
                tags=self._texts(folder / "tags"),
                metrics=tuple(self._measured(folder / "metrics")),
                deleted=meta.get("lifecycle_stage") == "deleted",
            )

    def registered(self) -> Iterator[Registered]:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        for folder in _folders(self._root / MODELS):
            meta = self._meta(folder)
            if meta is None:
                continue
            aliases = self._texts(folder / "aliases")
            yield Registered(
                name=text_of(meta, "name") or folder.name,
                description=text_of(meta, "description"),
                created=moment_of(meta.get("creation_timestamp")),
                tags=self._texts(folder / "tags"),
                aliases={alias: int(number) for alias, number in aliases.items() if number.strip().isdecimal()},
                versions=tuple(sorted(self._versions(folder), key=lambda version: version.number)),
            )

    def left(self) -> dict[str, int]:
        """Traces."""
        traces = sum(len(_folders(folder / "traces")) for folder in self._experiment_folders())
        return {"trace": traces} if traces else {}

    def files(self, location: str, owner: str) -> Files | str:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        return self._places.files(location, owner)

    def close(self) -> None:
        """There is nothing to let go of."""

    def _experiment_folders(self) -> list[Path]:
        own = [folder for folder in _folders(self._root) if folder.name not in {MODELS, TRASH}]
        return [folder for folder in [*own, *_folders(self._root / TRASH)] if (folder / META).exists()]

    def _experiment(self, experiment: str) -> Path:
        folder = self._root / experiment
        return folder if folder.is_dir() else self._root / TRASH / experiment

    def _run_folders(self, experiment: str) -> list[Path]:
        return [folder for folder in _folders(self._experiment(experiment)) if folder.name not in _NOT_RUNS]

    def _run(self, experiment: str, folder: Path, meta: dict[str, Any]) -> MlflowRun:
        inputs, used = self._inputs(experiment, folder)
        tags = self._texts(folder / "tags")
        made = {each.name: _whole((self._meta(each) or {}).get("step"), 0) for each in _folders(folder / "outputs")}
        return MlflowRun(
            id=folder.name,
            experiment=experiment,
            name=tags.get("mlflow.runName", "") or text_of(meta, "run_name"),
            user=text_of(meta, "user_id"),
            status=STATUSES.get(_whole(meta.get("status"), 1), "RUNNING"),
            began=moment_of(meta.get("start_time")),
            ended=moment_of(meta.get("end_time")) or None,
            deleted=meta.get("lifecycle_stage") == "deleted",
            location=text_of(meta, "artifact_uri") or _own_artifacts(folder),
            params=self._texts(folder / "params"),
            tags=tags,
            inputs=inputs,
            used=used,
            made=made,
        )

    def _inputs(self, experiment: str, run: Path) -> tuple[tuple[DatasetInput, ...], tuple[str, ...]]:
        found: list[DatasetInput] = []
        used: list[str] = []
        for each in _folders(run / "inputs"):
            meta = self._meta(each) or {}
            source = text_of(meta, "source_id")
            if str(meta.get("source_type", "")).startswith("MODEL") or source.startswith("m-"):
                used.append(text_of(meta, "destination_id") if not source.startswith("m-") else source)
                continue
            data = self._meta(self._experiment(experiment) / "datasets" / Path(source).name) if source else None
            if data is None:
                continue
            tags = cast(dict[object, object], meta.get("tags")) if isinstance(meta.get("tags"), dict) else {}
            texts = {
                name: text_of(data, name) for name in ("name", "digest", "source_type", "source", "schema", "profile")
            }
            plain = {str(key): str(value) for key, value in tags.items()}
            found.append(DatasetInput(**texts, tags=plain))
        return tuple(found), tuple(used)

    def _versions(self, model: Path) -> Iterator[Version]:
        for folder in _folders(model):
            number = folder.name.removeprefix("version-")
            meta = self._meta(folder) if number != folder.name and number.isdecimal() else None
            if meta is None:
                continue
            stage = text_of(meta, "current_stage")
            if stage == "Deleted_Internal":
                continue
            yield Version(
                number=int(number),
                source=text_of(meta, "source"),
                storage=text_of(meta, "storage_location"),
                run=text_of(meta, "run_id"),
                logged=text_of(meta, "model_id"),
                stage=stage or "None",
                description=text_of(meta, "description"),
                link=text_of(meta, "run_link"),
                created=moment_of(meta.get("creation_timestamp")),
                tags=self._texts(folder / "tags"),
            )

    def _measured(self, folder: Path) -> Iterator[MeasuredBy]:
        for file in _files(folder):
            key = file.relative_to(folder).as_posix()
            for line in self._lines(file):
                words = line.split()
                try:
                    time, value, step, run = int(words[0]), float(words[1]), int(words[2]), words[3]
                except (IndexError, ValueError):
                    self.trouble.append(Trouble(str(file), f"a line is no value: {line[:80]}"))
                    continue
                name, digest = (words[4], words[5]) if len(words) > 5 else ("", "")
                said = Measurement(key=key, value=value, time=time, step=step, dataset=name, digest=digest)
                yield MeasuredBy(run=run, value=said)

    def _meta(self, folder: Path) -> dict[str, Any] | None:
        path = folder / META
        try:
            return read_yaml(path)
        except Corrupt as error:
            self._tell(path, error)
            return None

    def _texts(self, folder: Path) -> dict[str, str]:
        found: dict[str, str] = {}
        for file in _files(folder):
            try:
                if file.stat().st_size <= MAX_TEXT:
                    found[file.relative_to(folder).as_posix()] = file.read_text("utf-8", "replace")
            except OSError as error:
                self._tell(file, error)
        return found

    def _lines(self, file: Path) -> list[str]:
        try:
            return file.read_text("utf-8", "replace").splitlines()
        except OSError as error:
            self._tell(file, error)
            return []

    def _tell(self, where: Path, error: Exception) -> None:
        reason = error.message if isinstance(error, CharkhError) else str(error)
        self.trouble.append(Trouble(str(where), reason))


def _columns(key: str, rows: list[list[str]]) -> KeyPoints:
    """The points that lines say; those that say none are left out."""
    import numpy as np  # whoever imports loads it

    times, values, steps = [], [], []
    for words in rows:
        try:
            row = (int(words[0]), float(words[1]), int(words[2]) if len(words) > 2 else 0)
        except (IndexError, ValueError):
            continue
        times.append(row[0] * 1000)
        values.append(row[1])
        steps.append(row[2])
    return KeyPoints(key, np.array(steps, np.int64), np.array(times, np.int64), np.array(values, np.float64))


def _own_artifacts(folder: Path) -> str:
    return (folder.absolute() / "artifacts").as_uri()


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if each.is_dir())
    except FileNotFoundError:
        return []


def _files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.is_file()) if folder.is_dir() else []


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise
