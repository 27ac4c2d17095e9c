"""`charkh check import`: a suite of another validator as one of ours."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from charkh.cli.documents import begin_document, read_document
from charkh.cli.output import AsJson, shown_count, write_json, write_line, write_note

Source = Literal["great-expectations", "pandera", "tfdv", "deequ"]


def import_suite(
    file: Annotated[Path, typer.Argument(help="The suite: JSON, YAML, schema.pbtxt or DQDL.")],
    source: Annotated[Source, typer.Option("--from", help="Whose suite it is.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the suite there; never over one.")] = None,
    json: AsJson = False,
) -> None:
    """Carry a suite of another validator over, rule by rule; what has no equal here is named with the reason."""
    # Each reads another format, some with an extra: only the one that is asked for is loaded.
    if source == "great-expectations":
        from charkh.checks.importing.great_expectations import import_suite as read
    elif source == "pandera":
        from charkh.checks.importing.pandera import import_suite as read
    elif source == "tfdv":
        from charkh.checks.importing.tfdv import import_suite as read
    else:
        from charkh.checks.importing.dqdl import import_suite as read
    text = read_document(file, code="check.no_file", hint="Name the file that the other tool wrote.")
    found = read(text, file.name)
    if out is not None:
        begin_document(out, found.toml)
    if json:
        write_json(found)
        return
    if out is None:
        write_line(found.toml.rstrip())
    carried = f"{shown_count(len(found.suite.rules), 'rule')} of {len(found.carried)} foreign ones"
    write_note(carried + (f", written to {out}" if out is not None else ""))
    for each in found.carried:
        if each.note:
            write_note(f"{each.source}: {each.note}")
    for left in found.left:
        write_note(f"not carried over: {left.source}: {left.why}")
