"""Arguments that several verbs of `charkh dataset` take."""

from pathlib import Path
from typing import Annotated

import typer

Ref = Annotated[str, typer.Argument(help="A version: flights@3, flights (the newest), flights@3~ann or dataset:ID.")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="At most so many lines of each sort.")]
Key = Annotated[str, typer.Option("--key", help="Columns that tell rows apart, such as a,b.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="A *.parquet, *.csv or *.jsonl file.")]


def columns_in(text: str) -> list[str]:
    """The names in `a, b`; none in an empty text."""
    return [part.strip() for part in text.split(",")] if text else []
