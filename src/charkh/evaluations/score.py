"""Evaluate: score predictions and write down what came out."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from charkh.core.canon import canonical_json
from charkh.core.errors import Bug
from charkh.core.events import Draft, Edge
from charkh.core.files import FileRef
from charkh.core.ids import new_id
from charkh.core.refs import parse_name, parse_subject
from charkh.evaluations.assess import Assessment, assess
from charkh.evaluations.evaluation import MADE_KIND, Evaluation, EvaluationMade
from charkh.evaluations.index import EvaluationById
from charkh.evaluations.measure import Drawing
from charkh.evaluations.sample import Column
from charkh.evaluations.slices import MIN_ROWS
from charkh.ports.store import Store


class Rival(NamedTuple):
    """What a candidate is compared with.

    Attributes:
        subject: the champion, `model:id`.
        scores: its predictions for the same rows.
    """

    subject: str
    scores: Column


def evaluate(
    store: Store,
    *,
    about: str,
    truth: Column,
    scores: Column,
    on: str,
    metrics: Sequence[str] = (),
    blocks: Column | None = None,
    slices: Mapping[str, Column] | None = None,
    champion: Rival | None = None,
    model: str = "",
    run: str = "",
    threshold: float = 0.5,
    rounds: int = 1000,
    confidence: float = 0.95,
    min_rows: int = MIN_ROWS,
    seed: int = 0,
) -> Evaluation:
    """Score predictions against the truth and record the evaluation.

    Args:
        store: where it goes.
        about: what made the predictions, `model:id`.
        truth: 0/1 for two classes, or numbers; rows without a truth are left out and counted.
        scores: probability of the positive class, another score of it, or the predicted number.
        on: the dataset version that the truth comes from, `dataset:id`.
        metrics: names (`charkh.core.metrics.METRICS`); the usual ones of the task by default.
        blocks: what rows share, such as their day; resamples draw whole blocks. Without it rows are independent.
        slices: columns whose every value is scored on its own.
        champion: compared on the same rows.
        model: name of the model, under which looks at one truth are counted.
        run: id of the run that asks.
        threshold: probability from which a row counts as positive.
        rounds: resamples.
        confidence: of the intervals, in (0, 1).
        min_rows: rows that a slice needs to publish facts.
        seed: of the draws; equal seeds give equal numbers.

    Raises:
        Invalid: columns do not fit together, or a metric does not fit the truth or the scores.
    """
    for subject in (about, on, *((champion.subject,) if champion is not None else ())):
        parse_subject(subject)
    found = assess(
        truth,
        scores,
        metrics=metrics,
        blocks=blocks,
        slices=slices,
        champion=None if champion is None else champion.scores,
        drawing=Drawing(rounds, confidence, seed, threshold),
        min_rows=min_rows,
    )
    details = store.vault.put_bytes(canonical_json(found.details), "evaluation.json")
    store.vault.flush()
    made = msgspec.structs.replace(
        _made(found, details),
        about=about,
        on=on,
        champion="" if champion is None else champion.subject,
        model=parse_name(model, "model name") if model else "",
        run=run,
    )
    return _record(store, made, found)


def _made(found: Assessment, details: FileRef) -> EvaluationMade:
    """What was found, without the subjects that it is about."""
    sample, drawing, known = found.sample, found.drawing, found.details
    binary = known.task == "binary"
    return EvaluationMade(
        evaluation=new_id(),
        about="",
        on="",
        task=known.task,
        rows=sample.rows,
        left_out=sample.left_out,
        positives=int(np.count_nonzero(sample.truth)) if binary else None,
        blocks=len(np.unique(sample.blocks)),
        independent=sample.independent,
        rounds=drawing.rounds,
        confidence=drawing.confidence,
        seed=drawing.seed,
        threshold=drawing.threshold if binary else None,
        truth=sample.digest,
        scores=known.scores,
        comparisons=found.published_comparisons,
        slices=len(known.slices),
        unpublished=sum(not part.published for part in known.slices),
        notes=known.notes,
        details=details,
    )


def _record(store: Store, made: EvaluationMade, found: Assessment) -> Evaluation:
    subject = f"evaluation:{made.evaluation}"
    targets = [
        ("scores", made.about),
        ("on", made.on),
        ("against", made.champion),
        ("asked_by", f"run:{made.run}" if made.run else ""),
    ]
    store.record(
        Draft(
            kind=MADE_KIND,
            subject=subject,
            body=made,
            edges=tuple(Edge(subject, relation, target) for relation, target in targets if target),
            facts=found.facts,
            about=made.about,
            holds=(made.details.held,),
        )
    )
    evaluation = store.queries.ask(EvaluationById(evaluation=made.evaluation))
    if evaluation is None:
        raise Bug(f"the evaluation {made.evaluation} that was just made cannot be found")
    return evaluation
