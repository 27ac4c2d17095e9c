"""Read what an evaluation's event is too small for: curves, bins, blocks and every slice."""

import msgspec

from charkh.core.errors import NotFound
from charkh.evaluations.evaluation import Details, Evaluation
from charkh.ports.store import Store


def read_details(store: Store, evaluation: Evaluation) -> Details:
    """The details of an evaluation.

    Raises:
        NotFound: their bytes are not here, or were erased.
        Corrupt: a chunk is not what its digest says.
    """
    data = b"".join(store.vault.read(evaluation.made.details))
    try:
        return msgspec.json.decode(data, type=Details)
    except msgspec.MsgspecError as error:
        # The vault verifies every chunk, so bytes that are no details are what stands in the place of erased ones.
        raise NotFound(
            f"the details of {evaluation.subject} were erased",
            code="evaluation.details_erased",
            hint="Its numbers stay; evaluate again for new details.",
        ) from error
