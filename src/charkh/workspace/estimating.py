"""What a monitor finds beyond single columns and known truth: estimated performance, and drift of columns together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl

from charkh.core.errors import Invalid, NotFound
from charkh.core.monitor_settings import MonitorSettings
from charkh.datasets.find import find as find_dataset
from charkh.datasets.read import read_table
from charkh.models.load import load
from charkh.models.model import ModelVersion
from charkh.monitors.estimated.estimate import Estimated, estimated
from charkh.monitors.multivariate.judge import ROWS, Multivariate, check_embedding, multivariate
from charkh.monitors.sketches.table import Batches, sample_of
from charkh.monitors.truth import parse_truth
from charkh.workspace.governing import rules_of
from charkh.workspace.model_rows import asking, columns_of
from charkh.workspace.predicted import SCORE, predicted, score_name
from charkh.workspace.serving import Prepare
from charkh.workspace.workspace import Workspace

HELD_OUT_ROWS = 50_000
"""Of a held-out dataset that the model is asked at most."""


class Learned(NamedTuple):
    """Rows with truth: those that were known before, and those whose truth came since the last look."""

    known: pl.DataFrame
    new: pl.DataFrame


def estimate_live(
    workspace: Workspace,
    settings: MonitorSettings,
    version: ModelVersion,
    prepare: Prepare,
    *,
    logged: pl.DataFrame,
    asked: pl.DataFrame,
    truth: pl.DataFrame | None,
) -> Estimated | None:
    """What is expected of the requests since the last look; None where the settings do not ask for it.

    Args:
        workspace: whose monitor it is.
        settings: of the monitor.
        version: the model that is deployed: what others predicted says nothing about it.
        prepare: what its recipes make of rows.
        logged: all predictions of the endpoint.
        asked: those since the last look.
        truth: what is new of it, or None.
    """
    if not settings.estimate:
        return None
    mine, live = (each.filter(pl.col("model") == version.subject) for each in (logged, asked))
    if live.is_empty():
        return Estimated(refused=f"{version.ref} has answered nothing since the last look")
    learned = _learned(workspace, settings, mine, truth, prepare)
    reference = pl.concat([learned.known, learned.new])
    if settings.held_out:
        reference = _held_out(workspace, settings, version, prepare)
    inputs = [spec.name for spec in version.made.signature.inputs]
    found = _estimated(settings, reference, predicted(live, prepare, settings.score), inputs)
    if learned.new.is_empty():
        return found
    # What came now is judged by what was known before, as it would have been when nobody knew it.
    before = reference if settings.held_out else learned.known
    matched = _estimated(settings, before, learned.new.drop(settings.target), inputs)
    return msgspec.structs.replace(found, matched=matched.metrics)


def judge_together(
    settings: MonitorSettings, rows: Batches, live: pl.DataFrame, inputs: Sequence[str]
) -> Multivariate | None:
    """Drift of all inputs together, and of a column of vectors; None where the settings do not ask for it."""
    if not settings.multivariate and not settings.embedding:
        return None
    reference = sample_of(rows(), ROWS)
    if settings.embedding and settings.embedding in reference.columns:
        check_embedding(reference[settings.embedding].dtype, settings.embedding)
    block = settings.block if settings.block in live.columns and settings.block in reference.columns else ""
    return multivariate(
        reference,
        live,
        methods=settings.multivariate,
        columns=inputs,
        embedding=settings.embedding,
        block=block,
    )


def _estimated(
    settings: MonitorSettings, reference: pl.DataFrame, live: pl.DataFrame, inputs: Sequence[str]
) -> Estimated:
    if reference.is_empty():
        return Estimated(rows=live.height, refused="no prediction of this model has a known truth yet")
    return estimated(
        reference,
        live,
        target=settings.target,
        score=SCORE,
        columns=[name for name in inputs if name in reference.columns and name in live.columns],
        block=settings.block if settings.block in reference.columns else "",
        segments=[name for name in settings.segments if name in live.columns],
        threshold=settings.threshold,
    )


def _learned(
    workspace: Workspace, settings: MonitorSettings, mine: pl.DataFrame, truth: pl.DataFrame | None, prepare: Prepare
) -> Learned:
    nothing = Learned(pl.DataFrame(), pl.DataFrame())
    if not settings.truth or mine.is_empty():
        return nothing
    source = parse_truth(settings.truth)
    try:
        dataset = find_dataset(workspace.store, source.dataset)
    except NotFound:
        return nothing
    rows, keys = predicted(mine, prepare, settings.score), list(source.keys)
    known = read_table(workspace.store, dataset)
    for frame, what in ((known, f"truth {source.dataset}"), (rows, "requests")):
        missing = [
            name for name in [*keys, *([settings.target] if frame is known else [])] if name not in frame.columns
        ]
        if missing:
            raise Invalid(
                f"the {what} has no column {missing[0]!r}" if frame is known else f"the {what} have no {missing[0]!r}",
                code="monitor.no_column",
                hint=f"There are: {', '.join(frame.columns[:20])}.",
            )
    block = [settings.block] if settings.block in known.columns and settings.block not in rows.columns else []
    last = known.drop_nulls([*keys, settings.target]).unique(keys, keep="last", maintain_order=True)
    if settings.target in rows.columns and settings.target not in keys:
        rows = rows.drop(settings.target)
    rows = rows.unique(keys, keep="last", maintain_order=True)
    joined = rows.join(last.select([*keys, settings.target, *block]), on=keys, how="inner", maintain_order="left")
    if truth is None:
        return Learned(joined, joined.clear())
    return Learned(*(joined.join(truth.select(keys), on=keys, how=how) for how in ("anti", "semi")))


def _held_out(workspace: Workspace, settings: MonitorSettings, version: ModelVersion, prepare: Prepare) -> pl.DataFrame:
    """Rows that the model was not fitted to, with its scores."""
    dataset = find_dataset(workspace.store, settings.held_out)
    if dataset.id in version.made.datasets:
        raise Invalid(
            f"{version.ref} was trained on {settings.held_out!r}: of these rows it is too sure",
            code="monitor.held_out",
            hint="Name a dataset in `held_out` that the model was not fitted to.",
        )
    table = read_table(workspace.store, dataset)
    rows = prepare(table.gather_every(max(1, -(-table.height // HELD_OUT_ROWS))))
    loaded = load(workspace.store, version.id, runtimes=workspace.runtimes, rules=rules_of(workspace))
    signature = version.made.signature
    answers = asking(loaded.predictor, signature)(columns_of(rows, signature, leave=settings.target))
    output = answers[score_name(list(answers), settings.score)]
    return rows.with_columns(_series(np.asarray(output)))


def _series(output: Any) -> pl.Series:
    return pl.Series(SCORE, output if output.ndim == 1 else output.tolist())
