"""Compare runs side by side: params, metrics, code, environment and data; by default only what differs."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from charkh.core.files import FileRef
from charkh.ports.store import Store
from charkh.runs.find import find
from charkh.runs.index import LinksOf
from charkh.runs.run import LargeValue, Run, json_text


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is compared: its name, and each run's value, None where a run has none."""

    name: str
    values: tuple[Any, ...]
    differs: bool


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Runs side by side.

    Attributes:
        runs: in the order asked for.
        params: by dotted name.
        metrics: by series name, the value that shows.
        code: system, commit, branch, remote, whether it was dirty, and the digest of the patch.
        environment: versions of the installed distributions, of Python and of the platform.
        data: the datasets and other subjects that each run used, by relation.
    """

    runs: tuple[Run, ...]
    params: tuple[Row, ...]
    metrics: tuple[Row, ...]
    code: tuple[Row, ...]
    environment: tuple[Row, ...]
    data: tuple[Row, ...]


def compare(store: Store, refs: Sequence[str]) -> Comparison:
    """Compare the runs that `refs` mean.

    Raises:
        NotFound: one of them is not there.
        Conflict: a reference means several.
    """
    runs = tuple(find(store, ref) for ref in refs)
    return Comparison(
        runs=runs,
        params=_rows([run.params for run in runs]),
        metrics=_rows([run.metrics for run in runs]),
        code=_rows([_code(run) for run in runs]),
        environment=_rows([_environment(store, run) for run in runs]),
        data=_rows([_data(store, run) for run in runs]),
    )


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


def _data(store: Store, run: Run) -> dict[str, Any]:
    """What the run used, numbered where it used several in one way."""
    used: dict[str, list[str]] = {}
    for edge in store.queries.ask(LinksOf(run=run.id)):
        if edge.source == run.subject:
            used.setdefault(edge.relation, []).append(edge.target)
    return {
        relation if len(targets) == 1 else f"{relation} {number}": target
        for relation, targets in used.items()
        for number, target in enumerate(targets, 1)
    }


def _text(store: Store, file: FileRef | None) -> str:
    return b"".join(store.vault.read(file)).decode("utf-8", "replace") if file is not None else ""
