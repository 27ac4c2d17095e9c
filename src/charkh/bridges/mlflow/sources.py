"""Where a model version is said to come from: an address of ours is looked up, any other is kept as text.

Nothing here opens, resolves or dials what a client wrote. The checks do not depend on tags or on the caller.
"""

import re
import unicodedata
from typing import NamedTuple
from urllib.parse import unquote_plus

from charkh.bridges.mlflow.envelope import MlflowError, invalid
from charkh.bridges.mlflow.locations import SCHEME, Stored, files_at, locate, logged_root, version_root
from charkh.core.errors import CharkhError, NotFound
from charkh.core.ids import ID_PATTERN
from charkh.models.declare import find_model
from charkh.models.find import find
from charkh.models.logged import ID_PATTERN as LOGGED_PATTERN
from charkh.models.logged import LoggedModel
from charkh.models.logged_index import LoggedById
from charkh.models.model import ModelVersion
from charkh.ports.store import Store
from charkh.runs.projects import find_project

MAX_SOURCE = 8000
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(.*)", re.DOTALL)
_LABEL = re.compile(r"[A-Za-z0-9_][\w\-]*")
_LOCAL = {"file", "data", "javascript"}


class Source(NamedTuple):
    """What a source turned out to be.

    Attributes:
        files: what lies there, with paths from its root; none where it is not ours or holds nothing.
        run: id of the run that it belongs to, or empty.
        logged: id of the logged model that it is, or empty.
    """

    files: tuple[Stored, ...] = ()
    run: str = ""
    logged: str = ""


def read_source(store: Store, source: str, run: str, logged: str) -> Source:
    """What a client named as the source of a version.

    Args:
        store: in which addresses of ours are looked up.
        source: as it was written.
        run: id of the run that the client names beside it, or empty.
        logged: id of the logged model that the client names beside it, or empty.

    Raises:
        MlflowError: a path of some machine, an address that could be read in two ways, or one that belongs to
            another run or model than the one named.
    """
    check_source(source, run, logged)
    # The model that is named must be there, whatever the source says.
    named = _logged(store, logged) if logged else None
    match = _ADDRESS.fullmatch(source)
    scheme, rest = (match.group(1), match.group(2)) if match else ("", source)
    if scheme == "runs":
        return _of_run(store, source, rest.strip("/"), run)
    if scheme == "models":
        return _of_model(store, source, rest.strip("/"), logged)
    if scheme == SCHEME.partition(":")[0] and not rest.startswith("//"):
        return _of_artifacts(store, source, rest, run, logged)
    return Source(run=named.made.run if named else "", logged=logged if named else "")


def check_source(source: str, run: str, logged: str) -> None:
    """Refuse what could mean a file of this machine, or what two readers would read differently.

    Raises:
        MlflowError: it does.
    """
    match = _ADDRESS.fullmatch(source)
    local = match is None or match.group(1).lower() in _LOCAL or len(match.group(1)) == 1
    if local and not _LABEL.fullmatch(source):
        what = "model" if logged and not run else "run"
        raise invalid(
            f"Invalid model version source: '{source[:200]}'. To use a local path as a model version source, the "
            f"{what}_id request parameter has to be specified and the local path has to be contained within the "
            f"artifact directory of the run specified by the {what}_id."
        )
    plain = source
    for _ in range(4):
        if (decoded := unquote_plus(plain)) == plain:
            break
        plain = decoded
    odd = any(unicodedata.category(each) in {"Cc", "Cf", "Cs"} or each in "\\#?;%" for each in source)
    if odd or len(source) > MAX_SOURCE or any(part in {".", ".."} for part in re.split(r"[/\\]", plain)):
        raise invalid(
            f"Invalid model version source: '{source[:200]}'. If supplying a source as an http, https, local file "
            "path, ftp, objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path "
            "references present. Please provide an absolute path."
        )


def download_uri(store: Store, version: ModelVersion, *, copies: int = 8) -> str:
    """Where a client finds the files of a version.

    An address of the run, logged model or version that they came from while the files are there, so that clients see
    what they know; the version's own afterwards, for it keeps its bytes.

    Args:
        store: in which addresses are looked up.
        version: whose files are wanted.
        copies: how many versions that were copied from one another are gone through.
    """
    made = version.made
    address = _ADDRESS.fullmatch(made.source)
    scheme, rest = (address.group(1), address.group(2).strip("/")) if address else ("", "")
    head, _, path = rest.partition("/")
    if scheme == "models" and made.logged:
        model = store.queries.ask(LoggedById(logged=made.logged))
        if model is not None and model.deleted is None:
            return logged_root(model.made.project, made.logged, root_of(store, model.made.project))
    elif scheme == "models" and copies:
        try:
            return download_uri(store, _version_at(store, rest), copies=copies - 1)
        except CharkhError:
            # It was renamed or deleted since: this version has bytes of its own, or it never had any.
            pass
    elif scheme in {"runs", SCHEME.partition(":")[0]} and not made.elsewhere:
        location = locate(f"0/{head}/artifacts/{path}" if scheme == "runs" else rest)
        if location is not None and files_at(store, location):
            return made.source
    return made.source if made.elsewhere else version_root(version.id)


def root_of(store: Store, project: str) -> str:
    """The location that was given for a project, or empty."""
    try:
        return find_project(store, project or "0").location
    except NotFound:
        # What was synchronised without its project lies where everything lies.
        return ""


def _of_run(store: Store, source: str, rest: str, named: str) -> Source:
    run, _, path = rest.partition("/")
    if not ID_PATTERN.fullmatch(run):
        # No run of ours: there is nothing that it could lay hands on, and it stays text.
        return Source(run=named or run)
    if named and named != run:
        raise invalid(
            f"Invalid model version source: '{source[:200]}'. The run in a runs:/ source has to be the one that the "
            "run_id request parameter specifies."
        )
    location = locate(f"0/{run}/artifacts/{path}")
    files = files_at(store, location) if location is not None and location.kind == "run" else []
    return Source(_relative(files, path), run=run)


def _of_model(store: Store, source: str, rest: str, named: str) -> Source:
    head, _, path = rest.partition("/")
    if LOGGED_PATTERN.fullmatch(head):
        if named and named != head:
            raise invalid(
                f"Invalid model version source: '{source[:200]}'. The model in a models:/ source has to be the one "
                "that the model_id request parameter specifies."
            )
        model = _logged(store, head)
        location = locate(f"0/models/{head}/artifacts/{path}")
        files = files_at(store, location) if location is not None else []
        return Source(_relative(files, path), run=model.made.run, logged=head)
    try:
        version = _version_at(store, rest)
    except CharkhError as error:
        raise invalid(
            f"Unable to fetch model from model URI source artifact location '{source[:200]}'. Error: {error.message}"
        ) from error
    location = locate(f"versions/{version.id}/artifacts")
    files = files_at(store, location) if location is not None else []
    return Source(tuple(files), run=version.made.run, logged=version.made.logged)


def _version_at(store: Store, rest: str) -> ModelVersion:
    """The version that `NAME/NUMBER` or `NAME@ALIAS` means."""
    name, at, alias = rest.partition("@")
    if not at:
        name, _, alias = rest.rpartition("/")
    return find(store, f"{find_model(store, name).name}@{alias}")


def _of_artifacts(store: Store, source: str, rest: str, run: str, logged: str) -> Source:
    location = locate(re.sub("/+", "/", rest))
    if location is None:
        raise invalid(f"Invalid model version source: '{source[:200]}'.")
    if location.kind == "run" and run and location.owner != run:
        raise invalid(
            f"Invalid model version source: '{source[:200]}'. It lies in the artifacts of another run than the one "
            "that the run_id request parameter specifies."
        )
    if location.kind == "logged":
        if logged and location.owner != logged:
            raise invalid(
                f"Invalid model version source: '{source[:200]}'. It lies in the artifacts of another model than the "
                "one that the model_id request parameter specifies."
            )
        logged = location.owner
        run = run or _logged(store, logged).made.run
    if location.kind == "run":
        run = location.owner
    return Source(_relative(files_at(store, location), location.path), run=run, logged=logged)


def _relative(files: list[Stored], path: str) -> tuple[Stored, ...]:
    """The files with paths from `path`; one that is `path` itself keeps its name."""
    below = f"{path.strip('/')}/" if path.strip("/") else ""
    return tuple(
        each._replace(path=each.path.removeprefix(below) if each.path.startswith(below) else each.path.split("/")[-1])
        for each in files
    )


def _logged(store: Store, identifier: str) -> LoggedModel:
    model = store.queries.ask(LoggedById(logged=identifier))
    if model is None or model.deleted is not None:
        raise MlflowError("RESOURCE_DOES_NOT_EXIST", f"Logged model with ID '{identifier}' not found.")
    return model
