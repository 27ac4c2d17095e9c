"""Evaluations' part of the catalog: every evaluation, by what it is about and the truth that it used."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import JSON, Column, Connection, Float, LargeBinary, MetaData, String, Table, func, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.evaluations.evaluation import MADE_KIND, Evaluation, EvaluationMade, Looks
from charkh.ports.folding import add_rows
from charkh.ports.projections import Description, Projection, Query

_metadata = MetaData()
_evaluations = Table(
    "evaluation_made",
    _metadata,
    Column("id", String, primary_key=True),
    Column("about", String, nullable=False, index=True),
    Column("dataset", String, nullable=False, index=True),
    Column("champion", String, nullable=False),
    Column("model", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode = msgspec.msgpack.Decoder(EvaluationMade).decode


class EvaluationById(Query[Evaluation | None], frozen=True, kw_only=True):
    """The evaluation with this id."""

    evaluation: str


class Evaluations(Query[tuple[Evaluation, ...]], frozen=True, kw_only=True):
    """Evaluations, newest first; only those under a model's name where one is given."""

    model: str = ""
    limit: int = 100


class EvaluationsOf(Query[tuple[Evaluation, ...]], frozen=True, kw_only=True):
    """Evaluations about `subject`, newest first."""

    subject: str
    limit: int = 1000


class LatestOn(Query[Evaluation | None], frozen=True, kw_only=True):
    """The newest evaluation about `subject` on the dataset version `on`; with `against`, compared with that one."""

    subject: str
    on: str
    against: str = ""


class LooksAt(Query[Looks], frozen=True, kw_only=True):
    """How many evaluations were made on the dataset version `on`.

    Only those under a model's name, or against a champion (`model:id`), where one is given.
    """

    on: str
    model: str = ""
    champion: str = ""


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add evaluations."""
    add_rows(connection, _evaluations, [_row(event) for event in events])


def _row(event: Event) -> dict[str, object]:
    made = body_of(event, EvaluationMade)
    return {
        "id": made.evaluation,
        "about": made.about,
        "dataset": made.on,
        "champion": made.champion,
        "model": made.model,
        "body": bytes(event.body),
        "facts": event.facts,
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def evaluation_by_id(connection: Connection, query: EvaluationById) -> Evaluation | None:
    return next(iter(_where(connection, _evaluations.c.id == query.evaluation, limit=1)), None)


def evaluations(connection: Connection, query: Evaluations) -> tuple[Evaluation, ...]:
    conditions = [_evaluations.c.model == query.model] if query.model else []
    return _where(connection, *conditions, limit=query.limit)


def evaluations_of(connection: Connection, query: EvaluationsOf) -> tuple[Evaluation, ...]:
    return _where(connection, _evaluations.c.about == query.subject, limit=query.limit)


def latest_on(connection: Connection, query: LatestOn) -> Evaluation | None:
    conditions = [_evaluations.c.about == query.subject, _evaluations.c.dataset == query.on]
    if query.against:
        conditions.append(_evaluations.c.champion == query.against)
    return next(iter(_where(connection, *conditions, limit=1)), None)


def looks_at(connection: Connection, query: LooksAt) -> Looks:
    statement = select(func.count(), func.count(func.distinct(_evaluations.c.about)))
    statement = statement.where(_evaluations.c.dataset == query.on)
    if query.model:
        statement = statement.where(_evaluations.c.model == query.model)
    if query.champion:
        statement = statement.where(_evaluations.c.champion == query.champion)
    row = connection.execute(statement).one()
    return Looks(evaluations=row[0], subjects=row[1])


def portray(connection: Connection, identifier: str) -> Description | None:
    evaluation = evaluation_by_id(connection, EvaluationById(evaluation=identifier))
    if evaluation is None:
        return None
    made = evaluation.made
    drawn = "independent rows" if made.independent else f"{made.blocks} blocks"
    lines = [("rows", str(made.rows)), ("resampled", f"{made.rounds} times over {drawn}")]
    for score in made.scores:
        if score.value is not None:
            bounds = "" if score.low is None or score.high is None else f" ({score.low:.4g} to {score.high:.4g})"
            lines.append((score.metric, f"{score.value:.4g}{bounds}"))
    for comparison in made.comparisons:
        if comparison.fact == comparison.metric and comparison.win_probability is not None:
            lines.append(
                (f"{comparison.metric} against the champion", f"better with p {comparison.win_probability:.3f}")
            )
    lines += [("note", note) for note in made.notes]
    return Description(title=f"evaluation of {made.model}" if made.model else "evaluation", lines=tuple(lines))


def _where(connection: Connection, *conditions: Any, limit: int) -> tuple[Evaluation, ...]:
    statement = select(_evaluations).where(*conditions).order_by(_evaluations.c.stamp.desc()).limit(limit)
    return tuple(
        Evaluation(made=_decode(row.body), facts=row.facts, actor=row.actor, at=row.at, stamp=row.stamp)
        for row in connection.execute(statement)
    )


PROJECTION = Projection(
    name="evaluation",
    version=1,
    tables=_metadata,
    kinds=frozenset({MADE_KIND}),
    fold=fold,
    answers={
        EvaluationById: evaluation_by_id,
        Evaluations: evaluations,
        EvaluationsOf: evaluations_of,
        LatestOn: latest_on,
        LooksAt: looks_at,
    },
    portraits={"evaluation": portray},
)
