"""The run of a wandb-style script: its methods and properties over a run of charkh."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from charkh.bridges.wandb.artifact import Artifact
from charkh.bridges.wandb.mappings import Config, Summary
from charkh.bridges.wandb.values import Showable, as_shown
from charkh.core.errors import CharkhError
from charkh.runs.start import ActiveRun

_log = logging.getLogger("charkh")


class Run:
    """What `wandb.init` gives; see there.

    Attributes:
        active: the run of charkh that is recorded; None where recording is disabled.
        config: params.
        summary: what it came to.
        finished: whether `finish` has been called.
    """

    def __init__(
        self, active: ActiveRun | None, *, name: str, project: str, group: str, job_type: str, step: int = 0
    ) -> None:
        self.active = active
        self.name = name
        self.project = project
        self.group = group
        self.job_type = job_type
        self.config = Config(self._set_params)
        self.summary = Summary(self._set_summary)
        self._step = step
        self._waiting: dict[str, Any] = {}
        self._axes: dict[str, str] = {}
        self._folder: Path | None = None
        self._told: set[str] = set()
        self.finished = False

    @property
    def id(self) -> str:
        """32 hex digits."""
        return self.active.id if self.active is not None else "disabled"

    @property
    def url(self) -> str:
        """Where the run is looked at: at the server of `CHARKH_URL`, or empty."""
        server = os.environ.get("CHARKH_URL", "").rstrip("/")
        return f"{server}/#/runs/{self.id}" if server and self.active is not None else ""

    @property
    def dir(self) -> str:
        """A folder whose files are kept with the run when it finishes."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="charkh-run-"))
        return str(self._folder)

    @property
    def step(self) -> int:
        """The step that the next call without one has."""
        return self._step

    @property
    def disabled(self) -> bool:
        """Whether nothing is recorded."""
        return self.active is None

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, **_more: Any) -> None:
        """Log numbers, and what can be shown, of one step.

        Nested mappings are named by dots. Without a step it is the next one; with `commit=False` the values wait for
        the call that completes their step. A step that is lower than the last one is a point like any other: nothing is
        dropped.
        """
        self._waiting.update(_flat(data, ""))
        if commit is False:
            return
        values, self._waiting = self._waiting, {}
        at = self._step if step is None else int(step)
        self._step = max(self._step, at + 1)
        if self.active is not None:
            self._log(self.active, values, at)
        self.summary.note({key: value for key, value in values.items() if not isinstance(value, Showable)})

    def define_metric(
        self, name: str, step_metric: str | None = None, summary: str | None = None, **_more: Any
    ) -> None:
        """Say which of a metric's values counts (`min`, `max`); another axis is kept as a tag for whoever draws it."""
        if self.active is None:
            return
        tags = {f"wandb.step_metric.{name}"[:250]: str(step_metric)} if step_metric is not None else {}
        if summary in {"min", "max", "best"}:
            tags[f"wandb.summary.{name}"[:250]] = summary
        if tags:
            self.active.set_tags(tags)

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """End the run: `failed` with an exit code other than 0. A second call does nothing."""
        del quiet
        if self.finished:
            return
        self.finished = True
        if self._waiting:
            self.log({})
        if self.active is None:
            return
        if self._folder is not None and any(self._folder.iterdir()):
            self.active.add_artifact("files", self._folder)
        self.active.end("failed" if exit_code else "finished", error=f"exit code {exit_code}" if exit_code else "")

    def save(self, glob_str: str | Path | None = None, base_path: str | Path | None = None, **_more: Any) -> list[str]:
        """Keep files that match now; their names."""
        if self.active is None or glob_str is None:
            return []
        pattern, base = Path(glob_str), Path(base_path) if base_path is not None else Path(glob_str).parent
        saved: list[str] = []
        for path in sorted(pattern.parent.glob(pattern.name)):
            name = path.relative_to(base).as_posix() if path.is_relative_to(base) else path.name
            self.active.add_artifact(f"files/{name}", path)
            saved.append(name)
        if not saved:
            self._tell(f"nothing matches {glob_str}: files that are written later are kept in run.dir")
        return saved

    def log_artifact(
        self,
        artifact_or_path: Artifact | str | Path,
        name: str | None = None,
        type: str | None = None,
        aliases: Sequence[str] | None = None,
        **_more: Any,
    ) -> Artifact:
        """Keep the files of an artifact below its name."""
        artifact = artifact_or_path if isinstance(artifact_or_path, Artifact) else None
        if artifact is None:
            path = Path(cast("str | Path", artifact_or_path))
            artifact = Artifact(name or path.name, type or "file")
            if path.is_dir():
                artifact.add_dir(path)
            else:
                artifact.add_file(path)
        if self.active is not None:
            for inside, data in artifact.files.items():
                self.active.add_artifact(f"{artifact.name}/{inside}", data)
            kept = {f"wandb.artifact.{artifact.name}"[:250]: ", ".join([artifact.type, *(aliases or ())])[:500]}
            self.active.set_tags(kept)
        return artifact

    def use_artifact(self, artifact_or_name: Any, type: str | None = None, **_more: Any) -> Any:
        """State which version of a dataset the run was made from, `flights:v3` or `flights@3`; the version.

        Raises:
            NotFound: there is no such version.
        """
        # Datasets load what only this call needs.
        from charkh.datasets.find import find
        from charkh.workspace.ambient import workspace

        del type
        if isinstance(artifact_or_name, Artifact):
            self._tell("use_artifact of an artifact that was just made states nothing")
            return artifact_or_name
        name, _, version = str(artifact_or_name).rpartition("/")[2].partition(":")
        ref = f"{name}@{version.removeprefix('v')}" if version and version != "latest" else name
        found = find(workspace().store, ref)
        if self.active is not None:
            self.active.use(found.subject)
        return found

    def alert(self, title: str, text: str = "", level: Any = None, wait_duration: Any = None) -> None:
        """Say something that a person should see: on the log, and among the remarks of the run."""
        del wait_duration
        _log.warning("%s: %s", title, text)
        if self.active is not None:
            self.active.note(f"**{title}** ({level or 'INFO'})\n\n{text}")

    def watch(self, *_models: Any, **_options: Any) -> None:
        """Nothing: gradients are not gathered behind the script's back; said once."""
        self._tell("watch() gathers nothing here; log histograms of gradients where they are wanted")

    def unwatch(self, *_models: Any) -> None:
        """Nothing, as `watch`."""

    def mark_preempting(self) -> None:
        """Nothing: a run that is taken up again (`resume=`) goes on by itself."""

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is not None and self.active is not None and not self.finished:
            self.finished = True
            self.active.end("failed", error=f"{kind.__name__}: {error}".removesuffix(": "))
            return
        self.finish()

    def __getattr__(self, name: str) -> Any:
        told = "docs/bridges/wandb.md says what is, and what to use instead"
        raise AttributeError(f"run.{name} is not carried by charkh.bridges.wandb: {told}")

    def _log(self, active: ActiveRun, values: Mapping[str, Any], step: int) -> None:
        numbers: dict[str, float] = {}
        for key, value in values.items():
            if value is None:
                continue
            if _is_number(value):
                numbers[key] = value
            elif isinstance(value, str):
                active.log_text(key, value, step=step)
            else:
                self._show(active, key, value, step)
        if numbers:
            active.log(numbers, step=step)

    def _show(self, active: ActiveRun, key: str, value: Any, step: int) -> None:
        several: list[Any] = list(cast(Sequence[Any], value)) if isinstance(value, list | tuple) else [value]
        shown = [as_shown(each) for each in several]
        if not several or any(each is None for each in shown):
            try:
                active.log_histogram(key, value, step=step)
            except CharkhError:
                active.log_text(key, str(cast(object, value))[:10_000], step=step)
            return
        for place, each in enumerate(shown):
            if each is not None:
                item = each.shown()
                sample = {"sample": place} if len(shown) > 1 else {}
                details = {**item.details, **sample}
                active.log_media(key, item.kind, item.payload, step=step, mime=item.mime, details=details)

    def _set_params(self, values: Mapping[str, Any]) -> None:
        if self.active is not None:
            self.active.set_params({key: _plain(value) for key, value in values.items()})

    def _set_summary(self, values: Mapping[str, Any]) -> None:
        if self.active is not None:
            self._log(self.active, _flat(values, ""), max(0, self._step - 1))

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            _log.warning("wandb: %s", text)


def _flat(data: Mapping[str, Any], before: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found.update(_flat(cast(Mapping[str, Any], value), f"{before}{key}."))
        else:
            found[f"{before}{key}"] = value
    return found


def _is_number(value: Any) -> bool:
    """A number, or an array or tensor of one element."""
    if isinstance(value, bool | int | float):
        return True
    size: Any = getattr(value, "numel", None) or getattr(value, "size", None)
    count = size() if callable(size) else size
    return hasattr(value, "item") and count in (1, None) and not isinstance(value, Showable)


def _plain(value: Any) -> Any:
    """A param as JSON can say it; what it cannot is kept as its text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in cast(Sequence[Any], value)]
    listed = getattr(value, "tolist", None)
    return listed() if callable(listed) else str(value)
