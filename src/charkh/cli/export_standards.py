"""`charkh export croissant` and `charkh export openlineage`: what a version is, in the words of a standard."""

import os
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, progress, shown_count, write_json, write_line, write_note
from charkh.core.errors import Conflict
from charkh.core.quantities import parse_duration
from charkh.datasets.checkout import checkout
from charkh.datasets.find import find
from charkh.workspace.workspace import Workspace

Dataset = Annotated[str, typer.Argument(help="A version: flights@3, or flights for the newest.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write it there instead of printing it.")]


def export_croissant(
    dataset: Dataset,
    folder: Annotated[
        Path | None, typer.Argument(help="Put the files there, and croissant.json beside them.", file_okay=False)
    ] = None,
    license_name: Annotated[
        str, typer.Option("--license", help="SPDX id or address; that of the card when left out.")
    ] = "",
    creator: Annotated[str, typer.Option(help="Person or organisation; who made the version when left out.")] = "",
    url: Annotated[str, typer.Option(help="The page about the dataset.")] = "",
    description: Annotated[str, typer.Option(help="What it is; the version's message when left out.")] = "",
    base: Annotated[str, typer.Option(help="Address below which the files can be had, when not beside it.")] = "",
    output: Output = None,
    json: AsJson = False,
) -> None:
    """Describe a version in Croissant 1.1, alone or with its files."""
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.croissant import FILE, Said, croissant

    said = Said(license=license_name, creator=creator, url=url, description=description, base=base)
    with open_workspace() as workspace:
        version = find(workspace.store, dataset)
        with progress(f"describing {version.ref}", version.made.tree.size, "bytes") as advance:
            document = croissant(workspace.store, version, said, progress=advance)
        text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
        if folder is not None:
            checkout(workspace.store, version, folder)
            output = folder / FILE
    _write(text, output, json=json)


def export_openlineage(
    dataset: Annotated[
        str, typer.Argument(help="A version: flights@3; left out, everything that happened.", show_default=False)
    ] = "",
    namespace: Annotated[str, typer.Option(help="Of jobs and datasets; charkh:// and the store's id by default.")] = "",
    profile: Annotated[bool, typer.Option(help="Read the table for the quality of its columns.")] = True,
    since: Annotated[str, typer.Option(help="Only what happened since: 7d, or 2026-01-31.")] = "",
    url: Annotated[str, typer.Option(help="Send the events there, one request each.")] = "",
    api_key_env: Annotated[str, typer.Option(help="Variable with the key that the receiver asks for.")] = "",
    output: Output = None,
    json: AsJson = False,
) -> None:
    """Tell what happened as OpenLineage events, or describe one version.

    A version is one dataset event; everything that happened is a line an event: runs, steps, and what they made.
    """
    from charkh.bridges.openlineage.dataset_event import encode
    from charkh.bridges.openlineage.sending import encoded
    from charkh.workspace.outgoing import home_of

    with open_workspace() as workspace:
        where = namespace or workspace.settings.openlineage.namespace or f"charkh://{home_of(workspace)}"
        events = _lineage_events(workspace, dataset, where, since, profile=profile)
    if url:
        _send(events, url, api_key_env, json=json)
        return
    text = encode(events[0]) if dataset else b"".join(encoded(event) + b"\n" for event in events)
    if json and not dataset and output is None:
        write_json(events)
        return
    _write(text.decode(), output, json=json)


def _lineage_events(
    workspace: Workspace, dataset: str, namespace: str, since: str, *, profile: bool
) -> list[dict[str, object]]:
    from charkh.bridges.openlineage.dataset_event import dataset_event
    from charkh.bridges.openlineage.sending import events_since

    store = workspace.store
    if not dataset:
        return list(events_since(store, namespace, moment_of(since)))
    from charkh.datasets.profile.measure import profile_lazily
    from charkh.datasets.read import scan_table

    version = find(store, dataset)
    measured = profile_lazily(scan_table(store, version)) if profile and version.made.kind == "table" else None
    return [dataset_event(store, version, namespace=namespace, profile=measured)]


def _send(events: list[dict[str, object]], url: str, api_key_env: str, *, json: bool) -> None:
    """Send events through the door, which lets whoever runs the command call the address that they name."""
    from charkh.bridges.openlineage.sending import send
    from charkh.workspace.outgoing import egress_to

    sent = send(events, egress_to(url), url, os.environ.get(api_key_env, "") if api_key_env else "")
    if json:
        write_json({"sent": sent})
    else:
        write_note(f"{shown_count(sent, 'event')} sent")


def moment_of(text: str) -> float:
    """Seconds since the epoch of `7d` ago, or of a date or time; 0 where nothing is said.

    Raises:
        Invalid: it is neither.
    """
    if not text:
        return 0.0
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return time.time() - parse_duration(text)


def _write(text: str, output: Path | None, *, json: bool) -> None:
    """Print the document, which is JSON in any case, or write it and say where."""
    if output is None:
        write_line(text.rstrip())
        return
    if output.is_dir():
        raise Conflict(f"{output} is a folder", code="export.folder", hint="Name a file.")
    output.write_text(text, encoding="utf-8")
    if json:
        write_json({"written": str(output)})
    else:
        write_note(f"written to {output}")
