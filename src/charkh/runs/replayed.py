"""Whether two runs came to the same: params, last values of metrics, files they left, and how they ended."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from charkh.ports.store import Store
from charkh.runs.index import ArtifactsOf
from charkh.runs.run import LargeValue, Run, json_text


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in which two runs differ.

    Attributes:
        what: `status`, `param`, `metric`, `file`, or what a caller adds, such as `output`.
        name: of the param, metric or file.
        first: the value in the first run, or a digest; None where it has none.
        second: the same of the second.
        absolute: how far two numbers are apart.
        relative: that, as a share of the greater of the two.
    """

    what: str
    name: str
    first: Any
    second: Any
    absolute: float | None = None
    relative: float | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared.

    Attributes:
        differences: by what, then by name.
        compared: how many things of each sort were compared.
    """

    differences: tuple[Difference, ...]
    compared: dict[str, int]


def compare_outcomes(store: Store, first: Run, second: Run, *, tolerance: float = 0.0) -> Outcome:
    """Compare what two runs came to.

    Args:
        store: where their files are named.
        first: the one that counts as right.
        second: the other.
        tolerance: how far two metrics may be apart, as a share of the greater; equal to the last bit by default.
    """
    sides = [(run.params, run.metrics, _files(store, run)) for run in (first, second)]
    (params, metrics, files), (params2, metrics2, files2) = sides
    found = [
        *differing("status", {"": first.status}, {"": second.status}),
        *differing("param", _told(params), _told(params2)),
        *_metrics(metrics, metrics2, tolerance),
        *differing("file", files, files2),
    ]
    compared = {
        "param": len(params.keys() | params2.keys()),
        "metric": len(metrics.keys() | metrics2.keys()),
        "file": len(files.keys() | files2.keys()),
    }
    return Outcome(differences=tuple(found), compared=compared)


def differing(what: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Difference]:
    """The names whose values are not equal."""
    for name in sorted(first.keys() | second.keys()):
        if first.get(name) != second.get(name) or (name in first) != (name in second):
            yield Difference(what=what, name=name, first=first.get(name), second=second.get(name))


def _metrics(first: Mapping[str, float], second: Mapping[str, float], tolerance: float) -> Iterator[Difference]:
    for name in sorted(first.keys() | second.keys()):
        old, new = first.get(name), second.get(name)
        if old is None or new is None:
            yield Difference(what="metric", name=name, first=old, second=new)
            continue
        if old == new or (math.isnan(old) and math.isnan(new)):
            continue
        absolute = abs(new - old)
        relative = absolute / max(abs(old), abs(new))
        if not relative <= tolerance:
            yield Difference(what="metric", name=name, first=old, second=new, absolute=absolute, relative=relative)


def _told(params: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value.file.digest if isinstance(value, LargeValue) else json_text(value) for name, value in params.items()
    }


def _files(store: Store, run: Run) -> dict[str, str]:
    return {each.path: each.file.digest for each in store.queries.ask(ArtifactsOf(run=run.id))}
