"""Split a table by time into what a model learns from and what it is judged on, and refuse columns that leak."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from charkh.core.errors import Invalid
from charkh.datasets.leaks import leaking_columns
from charkh.datasets.table import Table

_WINDOW = re.compile(r"([1-9][0-9]{0,5})(mo|min|[hdwqy])")
_GRAINS = {"min": "1m", "h": "1h"}


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Rows of one side of a split.

    Attributes:
        frame: the rows with every column, those that a model does not see included.
        features: the columns that a model sees.
        target: the column that it predicts.
    """

    frame: pl.DataFrame
    features: tuple[str, ...]
    target: str

    @property
    def X(self) -> pl.DataFrame:  # noqa: N802 - the field's name for it
        """The columns that a model sees."""
        return self.frame.select(self.features)

    @property
    def y(self) -> pl.Series:
        """What it predicts."""
        return self.frame[self.target]

    def __len__(self) -> int:
        return self.frame.height


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Two parts of one table; no row of `test` is earlier than a row of `train`.

    Attributes:
        train: what a model learns from.
        test: what it is judged on.
        target: the column that it predicts.
        time: the column that the parts were told apart by, or empty.
        origins: subjects that the table was made from.
    """

    train: Part
    test: Part
    target: str
    time: str = ""
    origins: tuple[str, ...] = ()


def split_by_time(
    table: Table,
    *,
    target: str,
    time: str,
    test: str | float = "1mo",
    drop: Sequence[str] = (),
    unknown: Sequence[str] = (),
    allow: Sequence[str] = (),
) -> Split:
    """The last rows by time for the test, everything earlier for training.

    Args:
        table: the rows.
        target: the column to predict.
        time: a date or time column; it is no feature.
        test: the last window, such as `1mo`, `2w`, `7d` or `12h`, which ends with the last day (or hour, or
            minute) that has rows; or a share of the rows between 0 and 1, of which rows with the time of the
            first come as well.
        drop: columns that are no features; they stay in `frame`.
        unknown: columns that are not known when a prediction is made; a feature among them is refused.
        allow: features that tell the target and may.

    Raises:
        Invalid: a column is not there, the time is no time, the time or target has gaps, a part would be
            empty, or a feature leaks.
    """
    frame = table.frame
    _require_columns(frame, [target, time, *drop, *allow])
    _require_whole(frame, target, time)
    features = tuple(name for name in frame.columns if name not in {target, time, *drop})
    if not features:
        raise Invalid("no column is left as a feature", code="split.no_features", hint="Drop fewer columns.")
    cut = _cut(frame[time], test)
    late = frame[time] >= cut
    train, held = frame.filter(~late), frame.filter(late)
    if train.is_empty() or held.is_empty():
        raise Invalid(
            f"no rows are left for {'training' if train.is_empty() else 'the test'}: all are on one side of {cut}",
            code="split.empty",
            hint="Choose a shorter or longer test window.",
        )
    leaks = leaking_columns(
        frame, target=target, features=[name for name in features if name not in allow], unknown=unknown
    )
    if leaks:
        raise Invalid(
            "features that leak: " + "; ".join(f"{name}: {reason}" for name, reason in leaks.items()),
            code="split.leak",
            hint=f"Take them away with drop={sorted(leaks)}, or allow the ones that are truly known before.",
            facts={"leaks": dict(leaks)},
        )
    return Split(Part(train, features, target), Part(held, features, target), target, time, table.origins)


def _require_columns(frame: pl.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if name not in frame.columns:
            raise Invalid(
                f"the table has no column {name!r}",
                code="split.no_column",
                hint=f"It has: {', '.join(frame.columns[:50])}.",
            )


def _require_whole(frame: pl.DataFrame, target: str, time: str) -> None:
    if not isinstance(frame.schema[time], pl.Date | pl.Datetime):
        raise Invalid(
            f"the column {time!r} is {frame.schema[time]}, no date or time",
            code="split.no_time",
            hint="Parse it first, for example with a recipe, or name another column.",
        )
    for name in (target, time):
        gaps = frame[name].null_count()
        if gaps:
            raise Invalid(
                f"{gaps} rows have no {name!r}",
                code="split.gaps",
                hint="Let a check put such rows into quarantine, or filter them.",
            )


def _cut(times: pl.Series, test: str | float) -> object:
    """The time of the first row of the test."""
    if times.is_empty():
        raise Invalid("the table has no rows", code="split.empty", hint="Add rows first.")
    share = _share(test)
    if share is not None:
        return times.sort().item(min(times.len() - 1, round(times.len() * (1 - share))))
    match = _WINDOW.fullmatch(str(test))
    if match is None:
        raise Invalid(
            f"{test!r} is no test window",
            code="split.window",
            hint="Write 1mo, 2w, 7d, 12h or 30min, or a share of the rows such as 0.2.",
        )
    count, unit = match.groups()
    grain = _GRAINS.get(unit, "1d")
    last = pl.Series([times.max()], dtype=times.dtype)
    step = "1d" if times.dtype == pl.Date else grain
    end = last.dt.truncate(step).dt.offset_by(step)
    return end.dt.offset_by(f"-{count}{'m' if unit == 'min' else unit}").item()


def _share(test: str | float) -> float | None:
    try:
        share = float(test)
    except ValueError:
        return None
    if not 0 < share < 1:
        raise Invalid(
            f"{test} of the rows is no test", code="split.window", hint="Give a share between 0 and 1, such as 0.2."
        )
    return share
