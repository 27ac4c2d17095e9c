"""The files of runs and logged models, over MLflow's proxied artifact protocol.

A path here is a key that is looked up in the store (`charkh.bridges.mlflow.locations`); nothing on any disk is opened
by it. Bodies go through a file of the store's scratch folder into the vault and are never in memory as a whole.
"""

import mimetypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from charkh.bridges.mlflow.call import Call, Route, Streamed
from charkh.bridges.mlflow.envelope import MISSING, MlflowError, invalid
from charkh.bridges.mlflow.locations import Location, Stored, files_at, locate, run_root
from charkh.bridges.mlflow.registry_shapes import version_of
from charkh.bridges.mlflow.runs import record, run_id
from charkh.bridges.mlflow.service import no_run
from charkh.bridges.mlflow.spans_file import download_spans, take_spans_file
from charkh.bridges.mlflow.trace_shape import known_trace
from charkh.models.log import add_logged_file, find_logged
from charkh.runs.facts import artifact_drafts, removed_draft
from charkh.runs.index import ArtifactsOf
from charkh.runs.run import Artifact

MAX_FILE = 256 * 1024**3
"""Bytes of one uploaded file."""

MAX_LISTED = 10_000
TEXT_SUFFIXES = frozenset(
    {".txt", ".log", ".err", ".cfg", ".conf", ".cnf", ".ini", ".properties", ".prop"}
) | frozenset(
    {
        ".hocon",
        ".toml",
        ".yaml",
        ".yml",
        ".xml",
        ".json",
        ".js",
        ".py",
        ".py3",
        ".csv",
        ".tsv",
        ".md",
        ".rst",
        ".mlmodel",
    }
)


def upload(call: Call) -> None:
    """Keep a file under a path; of two under one path the later shows."""
    location = _located(call, call.path_values["path"])
    if call.upload is None or not location.path:
        raise _bad_path()
    keep_file(call, location, call.upload)


def download(call: Call) -> Streamed:
    """The content of a file."""
    location = _located(call, call.path_values["path"])
    if location.kind == "trace":
        return download_spans(call, location.owner, location.path)
    found = _file_at(call, location)
    if found is None or not location.path:
        raise MlflowError(MISSING, f"No such artifact: '{call.path_values['path']}'")
    name = location.path.rpartition("/")[2]
    return Streamed(
        pieces=call.store.vault.read(found.file),
        length=found.file.size,
        kind=kind_of(name),
        headers=(("content-disposition", f"attachment; filename*=UTF-8''{quote(name)}"),),
    )


def show(call: Call) -> Streamed:
    """The content of a run's file, as links of MLflow's pages ask for it."""
    run, path = run_id(call), safe_path(call.text("path"))
    return download(call._replace(path_values={"path": f"{call.service.state(run).experiment}/{run}/artifacts/{path}"}))


def show_of_version(call: Call) -> Streamed:
    """The content of a registered version's file, as links of MLflow's pages ask for it."""
    path = safe_path(call.text("path"))
    return download(call._replace(path_values={"path": f"versions/{version_of(call).id}/artifacts/{path}"}))


def take(call: Call) -> None:
    """Keep a file of a run, as MLflow's pages send it."""
    named = {name: (call.query.get(name) or [""])[0] for name in ("run_uuid", "path")}
    for name in named:
        if not named[name]:
            raise invalid(f"Request must specify {name}.")
    path = safe_path(named["path"])
    if call.upload is None or not call.upload.stat().st_size:
        raise invalid("Request must specify data.")
    keep_file(call, _located(call, f"0/{named['run_uuid']}/artifacts/{path}"), call.upload)


def list_folder(call: Call) -> dict[str, Any]:
    """What is directly in a folder, by base names; of a file nothing."""
    location = _located(call, call.text("path", ""))
    return {"files": _entries(files_at(call.store, location), location.path)}


def list_of_run(call: Call) -> dict[str, Any]:
    """What is directly in a folder of a run, by paths from the root of its artifacts."""
    run = run_id(call)
    state = call.service.state(run)
    call.permit(state.project, no_run(state.id))
    path = safe_path(call.text("path", ""))
    project = call.service.projects().get(state.experiment)
    location = "" if project is None else project.location
    before = f"{path}/" if path else ""
    entries = _entries(files_at(call.store, Location("run", run, path)), path)
    return {
        "root_uri": run_root(state.experiment, run, location),
        "files": [{**entry, "path": before + entry["path"]} for entry in entries],
    }


def delete(call: Call) -> None:
    """Take away a file, or everything in a folder; a run keeps the bytes until it is deleted for good."""
    location = _located(call, call.path_values["path"])
    if location.kind == "version":
        raise invalid("The files of a registered version never change.")
    gone = files_at(call.store, location)
    if location.kind == "run" and gone:
        record(call.store, *(removed_draft(location.owner, each.path) for each in gone))
    for each in gone if location.kind == "logged" else ():
        add_logged_file(call.store, location.owner, each.path, None)


def keep_file(call: Call, location: Location, source: Path) -> None:
    """Let a file's content stand at a location.

    Raises:
        MlflowError: nothing can be written there.
    """
    if location.kind == "run":
        call.service.active(location.owner)
        record(call.store, *artifact_drafts(call.store, location.owner, location.path, source))
        call.service.recorder.touch(location.owner)
    elif location.kind == "logged":
        file = call.store.vault.put_file(source)
        call.store.vault.flush()
        add_logged_file(call.store, location.owner, location.path, file)
    elif location.kind == "version":
        raise invalid("The files of a registered version never change.")
    elif location.kind == "trace":
        take_spans_file(call, location.owner, location.path, source)
    else:
        raise _bad_path()


def safe_path(path: str) -> str:
    """A path as it is looked up: relative, decoded to the end.

    Raises:
        MlflowError: no path is meant by it.
    """
    decoded = path
    for _ in range(10):
        again = unquote(decoded)
        if again == decoded:
            break
        decoded = again
    if decoded != path and (".." in decoded.split("/") or decoded.startswith("/")):
        raise _bad_path()
    parts = path.strip("/").split("/") if path.strip("/") else []
    if path.startswith("/") or "\\" in decoded or "\0" in decoded or any(part in {"", ".", ".."} for part in parts):
        raise _bad_path()
    if any("%2e" in part.lower() or "%2f" in part.lower() or "%5c" in part.lower() for part in parts):
        raise _bad_path()
    return "/".join(parts)


def kind_of(name: str) -> str:
    """The media type of a file, as MLflow's server says it: what people read is plain text."""
    suffix = Path(name).suffix.lower()
    if suffix in TEXT_SUFFIXES or name in {"MLmodel", "MLproject"}:
        return "text/plain"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def located(call: Call, path: str) -> Location:
    """What a path behind `mlflow-artifacts/…/` means, where the caller may go there.

    Raises:
        MlflowError: no path is meant, or what it belongs to is not there.
    """
    return _located(call, path)


def _located(call: Call, path: str) -> Location:
    location = locate(safe_path(path))
    if location is None:
        raise _bad_path()
    if location.kind == "run":
        call.permit(call.service.state(location.owner).project, no_run(location.owner))
    elif location.kind == "trace":
        known_trace(call, location.owner)
    elif location.kind == "logged":
        project = call.service.projects().get(find_logged(call.store, location.owner).made.project or "0")
        call.permit("" if project is None else project.name)
    return location


def _file_at(call: Call, location: Location) -> Artifact | Stored | None:
    """The file that stands exactly there."""
    if location.kind == "run" and location.path:
        return next(iter(call.store.queries.ask(ArtifactsOf(run=location.owner, path=location.path))), None)
    return next((each for each in files_at(call.store, location) if each.path == location.path), None)


def _entries(files: Iterable[Stored], path: str) -> list[dict[str, Any]]:
    before = f"{path}/" if path else ""
    folders: set[str] = set()
    entries: list[dict[str, Any]] = []
    for each in files:
        if not each.path.startswith(before):
            continue
        name, slash, _ = each.path.removeprefix(before).partition("/")
        if slash:
            folders.add(name)
        else:
            entries.append({"path": name, "is_dir": False, "file_size": each.file.size})
    entries += [{"path": name, "is_dir": True} for name in folders]
    return sorted(entries, key=lambda entry: entry["path"])[:MAX_LISTED]


def _bad_path() -> MlflowError:
    return invalid("Invalid path")


ROUTES = (
    Route("PUT", "/mlflow-artifacts/artifacts/{path...}", upload, "writer", body="file", limit=MAX_FILE),
    Route("GET", "/mlflow-artifacts/artifacts/{path...}", download, "reader"),
    Route("GET", "/mlflow-artifacts/artifacts", list_folder, "reader"),
    Route("DELETE", "/mlflow-artifacts/artifacts/{path...}", delete, "writer"),
    Route("GET", "/mlflow/artifacts/list", list_of_run, "reader"),
    Route("GET", "/get-artifact", show, "reader", versions=()),
    Route("GET", "/model-versions/get-artifact", show_of_version, "reader", versions=()),
    Route("POST", "/mlflow/upload-artifact", take, "writer", body="file", limit=MAX_FILE),
)
