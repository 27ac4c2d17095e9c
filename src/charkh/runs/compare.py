"""Compare runs side by side: params, metrics, code, environment and data; by default only what differs."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from charkh.core.errors import NotFound
from charkh.core.files import FileRef
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import DatasetById
from charkh.ports.store import Store
from charkh.runs.find import find
from charkh.runs.index import LinksOf
from charkh.runs.run import LargeValue, Run, json_text


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is compared.

    Attributes:
        name: of it.
        values: each run's, None where a run has none.
        differs: they are not all equal.
        deltas: of numbers, each run's value minus the first run's; None where one of both has none.
    """

    name: str
    values: tuple[Any, ...]
    differs: bool
    deltas: tuple[float | None, ...] = ()

    @property
    def percents(self) -> tuple[float | None, ...]:
        """The deltas in hundredths of the first value's size; None where that is 0."""
        size = abs(self.values[0]) if self.deltas and isinstance(self.values[0], int | float) else 0.0
        return tuple(None if each is None or not size else 100 * each / size for each in self.deltas)


class DataDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Two versions of one dataset that two runs used.

    Attributes:
        name: of the dataset.
        first: reference of the version that the first run used.
        second: reference of the other one's.
        rows: rows of the second minus rows of the first; None where one is no table.
        added: files that only the second has; None where the versions are not both here.
        removed: files that only the first has.
        changed: files that both have, with other content.
    """

    name: str
    first: str
    second: str
    rows: int | None = None
    added: int | None = None
    removed: int | None = None
    changed: int | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Runs side by side.

    Attributes:
        runs: in the order asked for.
        params: by dotted name.
        metrics: by series name, the value that shows.
        code: system, commit, branch, remote, whether it was dirty, and the digest of the patch.
        environment: versions of the installed distributions, of Python and of the platform.
        data: the datasets and other subjects that each run used, by relation and name.
        versions: where another run used another version of a dataset than the first one did, what lies between.
    """

    runs: tuple[Run, ...]
    params: tuple[Row, ...]
    metrics: tuple[Row, ...]
    code: tuple[Row, ...]
    environment: tuple[Row, ...]
    data: tuple[Row, ...]
    versions: tuple[DataDifference, ...] = ()


def compare(store: Store, refs: Sequence[str]) -> Comparison:
    """Compare the runs that `refs` mean.

    Raises:
        NotFound: one of them is not there.
        Conflict: a reference means several.
    """
    runs = tuple(find(store, ref) for ref in refs)
    used = [_used(store, run) for run in runs]
    return Comparison(
        runs=runs,
        params=_rows([run.params for run in runs]),
        metrics=tuple(_with_deltas(row) for row in _rows([run.metrics for run in runs])),
        code=_rows([_code(run) for run in runs]),
        environment=_rows([_environment(store, run) for run in runs]),
        data=_rows([_data(each) for each in used]),
        versions=tuple(_versions(store, used)),
    )


def patch_difference(store: Store, first: Run, second: Run) -> str:
    """What differs between the uncommitted changes that two runs were made with, as a unified diff of the patches.

    Raises:
        NotFound: a patch is not here.
    """
    return _text_difference(store, first, second, "patch") or _text_difference(store, first, second, "script")


def commit_range(first: Run, second: Run) -> str:
    """`abc..def` where two runs were made from different commits of one repository, for the version control system."""
    old, new = first.provenance, second.provenance
    if old is None or new is None or not old.commit or not new.commit or old.commit == new.commit:
        return ""
    return f"{old.commit[:12]}..{new.commit[:12]}" if old.system == new.system else ""


def _text_difference(store: Store, first: Run, second: Run, what: str) -> str:
    texts = [_text(store, getattr(run.provenance, what, None)).splitlines(keepends=True) for run in (first, second)]
    names = [f"{what} of run {run.id[:12]}" for run in (first, second)]
    return "".join(difflib.unified_diff(*texts, fromfile=names[0], tofile=names[1])) if texts[0] != texts[1] else ""


def only_differing(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows whose values are not all equal."""
    return tuple(row for row in rows if row.differs)


def _rows(columns: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
    names = sorted({name for column in columns for name in column})
    return tuple(_row(name, tuple(column.get(name) for column in columns)) for name in names)


def _row(name: str, values: tuple[Any, ...]) -> Row:
    told_apart = {_told(value) for value in values}
    return Row(name=name, values=values, differs=len(told_apart) > 1)


def _told(value: Any) -> str:
    return value.file.digest if isinstance(value, LargeValue) else json_text(value)


def _code(run: Run) -> dict[str, Any]:
    known = run.provenance
    if known is None:
        return {}
    digests = {"patch": known.patch, "script": known.script}
    return {
        "branch": known.branch,
        "commit": known.commit,
        "dirty": known.dirty,
        "folder": known.folder,
        "remote": known.remote,
        "system": known.system,
        **{name: file.digest[:12] for name, file in digests.items() if file is not None},
    }


def _environment(store: Store, run: Run) -> dict[str, Any]:
    known = run.provenance
    if known is None:
        return {}
    lines = _text(store, known.environment).splitlines()
    installed = {name: version for name, _, version in (line.partition("==") for line in lines)}
    return {**installed, "python": known.python, "platform": known.platform, "cpus": known.cpus}


def _with_deltas(row: Row) -> Row:
    first = row.values[0]
    deltas = tuple(None if first is None or value is None else value - first for value in row.values)
    return msgspec.structs.replace(row, deltas=deltas)


class _Use(NamedTuple):
    relation: str
    target: str
    version: DatasetVersion | None


def _used(store: Store, run: Run) -> list[_Use]:
    """What the run used."""
    edges = [edge for edge in store.queries.ask(LinksOf(run=run.id)) if edge.source == run.subject]
    return [_Use(edge.relation, edge.target, _version(store, edge.target)) for edge in edges]


def _version(store: Store, subject: str) -> DatasetVersion | None:
    noun, _, identifier = subject.partition(":")
    return store.queries.ask(DatasetById(version=identifier)) if noun == "dataset" else None


def _data(used: Sequence[_Use]) -> dict[str, Any]:
    """Datasets by name, other subjects by relation, numbered where a run used several of them in one way."""
    found: dict[str, list[str]] = {}
    for each in used:
        name = each.relation if each.version is None else f"{each.relation} {each.version.made.name}"
        found.setdefault(name, []).append(each.target if each.version is None else each.version.ref)
    return {
        name if len(targets) == 1 else f"{name} {number}": target
        for name, targets in found.items()
        for number, target in enumerate(targets, 1)
    }


def _versions(store: Store, used: Sequence[Sequence[_Use]]) -> Iterator[DataDifference]:
    first, *others = ({each.version.made.name: each.version for each in uses if each.version} for uses in used)
    told: set[tuple[str, str]] = set()
    for other in others:
        for name, version in other.items():
            before = first.get(name)
            if before is not None and before.id != version.id and (before.id, version.id) not in told:
                told.add((before.id, version.id))
                yield _between(store, before, version)


def _between(store: Store, first: DatasetVersion, second: DatasetVersion) -> DataDifference:
    rows, before = second.made.rows, first.made.rows
    found = DataDifference(
        name=second.made.name,
        first=first.ref,
        second=second.ref,
        rows=rows - before if rows is not None and before is not None else None,
    )
    try:
        changes = list(store.vault.compare(first.made.tree.root, second.made.tree.root))
    except NotFound:
        # One of them was deleted, or has not been fetched.
        return found
    added, removed = sum(each.old is None for each in changes), sum(each.new is None for each in changes)
    changed = len(changes) - added - removed
    return msgspec.structs.replace(found, added=added, removed=removed, changed=changed)


def _text(store: Store, file: FileRef | None) -> str:
    return b"".join(store.vault.read(file)).decode("utf-8", "replace") if file is not None else ""
