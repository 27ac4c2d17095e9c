"""`charkh endpoint truth`: say from a file what turned out to be right."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_line
from charkh.core.errors import Invalid

if TYPE_CHECKING:
    from charkh.endpoints.truth import Truth

AT_ONCE = 50_000
ID = "prediction_id"


def truth(
    name: Annotated[str, typer.Argument(help="Name of the endpoint.")],
    file: Annotated[Path, typer.Argument(help="CSV with a header.")],
    column: Annotated[str, typer.Option(help="The column with the truth.")] = "truth",
    key: Annotated[
        str, typer.Option(help="The column with the key; else prediction_id, or what [endpoint.NAME] key says.")
    ] = "",
    known_at: Annotated[str, typer.Option(help="The column with the time at which it was known; else now.")] = "",
    json: AsJson = False,
) -> None:
    """Say what turned out to be right for predictions, by their ids or by the endpoint's key."""
    from charkh.workspace.masking import taker_of

    taken = 0
    with open_workspace() as workspace:
        settings = workspace.settings.endpoint.get(name)
        taker = taker_of(workspace)
        waiting: list[Truth] = []
        for each in _read(file, column, key, known_at, settings.key if settings is not None else ""):
            waiting.append(each)
            if len(waiting) == AT_ONCE:
                taken += taker.take(name, waiting)
                waiting = []
        taken += taker.take(name, waiting) if waiting else 0
    if json:
        write_json({"endpoint": name, "taken": taken})
    else:
        write_line(f"{taken} truths about predictions of {name}")


def _read(file: Path, column: str, key: str, known_at: str, known_key: str) -> "Iterator[Truth]":
    """The truths in the file; rows without one are left out: nobody knows it yet."""
    from charkh.endpoints.truth import Truth

    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            rows = csv.DictReader(opened)
            header = rows.fieldnames or ()
            named = key or (ID if ID in header else known_key)
            for wanted in (column, named or ID, *([known_at] if known_at else [])):
                if wanted not in header:
                    raise Invalid(
                        f"{file} has no column {wanted!r}",
                        code="truth.column",
                        hint=f"It has: {', '.join(header)}. Say --column, --key or --known-at.",
                    )
            for row in rows:
                if row[column]:
                    said = _number(row[column])
                    at = row[known_at] or None if known_at else None
                    if named == ID:
                        yield Truth(prediction_id=row[named], truth=said, known_at=at)
                    elif row[named]:
                        yield Truth(key=row[named], truth=said, known_at=at)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Invalid(f"{file} cannot be read: {error}", code="truth.file") from error


def _number(text: str) -> float | str:
    """A number, or a label; `true` and `false` are 1 and 0."""
    words = {"true": 1.0, "false": 0.0}
    if text.strip().lower() in words:
        return words[text.strip().lower()]
    try:
        return float(text)
    except ValueError:
        return text
