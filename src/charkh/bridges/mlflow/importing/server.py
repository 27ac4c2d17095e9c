"""An MLflow server, read over its REST API; its artifacts come through its proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

from charkh.bridges.mlflow.exchanged import (
    DatasetInput,
    Experiment,
    Files,
    FoundFile,
    KeyPoints,
    Logged,
    MeasuredBy,
    MlflowRun,
    Registered,
    Trouble,
    Version,
)
from charkh.bridges.mlflow.importing.places import PROXY, Places, local_folder, owned_tail, scheme_of
from charkh.bridges.mlflow.importing.yaml_files import moment_of
from charkh.bridges.mlflow.rest_client import RestClient, double, pairs_of
from charkh.core.errors import CharkhError, Invalid, NotFound
from charkh.models.logged import Measurement

PAGE = 1000
POINTS = 25_000
MAX_DEPTH = 50
_LOGGED_STATUSES = {"LOGGED_MODEL_PENDING": "pending", "LOGGED_MODEL_UPLOAD_FAILED": "failed"}
_PROMPTS = "tags.`mlflow.prompt.is_prompt` = 'true'"

Fields = dict[str, Any]


class ServerStore:
    """Reads a server.

    Args:
        address: `http://host:port`.
        buckets: read artifacts in object stores, too.
    """

    def __init__(self, address: str, *, buckets: bool = False) -> None:
        self.trouble: list[Trouble] = []
        self._client = RestClient(address)
        self._places = Places(buckets=buckets)

    def experiments(self) -> Iterator[Experiment]:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        query = {"max_results": PAGE, "view_type": "ALL", "order_by": ["creation_time ASC"]}
        for each in self._client.pages("experiments/search", "experiments", query):
            yield Experiment(
                id=str(each["experiment_id"]),
                name=each.get("name", ""),
                location=each.get("artifact_location", ""),
                created=moment_of(each.get("creation_time")),
                updated=moment_of(each.get("last_update_time")),
                tags=pairs_of(each.get("tags")),
                deleted=each.get("lifecycle_stage") == "deleted",
            )

    def runs(self, experiment: str) -> Iterator[MlflowRun]:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        query = {
            "experiment_ids": [experiment],
            "run_view_type": "ALL",
            "max_results": PAGE,
            "order_by": ["attributes.start_time ASC"],
        }
        for each in self._client.pages("runs/search", "runs", query):
            yield _run(experiment, each)

    def points(self, run: MlflowRun) -> Iterator[KeyPoints]:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        import numpy as np  # whoever imports loads it

        for key in self._keys(run):
            query: Fields = {"run_id": run.id, "run_uuid": run.id, "metric_key": key, "max_results": POINTS}
            found = list(self._client.pages("metrics/get-history", "metrics", query, post=False))
            yield KeyPoints(
                key,
                np.array([int(each.get("step", 0)) for each in found], np.int64),
                np.array([int(each.get("timestamp", 0)) * 1000 for each in found], np.int64),
                np.array([double(each.get("value")) for each in found], np.float64),
            )

    def logged(self, experiment: str) -> Iterator[Logged]:
        """See `charkh.bridges.mlflow.exchanged.Source`; a server of MLflow 2 has none."""
        query = {"experiment_ids": [experiment], "max_results": 50}
        try:
            for each in self._client.pages("logged-models/search", "models", query):
                yield _logged(experiment, each)
        except NotFound:
            return

    def registered(self) -> Iterator[Registered]:
        """See `charkh.bridges.mlflow.exchanged.Source`; prompts, which are models with a tag, too."""
        seen: set[str] = set()
        for words in ("", _PROMPTS):
            query: Fields = {"max_results": 100, "filter": words}
            try:
                for each in self._client.pages("registered-models/search", "registered_models", query, post=False):
                    if each["name"] not in seen:
                        seen.add(each["name"])
                        yield self._registered(each)
            except Invalid:
                # A server that knows no prompts may refuse to look for them.
                if not words:
                    raise

    def left(self) -> dict[str, int]:
        """Nothing: a server is not asked for what is not carried."""
        return {}

    def files(self, location: str, owner: str) -> Files | str:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        if scheme_of(location) == PROXY:
            path = unquote(urlsplit(location).path).strip("/")
            return (
                ProxiedFiles(self._client, path)
                if owned_tail(location, owner)
                else "their address is none that MLflow makes for them"
            )
        folder = local_folder(location)
        if folder is not None and not folder.is_dir() and not owner.startswith("m-"):
            # A folder of the server's machine: the server lists and sends what it finds there.
            return (
                RunFiles(self._client, owner)
                if owned_tail(location, owner).endswith("/artifacts")
                else "they are elsewhere"
            )
        return self._places.files(location, owner)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _keys(self, run: MlflowRun) -> list[str]:
        answer = self._client.get("runs/get", {"run_id": run.id, "run_uuid": run.id})
        data = cast(Fields, cast(Fields, answer.get("run") or {}).get("data") or {})
        return [each["key"] for each in cast(list[Fields], data.get("metrics") or [])]

    def _registered(self, each: Fields) -> Registered:
        name = each["name"]
        quoted = f'"{name}"' if "'" in name else f"'{name}'"
        query: Fields = {"filter": f"name={quoted}", "max_results": 1000}
        found: list[Version] = []
        for words in ("", f" and {_PROMPTS}"):
            try:
                asked = {**query, "filter": query["filter"] + words}
                known = {version.number for version in found}
                pages = self._client.pages("model-versions/search", "model_versions", asked, post=False)
                found += [version for version in map(_version, pages) if version.number not in known]
            except CharkhError:
                if not words:
                    raise
        return Registered(
            name=name,
            description=each.get("description", ""),
            created=moment_of(each.get("creation_timestamp")),
            tags=pairs_of(each.get("tags")),
            aliases={alias["alias"]: int(alias["version"]) for alias in cast(list[Fields], each.get("aliases") or [])},
            versions=tuple(sorted(found, key=lambda version: version.number)),
        )


class ProxiedFiles:
    """The files below a path of the artifacts that the server hands out."""

    local = False

    def __init__(self, client: RestClient, path: str) -> None:
        self._client = client
        self._path = path

    def list(self) -> Iterator[FoundFile]:
        """See `charkh.bridges.mlflow.exchanged.Files`."""
        yield from self._below("", 0)

    def take(self, path: str, scratch: Path) -> Path:
        """The content, in a file of `scratch`."""
        target = scratch / "artifact"
        whole = quote(f"{self._path}/{path}")
        self._client.download(f"/api/2.0/mlflow-artifacts/artifacts/{whole}", target)
        return target

    def _below(self, path: str, depth: int) -> Iterator[FoundFile]:
        for each in self._client.listed(f"{self._path}/{path}".rstrip("/")):
            # Base names from MLflow's server, paths from some others.
            name = str(each.get("path", "")).rstrip("/").rpartition("/")[2]
            where = f"{path}/{name}" if path else name
            if name in {"", ".", ".."} or depth > MAX_DEPTH:
                continue
            if each.get("is_dir"):
                yield from self._below(where, depth + 1)
            else:
                yield FoundFile(where, _size(each))


class RunFiles:
    """The files of a run that lie on the server's machine."""

    local = False

    def __init__(self, client: RestClient, run: str) -> None:
        self._client = client
        self._run = run

    def list(self) -> Iterator[FoundFile]:
        """See `charkh.bridges.mlflow.exchanged.Files`."""
        yield from self._below("", 0)

    def take(self, path: str, scratch: Path) -> Path:
        """The content, in a file of `scratch`."""
        target = scratch / "artifact"
        self._client.download("/get-artifact", target, {"run_uuid": self._run, "path": path})
        return target

    def _below(self, path: str, depth: int) -> Iterator[FoundFile]:
        answer = self._client.get("artifacts/list", {"run_id": self._run, "run_uuid": self._run, "path": path})
        for each in cast(list[Fields], answer.get("files") or []):
            where = str(each.get("path", ""))
            if depth > MAX_DEPTH or not where.startswith(f"{path}/" if path else ""):
                continue
            if each.get("is_dir"):
                yield from self._below(where, depth + 1)
            else:
                yield FoundFile(where, _size(each))


def _size(each: Fields) -> int | None:
    size = each.get("file_size")
    return int(size) if isinstance(size, int | str) and str(size).isdecimal() else None


def _run(experiment: str, each: Fields) -> MlflowRun:
    info, data = cast(Fields, each.get("info") or {}), cast(Fields, each.get("data") or {})
    inputs, outputs = cast(Fields, each.get("inputs") or {}), cast(Fields, each.get("outputs") or {})
    tags = pairs_of(data.get("tags"))
    return MlflowRun(
        id=info.get("run_id") or info["run_uuid"],
        experiment=experiment,
        name=tags.get("mlflow.runName", "") or info.get("run_name", ""),
        user=info.get("user_id", ""),
        status=info.get("status", "RUNNING"),
        began=moment_of(info.get("start_time")),
        ended=moment_of(info.get("end_time")) or None,
        deleted=info.get("lifecycle_stage") == "deleted",
        location=info.get("artifact_uri", ""),
        params=pairs_of(data.get("params")),
        tags=tags,
        inputs=tuple(map(_dataset, cast(list[Fields], inputs.get("dataset_inputs") or []))),
        used=tuple(each["model_id"] for each in cast(list[Fields], inputs.get("model_inputs") or [])),
        made={
            each["model_id"]: int(each.get("step", 0))
            for each in cast(list[Fields], outputs.get("model_outputs") or [])
        },
    )


def _dataset(each: Fields) -> DatasetInput:
    data = cast(Fields, each.get("dataset") or {})
    names = ("name", "digest", "source_type", "source", "schema", "profile")
    return DatasetInput(**{name: str(data.get(name, "")) for name in names}, tags=pairs_of(each.get("tags")))


def _logged(experiment: str, each: Fields) -> Logged:
    info, data = cast(Fields, each.get("info") or {}), cast(Fields, each.get("data") or {})
    return Logged(
        id=info["model_id"],
        experiment=experiment,
        name=info.get("name", ""),
        run=info.get("source_run_id", ""),
        type=info.get("model_type", ""),
        created=moment_of(info.get("creation_timestamp_ms")),
        status=_LOGGED_STATUSES.get(info.get("status", ""), "ready"),
        message=info.get("status_message", ""),
        location=info.get("artifact_uri", ""),
        params=pairs_of(data.get("params")),
        tags=pairs_of(info.get("tags")),
        metrics=tuple(
            MeasuredBy(
                run=metric.get("run_id", ""),
                value=Measurement(
                    key=metric["key"],
                    value=double(metric.get("value")),
                    time=int(metric.get("timestamp", 0)),
                    step=int(metric.get("step", 0)),
                    dataset=metric.get("dataset_name", ""),
                    digest=metric.get("dataset_digest", ""),
                ),
            )
            for metric in cast(list[Fields], data.get("metrics") or [])
        ),
    )


def _version(each: Fields) -> Version:
    return Version(
        number=int(each["version"]),
        source=each.get("source", ""),
        run=each.get("run_id", ""),
        logged=each.get("model_id", ""),
        stage=each.get("current_stage", "None"),
        description=each.get("description", ""),
        link=each.get("run_link", ""),
        created=moment_of(each.get("creation_timestamp")),
        tags=pairs_of(each.get("tags")),
    )
