"""What a monitor finds beyond single columns and known truth: estimated performance, and drift of columns together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl

from charkh.core.errors import Invalid
from charkh.core.monitor_settings import MonitorSettings
from charkh.datasets.find import find as find_dataset
from charkh.datasets.read import read_table
from charkh.endpoints.read import scan_predictions
from charkh.models.load import load
from charkh.models.model import ModelVersion
from charkh.monitors.estimated.estimate import Estimated, estimated
from charkh.monitors.multivariate.judge import ROWS, Multivariate, check_embedding, multivariate
from charkh.monitors.sketches.table import Batches, sample_of
from charkh.monitors.truth import parse_truth
from charkh.workspace.governing import rules_of
from charkh.workspace.late_truth import BLOCK, IS_NEW, LABEL, known_truth
from charkh.workspace.model_rows import asking, columns_of
from charkh.workspace.predicted import SCORE, predicted, score_name
from charkh.workspace.serving import Prepare
from charkh.workspace.workspace import Workspace

LEARNED_ROWS = 100_000
"""Of the predictions whose truth is known the last so many at most are learned from."""
_BEFORE = "@before"
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
    endpoint: str,
    asked: pl.DataFrame,
    since: float,
) -> Estimated | None:
    """What is expected of the requests since the last look; None where the settings do not ask for it.

    Args:
        workspace: whose monitor it is.
        settings: of the monitor.
        version: the model that is deployed: what others predicted says nothing about it.
        prepare: what its recipes make of rows.
        endpoint: whose predictions have a truth by now.
        asked: predictions since the last look.
        since: seconds since the epoch of the last look.
    """
    if not settings.estimate:
        return None
    live = asked.filter(pl.col("model") == version.subject)
    if live.is_empty():
        return Estimated(refused=f"{version.ref} has answered nothing since the last look")
    learned = _learned(workspace, settings, version, prepare, endpoint, since)
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
    workspace: Workspace,
    settings: MonitorSettings,
    version: ModelVersion,
    prepare: Prepare,
    endpoint: str,
    since: float,
) -> Learned:
    """The last rows with truth, read a segment of the log at a time."""
    join = known_truth(workspace, settings, endpoint, since) if settings.truth else None
    kept, rows = list[pl.DataFrame](), 0
    for part in scan_predictions(workspace.store, endpoint) if join is not None else ():
        mine = part.filter(pl.col("model") == version.subject)
        if join is None or mine.is_empty():
            continue
        asked = predicted(mine, prepare, settings.score).with_columns((_seconds(mine) <= since).alias(_BEFORE))
        known = join(asked).filter(pl.col(LABEL).is_not_null())
        kept.append(_told(known, settings))
        rows += known.height
        while kept and rows - kept[0].height >= LEARNED_ROWS:
            rows -= kept.pop(0).height
    if not rows:
        return Learned(pl.DataFrame(), pl.DataFrame())
    whole = pl.concat(kept, how="diagonal_relaxed").tail(LEARNED_ROWS)
    keys = [name for name in parse_truth(settings.truth).keys if name in whole.columns]
    whole = whole.unique(keys, keep="last", maintain_order=True)
    came = pl.col(IS_NEW) & pl.col(_BEFORE)
    return Learned(*(whole.filter(each).drop(IS_NEW, _BEFORE) for each in (~came, came)))


def _told(known: pl.DataFrame, settings: MonitorSettings) -> pl.DataFrame:
    """Rows with the truth in the target's column, and its block where the request has none."""
    known = known.with_columns(pl.col(LABEL).alias(settings.target))
    if settings.block and settings.block not in known.columns and BLOCK in known.columns:
        known = known.with_columns(pl.col(BLOCK).alias(settings.block))
    return known.select(name for name in known.columns if not name.startswith("@") or name in (IS_NEW, _BEFORE))


def _seconds(logged: pl.DataFrame) -> pl.Series:
    return logged["time"].dt.epoch("us") / 1e6


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
