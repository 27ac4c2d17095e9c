"""Find the evaluation that a reference means."""

from charkh.core.errors import NotFound
from charkh.evaluations.evaluation import Evaluation
from charkh.evaluations.identifiers import whole_id
from charkh.evaluations.index import EvaluationById
from charkh.ports.store import Store

NOUN = "evaluation"


def find(store: Store, ref: str) -> Evaluation:
    """The evaluation with this id, `evaluation:ID`, or a beginning of either that means one alone.

    Raises:
        NotFound: there is none.
        Invalid: several begin so.
    """
    identifier = whole_id(store, NOUN, ref, "evaluations")
    evaluation = store.queries.ask(EvaluationById(evaluation=identifier)) if identifier else None
    if evaluation is None:
        raise NotFound(
            f"there is no evaluation {ref}",
            code="evaluation.not_found",
            hint="`charkh evaluation list` shows them.",
        )
    return evaluation
