"""The collector: dlt runs in a process of its own, from the state of the version, and what it wrote is what came."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from charkh.bridges.dlt import driver
from charkh.core.errors import Invalid, NotFound, Unavailable
from charkh.core.quantities import parse_duration
from charkh.core.redact import redact
from charkh.core.source_settings import AnySource, DltSource
from charkh.ports.vault import Progress
from charkh.sources.collecting import Arrival, Collected, Collector
from charkh.sources.source import Item, State, shown_address
from charkh.sources.staging import Staging, digest_of
from charkh.workspace.workspace import Workspace

MAX_STATE = 8 * 1024 * 1024
"""Bytes that dlt may keep for itself with a version; its cursors and schemas take kilobytes."""
OWN_COLUMNS = ("_dlt_load_id", "_dlt_id")
"""What dlt adds to each row: new at each run, so that equal data would never be equal."""


class Table(msgspec.Struct, frozen=True):
    """A table that a run wrote: how dlt writes it (`append`, `replace`, `merge`), and its files."""

    writing: str
    files: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True):
    """What the driver says of a run."""

    tables: dict[str, Table]
    version: str


class DltCollector:
    """One table of a dlt resource or source.

    Args:
        workspace: whose folder the script is in; dlt reads its own `.dlt/` there.
        name: of the source.
        settings: of the source.
    """

    kind = "dlt"

    def __init__(self, workspace: Workspace, name: str, settings: DltSource) -> None:
        self._folder = workspace.folder
        self._name = re.sub(r"\W+", "_", name).strip("_").lower() or "source"
        self._settings = settings

    @property
    def address(self) -> str:
        """The file and the function."""
        return shown_address(self._settings.script)

    def collect(self, state: State, staging: Staging, *, dry_run: bool, progress: Progress | None) -> Collected:
        """See `Collector`; what an interrupted run brought is asked for again, from the same state."""
        if dry_run:
            return Collected(state=state, notes=("dlt says what is new only by bringing it",))
        pipelines, out = staging.new_file("pipelines"), staging.new_file("out")
        for folder in (pipelines, out):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        _restore(state, pipelines)
        answer = self._run(pipelines, out, staging.new_file("answer.json"))
        kept = _kept(pipelines)
        table = self._table(answer)
        if table is None:
            return Collected(state=State(columns=state.columns, extra=kept))
        whole = table.writing == "replace"
        items = [_taken(staging, number, Path(place), whole=whole) for number, place in enumerate(table.files)]
        if progress:
            progress(sum(item.size for item, _place in items))
        same = {item.key: item.digest for item, _place in items} == {
            key: item.digest for key, item in state.items.items()
        }
        if whole and same:
            return Collected(kept=tuple(state.items.values()), state=State(extra=kept))
        arrivals = [
            Arrival(item, place, changed=whole and item.key in state.items, numbered=not whole) for item, place in items
        ]
        gone = [item for key, item in state.items.items() if key not in {each.key for each, _ in items}]
        return Collected(tuple(arrivals), gone=tuple(gone) if whole else (), state=State(extra=kept), whole=whole)

    def _run(self, pipelines: Path, out: Path, answer: Path) -> Answer:
        script, _, function = self._settings.script.rpartition(":")
        place = self._folder / script
        if not place.is_file():
            raise NotFound(f"there is no {place}", code="source.no_script", hint="Paths are relative to the workspace.")
        python = str(self._folder / self._settings.python) if self._settings.python else sys.executable
        spec = {
            "script": str(place),
            "function": function,
            "name": self._name,
            "out": str(out),
            "pipelines": str(pipelines),
            "answer": str(answer),
        }
        answer.unlink(missing_ok=True)
        command = [python, str(Path(driver.__file__)), msgspec.json.encode(spec).decode()]
        try:
            done = subprocess.run(
                command,
                cwd=self._folder,
                env=_environment(os.environ),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=parse_duration(self._settings.timeout),
                check=False,
            )
        except FileNotFoundError as error:
            raise NotFound(
                f"there is no interpreter {python}", code="source.no_python", hint="Mend `python`."
            ) from error
        except subprocess.TimeoutExpired as error:
            raise Unavailable(
                f"dlt was not done with {self._settings.script} after {self._settings.timeout}",
                code="source.timeout",
                hint="Raise `timeout` in the source's settings, or bring less at once.",
            ) from error
        if done.returncode:
            raise self._failed(done.stderr)
        return msgspec.json.decode(answer.read_bytes(), type=Answer)

    def _failed(self, told: str) -> Unavailable:
        lines = [line.strip() for line in told.splitlines() if line.strip()]
        if any("No module named 'dlt'" in line for line in lines):
            return Unavailable(
                "dlt is not installed where it is run",
                code="source.no_dlt",
                hint="Install it: pip install 'dlt[parquet,filesystem]'; or say which `python` has it.",
            )
        last = redact(lines[-1])[:500] if lines else "it said nothing"
        return Unavailable(
            f"dlt could not run {self._settings.script}: {last}",
            code="source.dlt_failed",
            hint=f"Run the file by itself to see all that it says; it is run in {self._folder}.",
        )

    def _table(self, answer: Answer) -> Table | None:
        wanted = self._settings.table
        if not answer.tables or (wanted and wanted not in answer.tables):
            # Nothing new came for it; a name that is wrong shows at the first fetch, where tables came.
            if wanted and answer.tables:
                raise self._which(f"brought no table {wanted!r}", answer)
            return None
        if not wanted and len(answer.tables) > 1:
            raise self._which(f"brings {len(answer.tables)} tables, and a dataset is one", answer)
        return answer.tables[wanted or next(iter(answer.tables))]

    def _which(self, what: str, answer: Answer) -> Invalid:
        return Invalid(
            f"{self._settings.script} {what}",
            code="source.which_table",
            hint=f"Say table = …; it brings: {', '.join(sorted(answer.tables))}. Make a source of each that you want.",
        )


def dlt_collector(workspace: Workspace, name: str, settings: AnySource) -> Collector:
    """The collector of a source of the kind `dlt`."""
    assert isinstance(settings, DltSource)
    return DltCollector(workspace, name, settings)


def _taken(staging: Staging, number: int, place: Path, *, whole: bool) -> tuple[Item, Path]:
    """A file of dlt's without the columns that are about its runs."""
    target = staging.new_file(f"rows-{number:05}.parquet")
    pl.scan_parquet(place, glob=False).drop(OWN_COLUMNS, strict=False).sink_parquet(target)
    path = f"part-{number + 1:05}.parquet" if whole else "part.parquet"
    item = Item(key=f"rows-{number:05}", path=path, size=target.stat().st_size, digest=digest_of(target))
    return item, target


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment for another interpreter: what is said for this one alone stays here."""
    return {name: value for name, value in variables.items() if name not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}}


def _restore(state: State, pipelines: Path) -> None:
    for name, content in state.extra.items():
        target = pipelines / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _kept(pipelines: Path) -> dict[str, bytes]:
    """dlt's state and schemas, by their place in its folder; not its packages and traces."""
    found: dict[str, bytes] = {}
    for path in _state_files(pipelines):
        found[path.relative_to(pipelines).as_posix()] = path.read_bytes()
    if sum(map(len, found.values())) > MAX_STATE:
        raise Invalid(
            f"dlt's state has more than {MAX_STATE:,} bytes",
            code="source.state_too_large",
            hint="Keep less in the resource's state: an incremental cursor keeps the rows of its last value.",
        )
    return found


def _state_files(pipelines: Path) -> Sequence[Path]:
    places: list[Any] = [*pipelines.glob("*/state.json"), *pipelines.glob("*/schemas/*.json")]
    return sorted(places)
