"""Look for every kind of trouble in a table, and part the rows that are in trouble from the rest."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from charkh.checks.result import REASONS, ROW
from charkh.checks.trouble.duplicates import duplicates, leaked_rows
from charkh.checks.trouble.labels import Floats, wrong_labels
from charkh.checks.trouble.near_duplicates import near_duplicates, text_columns
from charkh.checks.trouble.outliers import outliers
from charkh.checks.trouble.personal import personal
from charkh.checks.trouble.shares import shares
from charkh.checks.trouble.trouble import KINDS, Rows, Trouble, places, trouble
from charkh.core.errors import Invalid
from charkh.datasets.leaks import leaking_columns

SUGGESTED = "_suggested"


class Judged(NamedTuple):
    """What a model that has not seen a row says about its class.

    Attributes:
        classes: in the order of the probabilities.
        probabilities: shape (labelled rows, classes); rows without a label are left out.
    """

    classes: tuple[str, ...]
    probabilities: Floats


class Wanted(NamedTuple):
    """What is looked for beside what every table is looked through for.

    Attributes:
        kinds: of trouble.
        target: the column that a model learns, or empty; contradictions, leaks and wrong labels need it.
        against: what a model learned from, to find rows of this table in it.
        judged: out-of-sample probabilities of the target.
        source: the column whose values may have at most `most` rows each.
        most: 0 for no bound.
        leave_out: columns that are not compared between tables, such as ids.
    """

    kinds: Collection[str] = KINDS
    target: str = ""
    against: pl.DataFrame | None = None
    judged: Judged | None = None
    source: str = ""
    most: int = 0
    leave_out: tuple[str, ...] = ()


def search(frame: pl.DataFrame, wanted: Wanted) -> list[Trouble]:
    """The troubles of a table, in the order of `KINDS`.

    Raises:
        Invalid: a kind is unknown, a column is not there, or there are too many texts to compare.
        Unavailable: a kind needs a library that is not installed.
    """
    unknown = set(wanted.kinds) - set(KINDS)
    if unknown:
        raise Invalid(
            f"{sorted(unknown)[0]!r} is no kind of trouble",
            code="check.unknown_kind",
            hint=f"Kinds: {', '.join(KINDS)}.",
        )
    if wanted.target and wanted.target not in frame.columns:
        raise Invalid(
            f"the table has no column {wanted.target!r}",
            code="check.no_column",
            hint=f"It has: {', '.join(frame.columns[:50])}.",
        )
    found = [each for each in _all(frame, wanted) if each.finding.kind in wanted.kinds]
    return sorted(found, key=lambda each: (KINDS.index(each.finding.kind), -each.finding.rows, each.finding.columns))


def part(frame: pl.DataFrame, troubles: Sequence[Trouble]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows without trouble, and the others with `_row` (from 0), `_reasons` and suggested labels, if any."""
    reasons: dict[int, list[str]] = {}
    suggested: dict[int, str] = {}
    for each in troubles:
        told = ":".join([each.finding.kind, *each.finding.columns])
        for place in each.rows.tolist():
            reasons.setdefault(place, []).append(told)
        suggested.update(zip(each.rows.tolist(), each.suggestions, strict=False))
    chosen = np.array(sorted(reasons), dtype=np.int64)
    bad = frame[chosen].with_columns(
        pl.Series(ROW, chosen, dtype=pl.Int64),
        pl.Series(REASONS, [reasons[place] for place in chosen.tolist()], dtype=pl.List(pl.String)),
    )
    if suggested:
        bad = bad.with_columns(
            pl.Series(SUGGESTED, [suggested.get(place) for place in chosen.tolist()], dtype=pl.String)
        )
    keep = np.ones(frame.height, dtype=np.bool_)
    keep[chosen] = False
    return frame.filter(pl.Series(keep)), bad


def _all(frame: pl.DataFrame, wanted: Wanted) -> Iterator[Trouble]:
    kinds = set(wanted.kinds)
    if kinds & {"duplicate", "contradiction"}:
        yield from duplicates(frame, target=wanted.target)
    if "near_duplicate" in kinds:
        yield from near_duplicates(frame, text_columns(frame))
    if "train_test_leak" in kinds and wanted.against is not None:
        left_out = [name for name in (*wanted.leave_out, wanted.target) if name]
        yield from leaked_rows(wanted.against, frame, leave_out=left_out)
    if "target_leak" in kinds and wanted.target:
        yield from _target_leaks(frame, wanted)
    if "label" in kinds and wanted.judged is not None:
        yield from _labels(frame, wanted.target, wanted.judged)
    if "outlier" in kinds:
        yield from outliers(frame)
    if "personal" in kinds:
        yield from personal(frame)
    if "share" in kinds and wanted.source:
        yield from shares(frame, wanted.source, most=wanted.most)


def _target_leaks(frame: pl.DataFrame, wanted: Wanted) -> Iterator[Trouble]:
    known = frame.filter(pl.col(wanted.target).is_not_null())
    features = [name for name in frame.columns if name not in {wanted.target, *wanted.leave_out}]
    none: Rows = np.empty(0, dtype=np.int64)
    for name, reason in leaking_columns(known, target=wanted.target, features=features).items():
        yield trouble("target_leak", (name,), none, frame.height, f"{name!r} tells {wanted.target!r}: {reason}")


def _labels(frame: pl.DataFrame, target: str, judged: Judged) -> Iterator[Trouble]:
    labelled = places(frame[target].is_not_null())
    given: list[str] = frame[target].drop_nulls().cast(pl.String).to_list()
    for each in wrong_labels(target, given, judged.classes, judged.probabilities):
        yield trouble(
            "label",
            (target,),
            labelled[each.rows],
            frame.height,
            each.finding.message,
            scores=each.scores,
            suggestions=each.suggestions,
        )
