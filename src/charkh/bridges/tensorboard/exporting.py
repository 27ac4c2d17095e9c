"""Export runs as event files, so that a real TensorBoard shows them: one folder a run, every point."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from charkh.bridges.tensorboard.event_file import EventFile, scalar_records
from charkh.bridges.tensorboard.events import Event
from charkh.bridges.tensorboard.hparams import (
    FAILURE,
    RUNNING,
    SUCCESS,
    SessionEnd,
    SessionStart,
    end_value,
    experiment_value,
    start_value,
)
from charkh.bridges.tensorboard.media import Item
from charkh.bridges.tensorboard.projector_files import safe_name, write_embedding
from charkh.bridges.tensorboard.values import event_of
from charkh.ports.store import Store
from charkh.runs.history import metric_history, metric_names
from charkh.runs.media import MediaItem, list_media, read_media
from charkh.runs.run import LargeValue, Run

MAX_VALUES = 100
"""Values of a param that the experiment names; TensorBoard offers them as a filter."""


class ExportedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run as it was exported.

    Attributes:
        run: its id.
        folder: where its event files lie.
        points: how many.
        media: items that are shown.
        left: keys of items that TensorBoard has no form for.
    """

    run: str
    folder: str
    points: int
    media: int
    left: tuple[str, ...] = ()


def export_runs(store: Store, runs: Sequence[Run], folder: Path) -> tuple[ExportedRun, ...]:
    """Write runs as event files below `folder`; what an earlier export of a run wrote is replaced.

    Every point that shows by default is written, as float32; a context, such as `val`, is a folder inside of its run's,
    so that TensorBoard lays the curves of one metric over each other. Params and metrics of all these runs make one
    table of hparams.

    Raises:
        Unavailable: a file cannot be written.
        Corrupt: bytes of a run are not what their digest says.
    """
    experiment = experiment_value(_param_values(runs), sorted({name for run in runs for name in run.metrics}))
    found: list[ExportedRun] = []
    taken: set[Path] = set()
    for run in runs:
        place = _place(folder, run, taken)
        taken.add(place)
        found.append(_export(store, run, place, experiment))
    return tuple(found)


def _export(store: Store, run: Run, place: Path, experiment: Any) -> ExportedRun:
    name = f"events.out.tfevents.{int(run.created):010d}.charkh.{run.id[:12]}"
    files = _Files(place, name, run.created)
    main = files.of("")
    if run.params:
        ended = {"finished": SUCCESS, "running": RUNNING}.get(run.status, FAILURE)
        start = SessionStart(params=_shown_params(run), group=run.started.group, time=run.created)
        values = [experiment, start_value(start)]
        if run.ended is not None:
            values.append(end_value(SessionEnd(status=ended, time=run.ended)))
        for value in values:
            main.add(Event(time=run.created, values=(value,)))
    points = 0
    for key, context in sorted({(each.key, each.context) for each in metric_names(store, run.id)}):
        curve = metric_history(store, run.id, key, context=context)
        files.of(context).write(scalar_records(key, curve.steps, curve.times, curve.values))
        points += len(curve)
    media, left = 0, dict[str, None]()
    for item in list_media(store, run.id):
        if _write_media(store, item, files, place):
            media += 1
        else:
            left[item.key] = None
    files.close()
    return ExportedRun(run=run.id, folder=str(place), points=points, media=media, left=tuple(left))


class _Files:
    """The event files of one run: one for itself, and one for each context."""

    def __init__(self, place: Path, name: str, created: float) -> None:
        self._place = place
        self._name = name
        self._created = created
        self._open: dict[str, EventFile] = {}

    def of(self, context: str) -> EventFile:
        if context not in self._open:
            path = (self._place / safe_name(context) if context else self._place) / self._name
            path.unlink(missing_ok=True)
            self._open[context] = EventFile(path, self._created)
        return self._open[context]

    def close(self) -> None:
        for each in self._open.values():
            each.close()


def _write_media(store: Store, item: MediaItem, files: _Files, place: Path) -> bool:
    """Whether TensorBoard can show it."""
    data = read_media(store, item)
    shown = Item(item.key, item.kind, item.mime, data, item.details)
    event = event_of(shown, item.step, item.time)
    if event is not None:
        files.of("").add(event)
        return True
    if item.kind == "embedding":
        return write_embedding(place, shown, item.step, _beside(store, item))
    # Labels and pictures of embeddings are written with them.
    return "embedding" in item.details


def _beside(store: Store, item: MediaItem) -> dict[str, Item]:
    """The labels and the picture of an embedding."""
    found: dict[str, Item] = {}
    for part in ("metadata", "sprite"):
        for each in list_media(store, item.run, f"{item.key}/{part}"):
            if each.step == item.step:
                found[part] = Item(each.key, each.kind, each.mime, read_media(store, each), each.details)
    return found


def _place(folder: Path, run: Run, taken: set[Path]) -> Path:
    parts = [safe_name(part) for part in run.name.split("/") if part.strip(". ")]
    place = folder.joinpath(*parts) if parts else folder / run.id[:12]
    return place if place not in taken else place.with_name(f"{place.name}-{run.id[:12]}")


def _shown_params(run: Run) -> dict[str, Any]:
    return {
        name: f"({value.file.size} bytes)" if isinstance(value, LargeValue) else value
        for name, value in run.params.items()
    }


def _param_values(runs: Iterable[Run]) -> dict[str, list[Any]]:
    """By param the values that it has, of all runs: whichever TensorBoard reads first, it knows all columns."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        for name, value in _shown_params(run).items():
            values = found.setdefault(name, {})
            if len(values) < MAX_VALUES:
                values[msgspec.json.encode(value).decode()] = value
    return {name: list(values.values()) for name, values in found.items()}
