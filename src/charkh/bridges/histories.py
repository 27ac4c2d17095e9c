"""What imports of histories share: a state becomes a version once, a bad one costs itself alone, and all is told."""

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from charkh.core.errors import CharkhError
from charkh.core.files import TreeEntry
from charkh.datasets.add_entries import add_entries, say_again
from charkh.datasets.dataset import MAX_MESSAGE, DatasetVersion
from charkh.datasets.index import DatasetVersions
from charkh.ports.store import Store

if TYPE_CHECKING:
    from charkh.datasets.sniff import TableShape

SHOWN = 20


class ImportedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version that an import made.

    Attributes:
        ref: `name@number`.
        path: in the repository.
        oid: what the other tool calls the content.
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
        path: of what has this state, or of the file that could not be read.
        oid: what the other tool calls the content.
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
        uncommitted: files with changes that no commit has; they were not looked at.
    """

    repository: str
    versions: tuple[ImportedVersion, ...]
    there: int
    failed: tuple[NotImported, ...]
    names: tuple[tuple[str, str], ...]
    uncommitted: tuple[str, ...]


class Brought(NamedTuple):
    """The files of a state, and where each lies on disk, by path."""

    entries: Sequence[TreeEntry]
    places: Mapping[str, Path]


class State(NamedTuple):
    """One state of something that another tool tracks.

    Attributes:
        name: of the dataset that it becomes a version of.
        path: where it is there.
        label: what the other tool calls its content, such as `dvc 1f3a…`.
        commit: the Git commit that brought it, or empty.
        message: what a person said of it.
        sources: where it comes from, beside the commit and the label.
        bring: gets its files; it may put some into the folder that it is given.
    """

    name: str
    path: str
    label: str
    commit: str
    message: str
    sources: Sequence[str]
    bring: Callable[[Path], Brought]

    @property
    def key(self) -> str:
        """What a version's sources say of the state that it was made of."""
        return f"git {self.commit}" if self.commit else self.label


class MissingObjects(Exception):
    """Objects that are not here; the text says how to get them."""

    def __init__(self, oids: Sequence[str], how: str) -> None:
        super().__init__(f"{'1 object is' if len(oids) == 1 else f'{len(oids):,} objects are'} missing; {how}")
        self.oids = oids


class HistoryImport:
    """One import under way.

    Args:
        store: gets the versions.
        as_files: make no tables.

    Attributes:
        made: versions that came of it, in order.
        failed: states that gave none.
        there: how many states had a version already.
    """

    def __init__(self, store: Store, *, as_files: bool = False) -> None:
        self._store, self._as_files = store, as_files
        self._before: dict[str, dict[str, DatasetVersion]] = {}
        self._late: set[str] = set()
        self.made: list[ImportedVersion] = []
        self.failed: list[NotImported] = []
        self.there = 0

    def make(self, state: State) -> None:
        """The version of a state, unless there is one."""
        before = self._known(state.name)
        if state.key in before:
            self.there += 1
            if not state.commit:
                self._say_last(state.name, before[state.key])
            return
        oid = state.label.partition(" ")[2]
        try:
            with tempfile.TemporaryDirectory(prefix="charkh-import-") as folder:
                version, note = self._version(state, Path(folder))
        except (MissingObjects, CharkhError) as error:
            missing = tuple(error.oids[:SHOWN]) if isinstance(error, MissingObjects) else ()
            reason = error.message if isinstance(error, CharkhError) else str(error)
            self.failed.append(
                NotImported(path=state.path, oid=oid, commit=state.commit, reason=reason, objects=missing)
            )
            return
        if before:
            self._late.add(state.name)
        before[state.key] = version
        tree = version.made.tree
        self.made.append(
            ImportedVersion(
                ref=version.ref,
                path=state.path,
                oid=oid,
                commit=state.commit,
                files=tree.files,
                size=tree.size,
                note=note,
            )
        )

    def put_newest_last(self, states: Iterable[State]) -> None:
        """Where an older state came in after a newer one, the newest is said once more, so that it is the latest."""
        last = {state.name: state.key for state in states if state.key in self._known(state.name)}
        for name in sorted(self._late):
            self._say_last(name, self._known(name)[last[name]])

    def contents(self, states: Iterable[State]) -> set[str]:
        """The digests of all files that the versions of these states hold."""
        known = (self._known(state.name).get(state.key) for state in states)
        roots = {version.made.tree.root for version in known if version is not None}
        return {entry.file.digest for root in sorted(roots) for entry in self._store.vault.entries(root)}

    def _say_last(self, name: str, version: DatasetVersion) -> None:
        newest = max(self._known(name).values(), key=lambda each: each.made.number)
        if newest.made.tree.root != version.made.tree.root:
            said = say_again(self._store, version)
            self._known(name).update(dict.fromkeys(said.made.sources, said))

    def _known(self, name: str) -> dict[str, DatasetVersion]:
        """The versions of a dataset by the state that they were made of."""
        if name not in self._before:
            versions = self._store.queries.ask(DatasetVersions(name=name))
            self._before[name] = {key: each for each in reversed(versions) for key in each.made.sources}
        return self._before[name]

    def _version(self, state: State, folder: Path) -> tuple[DatasetVersion, str]:
        brought = state.bring(folder)
        shape, note = (None, "") if self._as_files else _shape_of(brought)
        sources = [*([f"git {state.commit}"] if state.commit else []), state.label, *state.sources]
        version = add_entries(
            self._store,
            state.name,
            brought.entries,
            shape=shape,
            message=state.message[:MAX_MESSAGE],
            sources=sources,
        )
        return version, note


def _shape_of(brought: Brought) -> "tuple[TableShape | None, str]":
    """The table that the files make, or None and, where their names promise one, why there is none."""
    # Polars is loaded for tables alone.
    from charkh.datasets.dataset import Reading
    from charkh.datasets.formats import format_of
    from charkh.datasets.sniff import TableShape, joined_columns, read_file_shape

    paths = sorted(entry.path for entry in brought.entries)
    if not paths or any(format_of(path) is None for path in paths):
        return None, ""
    try:
        first = read_file_shape(brought.places[paths[0]], paths[0], Reading())
        columns, rows = first.columns, {paths[0]: first.rows}
        for path in paths[1:]:
            shape = read_file_shape(brought.places[path], path, Reading())
            columns = joined_columns(columns, paths[0], shape.columns, path, text=path.endswith(".csv"))
            rows[path] = shape.rows
    except CharkhError as error:
        return None, f"kept as plain files: {error.message}"
    return TableShape(columns, rows), ""
