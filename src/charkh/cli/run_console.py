"""`charkh run console`: what a run printed, and what it prints while one looks."""

import time
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_line
from charkh.ports.store import Store
from charkh.runs.console import ConsoleLine, follow_console, read_console
from charkh.runs.find import find

POLL_SECONDS = 0.5


def console(
    run: Annotated[str, typer.Argument(metavar="RUN", help="run:1f3a, the beginning of an id, or a run's name.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    stream: Annotated[str, typer.Option("--stream", help="Only stdout, or only stderr.")] = "",
    times: Annotated[bool, typer.Option("--times", help="Begin each line with its time.")] = False,
    json: AsJson = False,
) -> None:
    """Print what a run printed: its lines of stdout and stderr, in order of time."""
    with open_workspace() as workspace:
        store = workspace.store
        found = find(store, run)
        if json and not follow:
            lines = [line for line in read_console(store, found.id) if stream in ("", line.stream)]
            write_json([line._asdict() for line in lines])
            return
        for line in _followed(store, found.id) if follow else read_console(store, found.id):
            if stream in ("", line.stream):
                _write(line, times=times, json=json)


def _followed(store: Store, run: str) -> Iterator[ConsoleLine]:
    return follow_console(store, run, lambda: _going_on(store, run))


def _going_on(store: Store, run: str) -> bool:
    time.sleep(POLL_SECONDS)
    return find(store, run).status == "running"


def _write(line: ConsoleLine, *, times: bool, json: bool) -> None:
    if json:
        # One document a line: who follows reads each as it comes.
        write_line(msgspec.json.encode(line._asdict()).decode())
        return
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line.time)) if times else ""
    write_line(f"{moment}  {line.text}" if times else line.text)
