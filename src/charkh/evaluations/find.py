"""Find the evaluation that a reference means."""

from charkh.core.errors import Invalid, NotFound
from charkh.core.ids import ID_PATTERN
from charkh.evaluations.evaluation import Evaluation
from charkh.evaluations.index import EvaluationById
from charkh.lineage.index import SubjectsLike
from charkh.ports.store import Store

NOUN = "evaluation"


def find(store: Store, ref: str) -> Evaluation:
    """The evaluation with this id, `evaluation:ID`, or a beginning of either that means one alone.

    Raises:
        NotFound: there is none.
        Invalid: several begin so.
    """
    identifier = ref.removeprefix(f"{NOUN}:")
    if identifier and not ID_PATTERN.fullmatch(identifier):
        begun = store.queries.ask(SubjectsLike(noun=NOUN, prefix=identifier))
        if len(begun) > 1:
            raise Invalid(
                f"{len(begun)} evaluations begin with {identifier}",
                code="evaluation.ambiguous",
                hint="Give more of the id.",
                facts={"subjects": list(begun)},
            )
        identifier = begun[0].removeprefix(f"{NOUN}:") if begun else ""
    evaluation = store.queries.ask(EvaluationById(evaluation=identifier)) if identifier else None
    if evaluation is None:
        raise NotFound(
            f"there is no evaluation {ref}",
            code="evaluation.not_found",
            hint="`charkh evaluation list` shows them.",
        )
    return evaluation
