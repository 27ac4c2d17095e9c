"""Where artifacts lie in MLflow's namespace, and which files of the store a path there means.

    PROJECT/RUN/artifacts/PATH                 a file of a run
    PROJECT/models/LOGGED/artifacts/PATH       a file of a logged model
    PROJECT/traces/TRACE/artifacts/traces.json the spans of a trace, as clients before 3.4 upload them
    versions/VERSION/artifacts/PATH            a file of a registered version, whatever has become of its run

A path is a key that is looked up; nothing on any disk is opened by it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from charkh.core.files import FileRef
from charkh.core.ids import ID_PATTERN
from charkh.core.refs import is_safe_path
from charkh.models.index import ModelById
from charkh.models.logged import ID_PATTERN as LOGGED_PATTERN
from charkh.models.logged_index import LoggedFiles
from charkh.ports.store import Store
from charkh.runs.index import ArtifactsOf

SCHEME = "mlflow-artifacts:/"
_TRACE = re.compile(r"tr-[0-9a-f]{32}")
_RUN = re.compile(r"[0-9a-f]{32}")


class Location(NamedTuple):
    """What a path in the namespace means.

    Attributes:
        kind: `run`, `logged`, `trace` or `version`; `folder` for a path above them.
        owner: id of the run, logged model, trace or version; of a folder the path itself.
        path: inside of it; empty for its root.
    """

    kind: str
    owner: str
    path: str


class Stored(NamedTuple):
    """A file at a location; `at` is seconds since the epoch, or 0."""

    path: str
    file: FileRef
    at: float = 0.0


def run_root(project: str, run: str, root: str = "") -> str:
    """Where a run's artifacts are said to lie; `root` is its project's own location, if it has one."""
    return f"{_root(project, root)}/{run}/artifacts"


def logged_root(project: str, logged: str, root: str = "") -> str:
    """Where a logged model's artifacts are said to lie."""
    return f"{_root(project, root)}/models/{logged}/artifacts"


def version_root(version: str) -> str:
    """Where a registered version's files are always found."""
    return f"{SCHEME}versions/{version}/artifacts"


def _root(project: str, root: str) -> str:
    return root.rstrip("/") if root else f"{SCHEME}{project or '0'}"


def locate(path: str) -> Location | None:
    """What a decoded path behind `mlflow-artifacts/artifacts/` means; None where no such path can be."""
    clean = path.strip("/")
    if not clean:
        return Location("folder", "", "")
    if not is_safe_path(clean):
        return None
    parts = clean.split("/")
    for place in range(1, len(parts)):
        if parts[place] != "artifacts":
            continue
        owner, before, rest = parts[place - 1], parts[: place - 1], "/".join(parts[place + 1 :])
        if before[-1:] == ["models"] and LOGGED_PATTERN.fullmatch(owner):
            return Location("logged", owner, rest)
        if before[-1:] == ["traces"] and _TRACE.fullmatch(owner):
            return Location("trace", owner, rest)
        if before == ["versions"] and ID_PATTERN.fullmatch(owner):
            return Location("version", owner, rest)
        if before and _RUN.fullmatch(owner):
            return Location("run", owner, rest)
    return Location("folder", clean, "")


def files_at(store: Store, location: Location) -> list[Stored]:
    """The files at or below a location, with paths from its owner's root; none for a folder above them."""
    if location.kind == "run":
        files = [Stored(each.path, each.file, each.at) for each in store.queries.ask(ArtifactsOf(run=location.owner))]
    elif location.kind == "logged":
        found = store.queries.ask(LoggedFiles(logged=location.owner))
        files = [Stored(each.path, each.file, each.at) for each in found]
    elif location.kind == "version":
        version = store.queries.ask(ModelById(version=location.owner))
        if version is None or version.made.elsewhere or version.deleted is not None:
            return []
        entries = store.vault.entries(version.made.tree.root)
        files = [Stored(entry.path, entry.file, version.created) for entry in entries]
    else:
        return []
    if not location.path:
        return files
    below = location.path + "/"
    return [each for each in files if each.path == location.path or each.path.startswith(below)]


def children(files: Sequence[Stored], path: str) -> list[tuple[str, int | None]]:
    """Files and folders directly below `path`, by whole path; a file's size in bytes, None for a folder.

    Nothing where `path` is a file: clients tell files from folders by that.
    """
    below = f"{path}/" if path else ""
    found: dict[str, int | None] = {}
    for each in files:
        if not each.path.startswith(below):
            continue
        name, slash, _ = each.path.removeprefix(below).partition("/")
        found[below + name] = None if slash else each.file.size
    return sorted(found.items())
