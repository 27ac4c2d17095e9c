"""Send a selection to an MLflow server over its REST API, which works for every backend that it may have.

The server gives ids of its own, so that what is sent carries the id that it has here as a tag; what carries one already
is not sent again, and of a run that is there only what is new.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from charkh.bridges.mlflow.exchanged import Experiment, KeyPoints, Logged, MlflowRun, Registered, Version
from charkh.bridges.mlflow.exporting.mlmodel_folder import version_files
from charkh.bridges.mlflow.exporting.names import fits
from charkh.bridges.mlflow.exporting.report import ExportTally
from charkh.bridges.mlflow.exporting.selection import Selection, VaultFiles
from charkh.bridges.mlflow.importing.logged import LOGGED_TAG
from charkh.bridges.mlflow.importing.places import PROXY, scheme_of
from charkh.bridges.mlflow.importing.registry import VERSION_TAG
from charkh.bridges.mlflow.importing.runs import RUN_TAG
from charkh.bridges.mlflow.importing.server import ServerStore
from charkh.bridges.mlflow.rest_client import RestClient
from charkh.bridges.mlflow.run_shape import PARENT, RUN_NAME
from charkh.bridges.mlflow.runs import ENDS
from charkh.core.errors import CharkhError, Conflict, NotFound, Unavailable
from charkh.workspace.workspace import Workspace

METRICS = 1000
TEXTS = 100
_STATUSES = {"ready": "LOGGED_MODEL_READY", "failed": "LOGGED_MODEL_UPLOAD_FAILED"}

Fields = dict[str, Any]


def send(workspace: Workspace, selection: Selection, address: str, tally: ExportTally) -> None:
    """Send everything that is selected.

    Raises:
        Unavailable: the server does not answer; a second export goes on.
        Denied: it refuses the credentials.
    """
    client = RestClient(address)
    there = ServerStore(address)
    try:
        _Sender(workspace, selection, client, there, tally).send()
    finally:
        there.close()
        client.close()


class _Sender:
    def __init__(
        self, workspace: Workspace, selection: Selection, client: RestClient, there: ServerStore, tally: ExportTally
    ) -> None:
        self._store = workspace.store
        self._selection = selection
        self._client = client
        self._there = there
        self._tally = tally
        self._ids: dict[str, str] = {}
        self._experiments: dict[str, str] = {}

    def send(self) -> None:
        for experiment in self._selection.experiments():
            identifier = self._experiment(experiment)
            if identifier is not None:
                self._content(experiment, identifier)
        for model in self._selection.registered():
            try:
                self._model(model)
            except CharkhError as error:
                self._tell(f"model {model.name}", error)

    def _experiment(self, experiment: Experiment) -> str | None:
        try:
            found = self._client.get("experiments/get-by-name", {"experiment_name": experiment.name})["experiment"]
        except NotFound:
            tags = _pairs(experiment.tags)
            answer = self._client.post("experiments/create", {"name": experiment.name, "tags": tags}, again=False)
            self._tally.done("experiment")
            return str(answer["experiment_id"])
        if found.get("lifecycle_stage") == "deleted":
            self._tally.left("experiment", f"{experiment.name!r} is deleted there")
            return None
        self._tally.there("experiment")
        for key, value in experiment.tags.items():
            self._client.post(
                "experiments/set-experiment-tag",
                {"experiment_id": found["experiment_id"], "key": key, "value": value},
            )
        return str(found["experiment_id"])

    def _content(self, experiment: Experiment, identifier: str) -> None:
        self._experiments[experiment.id] = identifier
        known: dict[str, MlflowRun] = {}
        for each in self._there.runs(identifier):
            known[each.id] = known[each.tags.get(RUN_TAG, each.id)] = each
        deleted: list[str] = []
        for run in self._selection.runs(experiment.id):
            try:
                there = known.get(run.id)
                sent = self._run(run, identifier, there)
                if run.deleted and (there is None or not there.deleted):
                    deleted.append(sent)
            except CharkhError as error:
                self._tell(f"run {run.id}", error)
        self._logged_models(experiment, identifier)
        for sent in deleted:
            self._client.post("runs/delete", {"run_id": sent})
        if experiment.deleted:
            self._client.post("experiments/delete", {"experiment_id": identifier})

    def _run(self, run: MlflowRun, experiment: str, there: MlflowRun | None) -> str:
        tags = {key: value for key, value in run.tags.items() if key not in {RUN_NAME, RUN_TAG}}
        if PARENT in tags:
            tags[PARENT] = self._ids.get(tags[PARENT], tags[PARENT])
        tags = self._sound(tags, run.id)
        if there is None:
            there = self._created(run, experiment, tags)
            self._tally.done("run")
        else:
            self._ids[run.id] = there.id
            self._tally.there("run")
            if there.deleted:
                return there.id
            self._batches(there.id, "tags", _pairs({k: v for k, v in tags.items() if there.tags.get(k) != v}), TEXTS)
        params = {key: value for key, value in self._sound(run.params, run.id).items() if key not in there.params}
        self._batches(there.id, "params", _pairs(params), TEXTS)
        self._points(run, there)
        known = {(each.name, each.digest) for each in there.inputs}
        datasets = [_dataset(each) for each in run.inputs if (each.name, each.digest) not in known]
        if datasets:
            self._client.post("runs/log-inputs", {"run_id": there.id, "datasets": datasets})
            self._tally.done("dataset input", len(datasets))
        self._files(self._selection.files("", run.id), there.location, there.id)
        if run.status in ENDS and there.status != run.status:
            ended = {} if run.ended is None else {"end_time": _milliseconds(run.ended)}
            self._client.post("runs/update", {"run_id": there.id, "status": run.status, **ended})
        return there.id

    def _created(self, run: MlflowRun, experiment: str, tags: dict[str, str]) -> MlflowRun:
        body = {
            "experiment_id": experiment,
            "user_id": run.user,
            "run_name": run.name,
            "start_time": _milliseconds(run.began),
            "tags": _pairs({**tags, RUN_TAG: run.id}),
        }
        info = cast(Fields, self._client.post("runs/create", body, again=False)["run"]["info"])
        self._ids[run.id] = info["run_id"]
        return MlflowRun(id=info["run_id"], experiment=experiment, location=info.get("artifact_uri", ""))

    def _points(self, run: MlflowRun, there: MlflowRun) -> None:
        known = {each.key: set(_rows(each)) for each in self._there.points(there)} if there.began else {}
        items: list[Fields] = []
        for points in self._selection.points(run):
            key = points.key
            rows = list(_rows(points))
            new = [row for row in rows if row not in known.get(key, ())]
            self._tally.done("point", len(new))
            self._tally.there("point", len(rows) - len(new))
            items += [{"key": key, "timestamp": time, "step": step, "value": value} for time, step, value in new]
        self._batches(there.id, "metrics", items, METRICS)

    def _sound(self, texts: Mapping[str, str], run: str) -> dict[str, str]:
        for key in texts:
            if not fits(key):
                self._tally.left("name", f"MLflow takes no such name: {key[:80]!r} of run {run}")
        return {key: value for key, value in texts.items() if fits(key)}

    def _batches(self, run: str, field: str, items: list[Fields], size: int) -> None:
        for start in range(0, len(items), size):
            self._client.post("runs/log-batch", {"run_id": run, field: items[start : start + size]})

    def _logged_models(self, experiment: Experiment, identifier: str) -> None:
        models = list(self._selection.logged(experiment.id))
        if not models:
            return
        known: dict[str, Logged] = {}
        for each in self._there.logged(identifier):
            known[each.id] = known[each.tags.get(LOGGED_TAG, each.id)] = each
        for model in models:
            try:
                self._logged_model(model, identifier, known.get(model.id))
            except NotFound:
                self._tally.left("logged model", "this server is of MLflow 2, which has none")
            except CharkhError as error:
                self._tell(f"model {model.id}", error)

    def _logged_model(self, model: Logged, experiment: str, there: Logged | None) -> None:
        if there is not None:
            self._ids[model.id] = there.id
            self._tally.there("logged model")
            return
        body = {
            "experiment_id": experiment,
            "name": model.name,
            "model_type": model.type,
            "source_run_id": self._ids.get(model.run, model.run),
            "params": _pairs(model.params)[:TEXTS],
            "tags": _pairs({**model.tags, LOGGED_TAG: model.id}),
        }
        identifier = self._new_logged(body, self._selection.files("", model.id), model.status)
        self._ids[model.id] = identifier
        params = _pairs(model.params)
        for start in range(TEXTS, len(params), TEXTS):
            self._client.post(f"logged-models/{identifier}/params", {"params": params[start : start + TEXTS]})
        self._tally.done("logged model")
        if model.run in self._ids:
            linked = [{"model_id": identifier, "step": 0}]
            self._client.post("runs/outputs", {"run_id": self._ids[model.run], "models": linked})

    def _new_logged(self, body: Fields, files: VaultFiles | dict[str, bytes], status: str) -> str:
        body = {key: value for key, value in body.items() if value not in ("", [])}
        info = cast(Fields, self._client.post("logged-models", body, again=False)["model"]["info"])
        identifier = info["model_id"]
        self._files(files, info.get("artifact_uri", ""), identifier)
        if status in _STATUSES:
            self._client.post(
                f"logged-models/{identifier}",
                {"model_id": identifier, "status": _STATUSES[status]},
                method="PATCH",
            )
        return identifier

    def _files(self, files: VaultFiles | dict[str, bytes], location: str, owner: str) -> None:
        listed = (
            [(each.path, each.size) for each in files.list()]
            if isinstance(files, VaultFiles)
            else [(path, len(data)) for path, data in files.items()]
        )
        if not listed:
            return
        if scheme_of(location) != PROXY:
            self._tally.left(
                "artifact",
                "the server hands out no artifacts (--serve-artifacts)",
                len(listed),
            )
            return
        root = unquote(urlsplit(location).path).strip("/")
        there = self._there.files(location, owner)
        known = {} if isinstance(there, str) else {each.path: each.size for each in there.list()}
        for path, size in listed:
            if known.get(path) == size:
                self._tally.there("artifact")
                continue
            pieces: Iterator[bytes] = files.read(path) if isinstance(files, VaultFiles) else iter([files[path]])
            self._client.upload(f"{root}/{path}", pieces, size or 0)
            self._tally.done("artifact")

    def _model(self, model: Registered) -> None:
        body: Fields = {"name": model.name, "tags": _pairs(model.tags), "description": model.description}
        try:
            self._client.post("registered-models/create", body, again=False)
            self._tally.done("registered model")
        except Conflict:
            self._tally.there("registered model")
        there = next((each for each in self._there.registered() if each.name == model.name), None)
        known = {each.tags.get(VERSION_TAG, ""): each for each in there.versions} if there is not None else {}
        at = {(round(each.created, 3), each.source): each for each in there.versions} if there is not None else {}
        numbers: dict[int, int] = {}
        for version in model.versions:
            found = known.get(version.tags[VERSION_TAG]) or at.get((round(version.created, 3), version.source))
            if found is not None:
                numbers[version.number] = found.number
                self._tally.there("version")
                continue
            numbers[version.number] = self._version(model.name, version)
            self._tally.done("version")
            if numbers[version.number] != version.number:
                self._tally.left("version number", f"{model.name} {version.number} is {numbers[version.number]} there")
        for alias, number in model.aliases.items():
            if there is None or alias not in there.aliases:
                body = {"name": model.name, "alias": alias, "version": str(numbers[number])}
                self._client.post("registered-models/alias", body)
                self._tally.done("alias")

    def _version(self, name: str, version: Version) -> int:
        made = self._selection.version(name, version.number)
        run, logged, source = self._ids.get(version.run, ""), self._ids.get(version.logged, ""), version.source
        if not logged and not made.made.elsewhere:
            experiment = self._experiments.get("0") or next(iter(self._experiments.values()), "0")
            logged = self._new_logged(
                {"experiment_id": experiment, "name": _plain(name), "source_run_id": run},
                version_files(self._store, made),
                "ready",
            )
        body: Fields = {
            "name": name,
            "source": f"models:/{logged}" if logged else source,
            "run_id": run,
            "model_id": logged,
            "description": version.description,
            "tags": _pairs(version.tags),
            "run_link": version.link,
        }
        answer = self._client.post(
            "model-versions/create", {key: value for key, value in body.items() if value}, again=False
        )
        number = int(answer["model_version"]["version"])
        if version.stage not in {"", "None"}:
            self._client.post(
                "model-versions/transition-stage", {"name": name, "version": str(number), "stage": version.stage}
            )
        return number

    def _tell(self, where: str, error: CharkhError) -> None:
        if isinstance(error, Unavailable) and error.code == "mlflow.unreachable":
            raise error
        self._tally.tell(where, error.message)


def _rows(points: KeyPoints) -> Iterator[tuple[int, int, float | str]]:
    columns = (points.times.tolist(), points.steps.tolist(), points.values.tolist())
    for time, step, value in zip(*columns, strict=True):
        yield time // 1000, step, "NaN" if math.isnan(value) else max(-_MAX, min(_MAX, value))


_MAX = 1.7976931348623157e308
"""What MLflow's server makes of infinities."""


def _pairs(texts: Mapping[str, str]) -> list[Fields]:
    return [{"key": key, "value": value} for key, value in texts.items()]


def _dataset(data: Any) -> Fields:
    names = ("name", "digest", "source_type", "source", "schema", "profile")
    dataset = {name: getattr(data, name) for name in names if getattr(data, name)}
    return {"dataset": dataset, "tags": _pairs(data.tags)}


def _plain(name: str) -> str:
    """A name that a logged model may have."""
    return re.sub(r"[/:.%\"']", "-", name)


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)
