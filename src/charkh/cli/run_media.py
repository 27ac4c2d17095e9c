"""`charkh run media`: what a run shows besides numbers, listed, or one item of it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_size, shown_time, write_json, write_line, write_table
from charkh.core.errors import Invalid
from charkh.ports.store import Store
from charkh.runs.find import find
from charkh.runs.media import MediaItem, MediaKey, count_media, list_media, one_media, read_media
from charkh.runs.run import Run, json_text


def media(
    run: Annotated[str, typer.Argument(metavar="RUN", help="run:1f3a, the beginning of an id, or a run's name.")],
    key: Annotated[str, typer.Argument(help="Such as samples/first; without it, what there is.")] = "",
    step: Annotated[
        int | None, typer.Option("--step", help="Get the item of this step; its last one with -o and no step.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write the item; `-` for stdout.", allow_dash=True)
    ] = None,
    json: AsJson = False,
) -> None:
    """List the texts, tables, pictures, sounds and histograms of a run, or get one of them."""
    with open_workspace() as workspace:
        store = workspace.store
        found = find(store, run)
        if not key:
            if out is not None or step is not None:
                raise Invalid(
                    "an item has a key", code="run.no_key", hint="Name one: `charkh run media RUN` lists them."
                )
            _write_keys(count_media(store, found.id), json=json)
            return
        if step is None and out is None:
            _write_items(list_media(store, found.id, key) or (one_media(store, found.id, key),), json=json)
            return
        _write_item(store, found, key, step, out)


def _write_keys(keys: Sequence[MediaKey], *, json: bool) -> None:
    if json:
        names = ("key", "kind", "count", "first_step", "last_step")
        write_json([{name: getattr(each, name) for name in names} for each in keys])
        return
    rows = [[each.key, each.kind, each.count, each.first_step, each.last_step] for each in keys]
    write_table(["key", "kind", "items", "first step", "last step"], rows, empty="the run shows numbers alone")


def _write_items(items: Sequence[MediaItem], *, json: bool) -> None:
    if json:
        write_json(items)
        return
    rows = [
        [each.step, each.kind, each.mime, shown_size(each.size), shown_time(each.time), each.writer, _details(each)]
        for each in items
    ]
    write_table(["step", "kind", "type", "size", "time", "writer", "details"], rows)


def _write_item(store: Store, run: Run, key: str, step: int | None, out: Path | None) -> None:
    item = one_media(store, run.id, key, step)
    payload = read_media(store, item)
    if out is not None and str(out) != "-":
        out.write_bytes(payload)
        return
    if out is None and sys.stdout.isatty() and not item.mime.startswith(("text/", "application/json")):
        write_line(f"{key}, step {item.step}: {item.mime}, {shown_size(item.size)}; write it with -o FILE")
        return
    sys.stdout.buffer.write(payload)
    sys.stdout.buffer.flush()


def _details(item: MediaItem) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in item.details.items())


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json_text(value)
