"""Where a `SummaryWriter` puts what it is given: the run, and event files where a folder was named."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from charkh.bridges.tensorboard.event_file import EventFile, open_event_file
from charkh.bridges.tensorboard.events import Event, Value
from charkh.bridges.tensorboard.hparams import SessionStart, experiment_value, start_value
from charkh.bridges.tensorboard.media import Item
from charkh.bridges.tensorboard.pieces import run_key
from charkh.bridges.tensorboard.projector_files import safe_name, write_items
from charkh.bridges.tensorboard.values import event_of
from charkh.runs.start import ActiveRun


class Sink:
    """One run, and the event files beside it.

    Args:
        run: what is recorded.
        folder: of the event files; None for none.
    """

    def __init__(self, run: ActiveRun, folder: Path | None) -> None:
        self._run = run
        self._folder = folder
        self._files: dict[str, EventFile] = {}
        self._counted: dict[str, int] = {}

    def scalars(self, values: Mapping[str, Any], context: str, step: int | None, moment: float | None) -> None:
        """Log numbers."""
        keyed = {run_key(tag): value for tag, value in values.items()}
        self._run.log(keyed, step=step, context=context, time=moment)
        if self._folder is not None:
            for tag, value in values.items():
                at = self.step_of(f"{context}/{tag}", step)
                plain = float(value.item() if hasattr(value, "item") else value)
                event = Event(time=moment or time.time(), step=at, values=(Value(tag=tag, simple=plain),))
                self._file(f"{tag.replace('/', '_')}_{context}" if context else "").add(event)

    def show(self, item: Item, step: int | None, moment: float | None) -> None:
        """Log an item."""
        at, now = self.step_of(item.key, step), time.time() if moment is None else moment
        self._record(item, at, now)
        if self._folder is not None and (event := event_of(item, at, now)) is not None:
            self._file("").add(event)

    def embed(self, items: Sequence[Item], step: int) -> None:
        """Log an embedding and what stands beside it."""
        now = time.time()
        for each in items:
            self._record(each, step, now)
        if self._folder is not None:
            write_items(self._folder, items, step)

    def session(self, params: Mapping[str, Any], metrics: Sequence[str]) -> None:
        """Write the params of a session into the event file; the run has them already."""
        if self._folder is not None:
            now = time.time()
            experiment = experiment_value({name: [value] for name, value in params.items()}, metrics)
            for value in (experiment, start_value(SessionStart(params=dict(params), time=now))):
                self._file("").add(Event(time=now, values=(value,)))

    def step_of(self, tag: str, step: int | None) -> int:
        """The step as given, or counted by tag."""
        if step is not None:
            return int(step)
        self._counted[tag] = self._counted.get(tag, -1) + 1
        return self._counted[tag]

    def close(self) -> None:
        """Let go of the event files."""
        for each in self._files.values():
            each.close()
        self._files.clear()

    def _record(self, item: Item, step: int, moment: float) -> None:
        key = run_key(item.key)
        self._run.log_media(key, item.kind, item.payload, step=step, time=moment, mime=item.mime, details=item.details)

    def _file(self, name: str) -> EventFile:
        if self._folder is None:
            raise AssertionError("there is no folder for event files")
        if name not in self._files:
            self._files[name] = open_event_file(self._folder / safe_name(name) if name else self._folder)
        return self._files[name]
