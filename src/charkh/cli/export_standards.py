"""`charkh export croissant` and `charkh export openlineage`: what a version is, in the words of a standard."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, progress, write_json, write_line, write_note
from charkh.core.errors import Conflict
from charkh.datasets.checkout import checkout
from charkh.datasets.find import find

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
    dataset: Dataset,
    namespace: Annotated[str, typer.Option(help="Of the dataset; charkh:// and the store's id when left out.")] = "",
    profile: Annotated[bool, typer.Option(help="Read the table for the quality of its columns.")] = True,
    output: Output = None,
    json: AsJson = False,
) -> None:
    """Describe a version as an OpenLineage dataset event, with its facets."""
    from charkh.bridges.openlineage import dataset_event, encode
    from charkh.datasets.profile.measure import profile_lazily
    from charkh.datasets.read import scan_table

    with open_workspace() as workspace:
        version = find(workspace.store, dataset)
        measured = None
        if profile and version.made.kind == "table":
            measured = profile_lazily(scan_table(workspace.store, version))
        where = namespace or f"charkh://{workspace.identifier}"
        event = dataset_event(workspace.store, version, namespace=where, profile=measured)
    _write(encode(event).decode(), output, json=json)


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
