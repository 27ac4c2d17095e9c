"""Find the certificate that a reference means."""

from charkh.core.errors import NotFound
from charkh.evaluations.identifiers import whole_id
from charkh.evaluations.stability.certificate import Certificate
from charkh.evaluations.stability.index import CertificateById
from charkh.ports.store import Store

NOUN = "stability"


def find_certificate(store: Store, ref: str) -> Certificate:
    """The certificate with this id, `stability:ID`, or a beginning of either that means one alone.

    Raises:
        NotFound: there is none.
        Invalid: several begin so.
    """
    identifier = whole_id(store, NOUN, ref, "certificates")
    found = store.queries.ask(CertificateById(certificate=identifier)) if identifier else None
    if found is None:
        raise NotFound(
            f"there is no certificate {ref}",
            code="stability.not_found",
            hint="`charkh evaluation certificates` lists them.",
        )
    return found
