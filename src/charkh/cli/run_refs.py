"""How `charkh run …` reads the names of runs and fields, and shows their values."""

import math
from typing import Annotated, Any

import typer

from charkh.cli.output import shown_size
from charkh.runs.run import LargeValue, Run, json_text

Ref = Annotated[
    str, typer.Argument(metavar="RUN", help="run:1f3a, the beginning of an id, or a name that one run has.")
]
Refs = Annotated[
    list[str], typer.Argument(metavar="RUN…", help="run:1f3a, the beginning of an id, or a name that one run has.")
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")]
Offset = Annotated[int, typer.Option("--offset", min=0, help="Leave out so many before.")]
Order = Annotated[str, typer.Option("--order", help="Such as 'metrics.auc desc, created'; newest first by default.")]
Where = Annotated[str, typer.Argument(metavar="SEARCH", help='Such as "params.rate >= 0.1 and metrics.auc > 0.7".')]
Columns = Annotated[
    str, typer.Option("--columns", help="Fields to show, by commas: params.rate,metrics.auc,tags.stage,duration.")
]
SHORT_ID = 18


def shown_value(value: Any) -> str:
    """A param, metric or word of a run as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, LargeValue):
        return shown_size(value.file.size)
    if isinstance(value, float):
        return shown_number(value)
    return value if isinstance(value, str) else json_text(value)


def shown_duration(run: Run) -> str:
    """How long it took."""
    seconds = run.seconds
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{seconds:.1f}s"


def shown_number(value: float | None) -> str:
    """A metric's value to six digits."""
    if value is None:
        return ""
    return f"{value:.6g}" if math.isfinite(value) else str(value)
