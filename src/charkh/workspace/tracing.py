"""From one prediction back to the rows: the walk over all nouns that `charkh trace` shows."""

from datetime import UTC, datetime

import msgspec

from charkh.core.errors import Invalid
from charkh.datasets.index import DatasetById
from charkh.datasets.rows import FileRows, file_rows
from charkh.endpoints.prediction import Prediction
from charkh.endpoints.read import prediction
from charkh.lineage.render import render_trace
from charkh.lineage.trace import Trace
from charkh.lineage.trace import trace as walk
from charkh.ports.store import Store
from charkh.workspace.ambient import existing_workspace
from charkh.workspace.resolving import resolve

MAX_FILES = 40
"""Source files that are written out for one dataset version."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a trace: a dataset version that was made from no other, and which rows came from which file."""

    dataset: str
    subject: str
    files: tuple[FileRows, ...]


class Origins(msgspec.Struct, frozen=True, kw_only=True):
    """What a trace came to.

    Attributes:
        prediction: the prediction, when it started from one.
        trace: the walk from its deployment, or from the subject.
        sources: the first dataset versions, with their files and ranges of rows.
    """

    prediction: Prediction | None
    trace: Trace
    sources: tuple[Source, ...]

    def __repr__(self) -> str:
        return "\n".join(render(self, details=False))


def trace(what: str) -> Origins:
    """Walk back from a prediction, a subject (`run:1f3a`) or a reference (`delay@3`) in this script's workspace.

    Raises:
        NotFound: nothing is known about it.
        Invalid: it is no id, subject or reference.
    """
    return trace_in(existing_workspace().store, what)


def trace_in(store: Store, what: str) -> Origins:
    """As `trace`, in a given store."""
    found = _prediction(store, what)
    start = f"deployment:{found.deployment}" if found is not None else resolve(store, what)
    walked = walk(store, start)
    sources = [
        Source(dataset=node.title, subject=version.subject, files=file_rows(store, version))
        for node in walked.of("dataset")
        if not any(_leads_to_data(walked, node.subject))
        for version in [store.queries.ask(DatasetById(version=node.subject.partition(":")[2]))]
        if version is not None
    ]
    return Origins(prediction=found, trace=walked, sources=tuple(sources))


def render(origins: Origins, *, details: bool = True) -> list[str]:
    """A trace as plain lines: the prediction, the walk, and the rows at its end."""
    lines: list[str] = []
    if origins.prediction is not None:
        lines += _prediction_lines(origins.prediction)
    lines += render_trace(origins.trace, details=details)
    for source in origins.sources:
        lines.append(f"rows of {source.dataset}")
        lines += [f"  {rows.path}: rows {rows.first + 1:,} to {rows.past:,}" for rows in source.files[:MAX_FILES]]
        if len(source.files) > MAX_FILES:
            lines.append(f"  … and {len(source.files) - MAX_FILES} more files")
    return lines


def _prediction(store: Store, what: str) -> Prediction | None:
    if "@" in what or ":" in what:
        return None
    try:
        return prediction(store, what)
    except Invalid:
        return None


def _prediction_lines(found: Prediction) -> list[str]:
    moment = "" if found.time is None else f", answered {datetime.fromtimestamp(found.time, UTC):%Y-%m-%d %H:%M:%S} UTC"
    lines = [f"prediction {found.id} of endpoint {found.endpoint}{moment}"]
    if not found.logged:
        return [*lines, "  it was not logged; what made it is known all the same"]
    lines += [f"  {name}: {value}" for name, value in found.inputs.items()]
    return [*lines, *(f"  → {name}: {value}" for name, value in found.outputs.items())]


def _leads_to_data(walked: Trace, subject: str) -> list[bool]:
    """One entry for each edge of the walk that leads from this dataset version to another noun's data."""
    under = [node.via == subject and node.noun == "dataset" for node in walked.nodes]
    beside = [
        edge.source == subject and edge.target.startswith("dataset:") for node in walked.nodes for edge in node.also
    ]
    return under + beside
