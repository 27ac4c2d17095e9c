"""Read what a certificate's event is too small for: the rows that answered worst, and the groups."""

import msgspec

from charkh.core.errors import NotFound
from charkh.evaluations.stability.certificate import Certificate, StabilityDetails
from charkh.ports.store import Store


def read_stability(store: Store, certificate: Certificate) -> StabilityDetails:
    """The details of a certificate: the rows that answered worst, and the groups.

    Raises:
        NotFound: their bytes are not here, or were erased.
        Corrupt: a chunk is not what its digest says.
    """
    data = b"".join(store.vault.read(certificate.made.details))
    try:
        return msgspec.json.decode(data, type=StabilityDetails)
    except msgspec.MsgspecError as error:
        raise NotFound(
            f"the details of {certificate.subject} were erased",
            code="stability.details_erased",
            hint="Its results stay; try the model again for new details.",
        ) from error
