"""From what the year left in the store to the lines of the story: read, joined and scored, nothing decided."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from charkh.checks.trouble.batches import batch_changes
from charkh.core.metrics import block_bootstrap, interval, roc_auc
from charkh.datasets.batches import BATCH, batches, scan_batches
from charkh.datasets.find import find as find_dataset
from charkh.datasets.read import read_table
from charkh.demo.months import month_of, name_of
from charkh.demo.story import AnswerLine, BatchLine, DecisionLine, Expected, MonthLine, Score
from charkh.endpoints.read import predictions
from charkh.evaluations.details import read_details
from charkh.evaluations.evaluation import Score as MetricScore
from charkh.evaluations.index import EvaluationsOf
from charkh.loops.index import Decisions
from charkh.loops.loop import Decision
from charkh.models.find import find as find_model
from charkh.models.index import ModelById
from charkh.models.model import ModelVersion
from charkh.monitors.collect import Report
from charkh.ports.store import Store
from charkh.runs.find import by_id
from charkh.workspace.late_truth import scored
from charkh.workspace.serving import Prepare
from charkh.workspace.training import load, scores_of

ROUNDS = 500
ENOUGH = 200
"""Answers with truth that an AUC is shown of."""
WATCHED = ("carrier", "origin", "dest", "hour", "distance", "dep_delay", "arr_delay", "air_time")
"""Columns of the recorded flights whose changes from month to month are told."""


class Candidate(NamedTuple):
    """A model that the loop made, and the month at whose end it did."""

    month: int
    version: str
    ref: str


def decided(store: Store, loop: str) -> list[Decision]:
    """The loop's decisions, oldest first."""
    return list(reversed(store.queries.ask(Decisions(loop=loop))))


def candidates(store: Store, decisions: Sequence[Decision]) -> list[Candidate]:
    """What the decisions were about, oldest first."""
    found: list[Candidate] = []
    for each in decisions:
        version = store.queries.ask(ModelById(version=each.decided.candidate)) if each.decided.candidate else None
        if version is not None:
            found.append(Candidate(month_of(each.decided.moment), version.id, version.ref))
    return found


def decision_line(store: Store, decision: Decision) -> DecisionLine:
    """A decision, with what it came to by now."""
    made = decision.decided

    def ref(identifier: str) -> str:
        version = store.queries.ask(ModelById(version=identifier)) if identifier else None
        return version.ref if version is not None else ""

    return DecisionLine(
        month=name_of(month_of(made.moment)),
        outcome=made.outcome,
        reason=made.reason,
        trigger=made.trigger_reason,
        candidate=ref(made.candidate),
        champion=ref(made.champion),
        looks=made.looks,
        verdicts=made.verdicts,
    )


def month_lines(
    store: Store, endpoint: str, made: Sequence[Candidate], reports: Mapping[int, Report], prepare: Prepare
) -> list[MonthLine]:
    """Every month with what answered, and what the first model and the newest candidate would have scored."""
    name = made[0].ref.partition("@")[0]
    logged = scored(predictions(store, endpoint, shadows=False), prepare).drop("day")
    truth = read_table(store, find_dataset(store, "flights.truth"))
    asked = logged.with_columns(month=pl.col("scheduled_at").dt.month())
    counts = dict(asked.group_by("month").len().iter_rows())
    joined = asked.join(truth, on="flight_id", maintain_order="left")
    return [
        _month_line(month, name, joined.filter(pl.col("month") == month), counts.get(month, 0), made, report)
        for month, report in sorted(reports.items())
    ]


def _month_line(
    month: int, name: str, rows: pl.DataFrame, asked: int, made: Sequence[Candidate], report: Report
) -> MonthLine:
    newest = [each for each in made if each.month < month][-1]
    top = max(report.drift.columns, key=lambda column: column.effect("psi"))
    return MonthLine(
        month=name_of(month),
        predicted=asked,
        scored=rows.height,
        models=tuple(f"{name}@{version}" for version in rows["version"].unique(maintain_order=True)),
        served=_score(rows, rows["score"]),
        frozen=_score(rows, scores_of(load(made[0].version).predict(rows))),
        unguarded=_score(rows, scores_of(load(newest.version).predict(rows))),
        unguarded_model=newest.ref,
        psi=report.drift.psi,
        psi_feature=top.column,
        drifted=sum(column.drifted for column in report.drift.columns),
        features=len(report.drift.columns),
        expected=_expected(rows, report),
        alerts=tuple(alert.reason for alert in report.alerts),
    )


def _expected(rows: pl.DataFrame, report: Report) -> Expected | None:
    """What was expected when nobody knew the truth, of the version that answered last, and what its answers scored."""
    found = report.estimated
    mine = rows.filter(pl.col("version") == rows["version"][-1]) if rows.height else rows
    if found is None or "auc" not in found.metrics or mine.height < ENOUGH:
        return None
    low, auc, high = (found.metrics[name] for name in ("auc.low", "auc", "auc.high"))
    return Expected(auc=auc, low=low, high=high, shown=_auc(mine, mine["score"]))


def answer_lines(
    store: Store, made: Sequence[Candidate], decisions: Sequence[DecisionLine], months: Sequence[MonthLine]
) -> tuple[AnswerLine, ...]:
    """Which params gave which score, of which version, and when that served."""
    outcomes = {line.candidate: line.outcome for line in decisions if line.candidate}
    lines: list[AnswerLine] = []
    for each in made:
        version = find_model(store, each.version)
        (evaluation,) = store.queries.ask(EvaluationsOf(subject=version.subject))[:1]
        serving = [month.month for month in months if each.ref in month.models]
        searched = version.metrics.get("validation_auc")
        lines.append(
            AnswerLine(
                model=each.ref,
                run=f"run:{version.made.run}",
                params=tuple((name, f"{value:.4g}") for name, value in chosen(store, version).items()),
                searched=searched if isinstance(searched, float) else float("nan"),
                held_out=auc_of(read_details(store, evaluation).scores),
                outcome=outcomes.get(each.ref, ""),
                served=" to ".join(dict.fromkeys((serving[0], serving[-1]))) if serving else "",
            )
        )
    return tuple(lines)


def chosen(store: Store, version: ModelVersion) -> dict[str, float]:
    """The params that the search chose for a version."""
    run = by_id(store, version.made.run)
    return {name: float(run.params[name]) for name in ("rate", "leaves")}


def batch_lines(store: Store) -> tuple[BatchLine, ...]:
    """The greatest changes that a month brought, one for each column and month."""
    version = find_dataset(store, "flights")
    rows = scan_batches(store, version).select(*WATCHED, BATCH).collect()
    order = [each.ref for each in reversed(batches(store, version))]
    found: dict[tuple[str, str], BatchLine] = {}
    for each in batch_changes(rows, batch=BATCH, order=order):
        before, after = ("", "") if each.measure == "distribution" else (f"{each.before:.3g}", f"{each.after:.3g}")
        line = BatchLine(
            batch=each.batch,
            column=each.column or "(rows)",
            what=each.measure,
            before=before,
            after=after,
            effect=each.effect,
        )
        found.setdefault((each.batch, each.column), line)
    return tuple(found.values())[:8]


def auc_of(scores: Sequence[MetricScore]) -> Score:
    """The AUC among the scores of an evaluation."""
    found = next(score for score in scores if score.metric == "auc")
    nothing = float("nan")
    value, low, high = (nothing if each is None else each for each in (found.value, found.low, found.high))
    return Score(auc=value, low=low, high=high)


def _score(rows: pl.DataFrame, scores: pl.Series) -> Score:
    """AUC with a 95 % interval from a bootstrap over days."""
    truth, values = rows["late"].cast(pl.Int8).to_numpy(), scores.to_numpy()
    days = rows["day"].to_physical().to_numpy()
    low, high = interval(block_bootstrap(roc_auc, truth, values, np.asarray(days), rounds=ROUNDS))
    return Score(auc=roc_auc(truth, values), low=low, high=high)


def _auc(rows: pl.DataFrame, scores: pl.Series) -> float:
    return roc_auc(rows["late"].cast(pl.Int8).to_numpy(), scores.to_numpy())
