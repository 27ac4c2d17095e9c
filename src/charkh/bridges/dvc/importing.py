"""Import a DVC repository: each state of an output in its history becomes a version, its bytes left in DVC's cache.

Importing again adds only what is new. An object that is missing or damaged costs its version and no other.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from charkh.bridges.contents import Contents
from charkh.bridges.dvc.hashes import DIRECTORY, oid_of
from charkh.bridges.dvc.history import Commit, changed_files, commits, has_git, states
from charkh.bridges.dvc.output_contents import MissingObjects, OutputContents
from charkh.bridges.dvc.repository import (
    DvcRepository,
    Tracked,
    dataset_names,
    files_on_disk,
    open_repository,
    tracked_outputs,
)
from charkh.core.errors import CharkhError
from charkh.core.files import TreeEntry
from charkh.datasets.add_entries import add_entries, say_again
from charkh.datasets.dataset import MAX_MESSAGE, DatasetVersion
from charkh.datasets.index import DatasetVersions
from charkh.workspace.workspace import Workspace

if TYPE_CHECKING:
    from charkh.datasets.sniff import TableShape


class ImportedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version that an import made.

    Attributes:
        ref: `name@number`.
        path: of the output in the repository.
        oid: what DVC calls the content.
        commit: the Git commit that brought it, or empty.
        files: how many.
        size: bytes.
        note: what a person should know, such as why a table came as plain files.
    """

    ref: str
    path: str
    oid: str
    commit: str
    files: int
    size: int
    note: str = ""


class NotImported(msgspec.Struct, frozen=True, kw_only=True):
    """A state that gave no version.

    Attributes:
        path: of the output, or of the file that could not be read.
        oid: what DVC calls the content.
        commit: the Git commit, or empty.
        reason: in words.
        objects: names of the missing objects, at most twenty.
    """

    path: str
    oid: str
    commit: str
    reason: str
    objects: tuple[str, ...] = ()


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did.

    Attributes:
        repository: its root.
        versions: made by this import, in order.
        there: how many states had a version already.
        failed: states without a version.
        names: (path, dataset) where the dataset is not called exactly like the path.
        uncommitted: files that name outputs and differ from the last commit; they were not looked at.
    """

    repository: str
    versions: tuple[ImportedVersion, ...]
    there: int
    failed: tuple[NotImported, ...]
    names: tuple[tuple[str, str], ...]
    uncommitted: tuple[str, ...]


class Step(NamedTuple):
    """One state of one output: where it is, what is said of it, and since which commit."""

    tracked: Tracked
    commit: Commit | None

    @property
    def key(self) -> str:
        """What a version's sources say of it."""
        return f"git {self.commit.id}" if self.commit else f"dvc {oid_label(self.tracked)}"


def import_repository(
    workspace: Workspace,
    path: Path,
    *,
    revision: str = "HEAD",
    history: bool = True,
    only: Sequence[str] = (),
    prefix: str = "",
    copy: bool = False,
    pull: bool = False,
    remote: str = "",
    as_files: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Make versions of what a DVC repository tracks.

    Args:
        workspace: gets the versions.
        path: of the repository, or inside of it.
        revision: up to which the history counts.
        history: every commit; otherwise the working copy as it is.
        only: outputs, or folders of them, relative to the root.
        prefix: before the names of the datasets.
        copy: take the bytes into packs; otherwise they stay in DVC's cache and are read from there.
        pull: get what the cache lacks from the DVC remote, into packs.
        remote: name of that remote; the outputs' own or the default one otherwise.
        as_files: make no tables.
        progress: called with the bytes that were read since the last call.

    Raises:
        NotFound: there is no repository, or no such revision or remote.
        Invalid: its settings cannot be read, or the prefix is no name.
    """
    repository = open_repository(path)
    versioned = history and has_git(repository.root)
    steps, failed = _steps(repository, revision, history=versioned)
    steps = [step for step in steps if _is_wanted(step.tracked.path, only)]
    names = dataset_names({step.tracked.path for step in steps}, prefix)
    importer = _Importer(
        workspace, repository, copy=copy, pull=pull, remote=remote, as_files=as_files, progress=progress
    )
    for step in steps:
        importer.make(step, names[step.tracked.path])
    importer.put_newest_last(steps, names)
    given = [
        (place, name)
        for place, name in sorted(names.items())
        if name != (f"{prefix.strip('/')}/{place}" if prefix else place)
    ]
    return ImportReport(
        repository=str(repository.root),
        versions=tuple(importer.made),
        there=importer.there,
        failed=(*failed, *importer.failed),
        names=tuple(given),
        uncommitted=changed_files(repository.root) if versioned else (),
    )


def oid_label(tracked: Tracked) -> str:
    """What DVC calls an output's content; for a folder whose files stand in the pointer, what they make."""
    output = tracked.output
    if output.oid or not output.files:
        return output.oid
    return oid_of(repr(output.files).encode()) + DIRECTORY


def _steps(repository: DvcRepository, revision: str, *, history: bool) -> tuple[list[Step], list[NotImported]]:
    """The changes of outputs in the order of history."""
    steps: list[Step] = []
    failed: dict[tuple[str, str], NotImported] = {}
    if not history:
        found, unread = tracked_outputs(files_on_disk(repository.root))
        lost = [NotImported(path=path, oid="", commit="", reason=reason) for path, reason in unread]
        return [Step(each, None) for each in found], lost
    last: dict[str, str] = {}
    for state in states(repository.root, commits(repository.root, revision)):
        found, unread = tracked_outputs(state.texts)
        for path, reason in unread:
            text = state.texts[path]
            failed.setdefault((path, text), NotImported(path=path, oid="", commit=state.commit.id, reason=reason))
        for each in found:
            label = oid_label(each)
            if each.path not in state.paths and last.get(each.path) != label:
                last[each.path] = label
                steps.append(Step(each, state.commit))
    return steps, list(failed.values())


def _is_wanted(path: str, only: Sequence[str]) -> bool:
    return not only or any(path == each.rstrip("/") or path.startswith(f"{each.rstrip('/')}/") for each in only)


class _Importer:
    """One import under way."""

    def __init__(
        self,
        workspace: Workspace,
        repository: DvcRepository,
        *,
        copy: bool,
        pull: bool,
        remote: str,
        as_files: bool,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._store = workspace.store
        self._repository = repository
        self._contents = Contents(workspace.vault, copy=copy, progress=progress)
        self._outputs = OutputContents(repository, self._contents, pull=pull, remote=remote)
        self._as_files = as_files
        self._before: dict[str, dict[str, DatasetVersion]] = {}
        self.made: list[ImportedVersion] = []
        self.failed: list[NotImported] = []
        self.there = 0
        self._late: set[str] = set()

    def make(self, step: Step, name: str) -> None:
        """The version of a state, unless there is one."""
        before = self._known(name)
        if step.key in before:
            self.there += 1
            return
        commit = step.commit.id if step.commit else ""
        label = oid_label(step.tracked)
        try:
            with tempfile.TemporaryDirectory(prefix="charkh-dvc-") as folder:
                version, note = self._version(step, name, Path(folder))
        except MissingObjects as error:
            which = f"{step.tracked.path} lacks {error}; `dvc fetch` or --pull gets them"
            lost = tuple(error.oids[:20])
            self.failed.append(
                NotImported(path=step.tracked.path, oid=label, commit=commit, reason=which, objects=lost)
            )
            return
        except CharkhError as error:
            self.failed.append(NotImported(path=step.tracked.path, oid=label, commit=commit, reason=error.message))
            return
        if before:
            self._late.add(name)
        before[step.key] = version
        tree = version.made.tree
        self.made.append(
            ImportedVersion(
                ref=version.ref,
                path=step.tracked.path,
                oid=label,
                commit=commit,
                files=tree.files,
                size=tree.size,
                note=note,
            )
        )

    def put_newest_last(self, steps: Sequence[Step], names: dict[str, str]) -> None:
        """Where an older state came in after a newer one, the newest is said once more, so that it is the latest."""
        last = {names[step.tracked.path]: step for step in steps if step.key in self._known(names[step.tracked.path])}
        for name in sorted(self._late):
            step = last[name]
            version = self._known(name)[step.key]
            newest = max(self._known(name).values(), key=lambda each: each.made.number)
            if newest.made.tree.root != version.made.tree.root:
                say_again(self._store, version)

    def _known(self, name: str) -> dict[str, DatasetVersion]:
        """The versions of a dataset by the state that they were made of."""
        if name not in self._before:
            versions = self._store.queries.ask(DatasetVersions(name=name))
            self._before[name] = {key: each for each in reversed(versions) for key in each.made.sources}
        return self._before[name]

    def _version(self, step: Step, name: str, folder: Path) -> tuple[DatasetVersion, str]:
        entries, places = self._outputs.entries(step.tracked, folder)
        self._contents.settle()
        shape, note = (None, "") if self._as_files else _shape_of(entries, places)
        commit = step.commit
        said = f"{commit.subject} ({commit.author}, {commit.time[:10]})"[:MAX_MESSAGE] if commit else ""
        label = f"dvc {oid_label(step.tracked)}"
        sources = [*([f"git {commit.id}"] if commit else []), label, f"{self._repository.root}:{step.tracked.path}"]
        if step.tracked.output.imported:
            sources.append(step.tracked.output.imported)
        return add_entries(self._store, name, entries, shape=shape, message=said, sources=sources), note


def _shape_of(entries: Sequence[TreeEntry], places: dict[str, Path]) -> "tuple[TableShape | None, str]":
    # Polars is loaded for tables alone.
    from charkh.datasets.dataset import Reading
    from charkh.datasets.formats import format_of
    from charkh.datasets.sniff import TableShape, joined_columns, read_file_shape

    paths = sorted(entry.path for entry in entries)
    if not paths or any(format_of(path) is None for path in paths):
        return None, ""
    try:
        first = read_file_shape(places[paths[0]], paths[0], Reading())
        columns, rows = first.columns, {paths[0]: first.rows}
        for path in paths[1:]:
            shape = read_file_shape(places[path], path, Reading())
            columns = joined_columns(columns, paths[0], shape.columns, path, text=path.endswith(".csv"))
            rows[path] = shape.rows
    except CharkhError as error:
        return None, f"kept as plain files: {error.message}"
    return TableShape(columns, rows), ""
